/** What `bun run check:clients` makes of the answers of a real client, and the table that it keeps. */
import { expect, test } from 'bun:test'
import { judge, standardFor } from '../../scripts/clients/judge.ts'
import {
  callsOf,
  failureRows,
  rowOf,
  rowsIn,
  streamsOf,
  untriedFailures,
  withRows,
} from '../../scripts/clients/table.ts'
import { calls, faults, gaps, streamCases, streamPaths } from '../../scripts/clients/wanted.ts'

const told = (name: string, result: unknown, client = 'ollama (npm)') => ({
  client,
  version: '1.0.0',
  case: name,
  result,
})
const judged = (name: string, direct: unknown, through: unknown, client?: string) =>
  judge(told(name, direct, client), told(name, through, client))
const raised = { raised: 'Error', status: null, message: 'broke' }

test('what is the same on both sides is right, and what differs is told whole', () => {
  expect(judged('chat', { said: 'Paris.' }, { said: 'Paris.' })).toEqual({ ok: true, why: '' })
  expect(judged('chat', raised, raised)).toEqual({ ok: true, why: '' })
  expect(judged('chat', { said: 'Paris.' }, { said: 'Rome.' })).toEqual({
    ok: false,
    why: 'direct {"said":"Paris."} | through {"said":"Rome."}',
  })
})

test('a failure in the middle must be raised, also where Ollama itself ends silently', () => {
  expect(judged('/v1/messages fails-reset', raised, raised)).toEqual({ ok: true, why: '' })
  expect(judged('/v1/messages fails-reset', { said: 'half' }, raised).why).toBe(
    'raises, where Ollama itself ends silently',
  )
  for (const direct of [raised, { said: 'half' }]) {
    const { ok, why } = judged('/v1/messages fails-reset', direct, { said: 'half' })
    expect([ok, why]).toEqual([false, 'silent success: {"said":"half"}'])
  }
  expect(judged('/api/chat target-away', raised, { said: '' }).ok).toBe(false)
})

test('a case that says yes or no is not right by being wrong on both sides', () => {
  const left = { 'ended within 1 s': true, 'quiet within 1 s': false }
  expect(judged('/api/chat abort-midway', left, left).ok).toBe(false)
  expect(judged('/api/chat abort-midway', left, left, '@langchain/ollama (npm)').ok).toBe(true)
  expect(judged('ps', false, false).ok).toBe(false)
  expect(judged('/api/chat wait-in-queue', raised, raised).ok).toBe(false)
})

test('a client with a limit must be answered, with what patience would have got it', () => {
  expect(standardFor('/api/chat wait-impatient')).toBe('/api/chat wait-in-queue')
  const said = { said: 'Paris.', waited: true }
  expect(judged('whole wait-impatient', said, said)).toEqual({
    ok: true,
    why: 'answered, where Ollama itself lets it wait past its limit',
  })
  expect(judged('/api/chat wait-impatient', said, raised).ok).toBe(false)
  expect(judged('/api/chat wait-impatient', said, { said: 'Pa', waited: true }).ok).toBe(false)
  expect(judged('/api/chat target-away-late', raised, { said: '' }).ok).toBe(false)
})

test('what a client was not asked is a gap unless it has no words for it, and so is an excuse that is none', () => {
  const whole = [...calls, ...streamCases.map((kind) => `/api/chat ${kind}`)].map((name) => told(name, 1))
  expect(gaps(whole)).toEqual([])
  expect(gaps(whole.filter(({ case: name }) => name !== 'tools' && name !== '/api/chat abort-queued'))).toEqual([
    'tools',
    '/api/chat abort-queued',
  ])
  expect(gaps(calls.map((name) => told(name, 1)))).toEqual(['no stream'])
  const excused = whole.map((one) => ({ ...one, client: 'litellm (PyPI)' }))
  const house = ['list', 'show', 'ps', 'create', 'copy', 'delete']
  expect(gaps(excused.filter((one) => !house.includes(one.case)))).toEqual([])
  expect(gaps(excused.filter((one) => !house.includes(one.case) || one.case === 'ps'))).toEqual([
    'ps, although it is excused',
  ])
})

test('the tables say how often a case was right, and every path must have seen every failure', () => {
  const ok = { ok: true, why: '' }
  const wrong = { ok: false, why: 'silent success' }
  const cases = [
    { told: told('chat', 1, 'litellm (PyPI)'), verdict: ok },
    { told: told('/api/chat stream', 1, 'litellm (PyPI)'), verdict: ok },
    { told: told('/v1/chat/completions stream', 1, 'litellm (PyPI)'), verdict: wrong },
    { told: told('/api/chat fails-reset', raised, 'litellm (PyPI)'), verdict: ok },
  ]
  expect(callsOf(cases)).toStartWith('| litellm (PyPI) | 1/1 | 0/0 |')
  expect(callsOf(cases).split(' | ').slice(7, 13)).toEqual(['–', '–', '–', '–', '–', '–'])
  expect(streamsOf(cases)).toStartWith('| litellm (PyPI) | 1/2 | 0/0 |')
  expect(failureRows(cases)[0]).toBe('| /api/chat | 1/1 | 0/0 | 0/0 | 0/0 | 0/0 | 0/0 | litellm (PyPI) |')
  const all = streamPaths.flatMap((path) =>
    faults.map((kind) => ({ told: told(`${path} ${kind}`, raised), verdict: ok })),
  )
  expect(untriedFailures(all)).toEqual([])
  expect(untriedFailures(all.slice(1))).toEqual(['/api/chat fails-reset'])
})

test('the document has every client in every table, and nothing in it is short of what was tried', async () => {
  const document = await Bun.file(`${import.meta.dir}/../../docs/reference/clients.md`).text()
  for (const name of ['clients', 'calls', 'streams'] as const) expect(rowsIn(document, name)).toHaveLength(12)
  const failures = rowsIn(document, 'failures')
  expect(failures.slice(2).map((row) => row.split(' | ')[0])).toEqual(streamPaths.map((path) => `| ${path}`))
  const figures = (['calls', 'streams', 'failures'] as const).flatMap((name) =>
    rowsIn(document, name).flatMap((row) =>
      [...row.matchAll(/ (\d+)\/(\d+) /g)].map(([, right, tried]) => [right, tried]),
    ),
  )
  expect(figures.length).toBeGreaterThan(250)
  expect(figures.filter(([right, tried]) => right !== tried || tried === '0')).toEqual([])
})

test('the table takes what ran and keeps the rows of clients that did not', () => {
  const cases = [
    { told: told('chat', 1), verdict: judged('chat', 1, 1) },
    { told: told('/v1/x fails-reset', raised), verdict: judged('/v1/x fails-reset', 1, raised) },
  ]
  const row = rowOf(cases)
  expect(row).toBe('| ollama (npm) | 1.0.0 | 2 | 1 | 1 | 0 |  |')
  const document = 'before\n<!-- clients:begin -->\n| head |\n|---|\n| other | 2 |\n<!-- clients:end -->\nafter\n'
  const once = withRows(document, 'clients', [row])
  expect(rowsIn(once, 'clients')).toEqual(['| head |', '|---|', '| other | 2 |', row])
  expect([once.startsWith('before\n'), once.endsWith('\nafter\n'), withRows(once, 'clients', [row]) === once]).toEqual([
    true,
    true,
    true,
  ])
})
