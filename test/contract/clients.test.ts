/** What `bun run check:clients` makes of the answers of a real client, and the table that it keeps. */
import { expect, test } from 'bun:test'
import { judge } from '../../scripts/clients/judge.ts'
import { rowOf, rowsIn, withRows } from '../../scripts/clients/table.ts'

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

test('the table takes what ran and keeps the rows of clients that did not', () => {
  const cases = [
    { told: told('chat', 1), verdict: judged('chat', 1, 1) },
    { told: told('/v1/x fails-reset', raised), verdict: judged('/v1/x fails-reset', 1, raised) },
  ]
  const row = rowOf(cases)
  expect(row).toBe('| ollama (npm) | 1.0.0 | 2 | 1 | 1 | 1 of 1 |  |')
  const document = 'before\n<!-- clients:begin -->\n| head |\n|---|\n| other | 2 |\n<!-- clients:end -->\nafter\n'
  const once = withRows(document, [row])
  expect(rowsIn(once)).toEqual(['| head |', '|---|', '| other | 2 |', row])
  expect([once.startsWith('before\n'), once.endsWith('\nafter\n'), withRows(once, [row]) === once]).toEqual([
    true,
    true,
    true,
  ])
})
