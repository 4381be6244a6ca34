/** The job commands against a real foreman with a simulated target behind it: what they say of each other must fit. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createIo } from '../support/command-io.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'

let simulator: Simulator
let foreman: RunningForeman
beforeAll(async () => {
  // A stream brings what comes after it was asked for: no real model speaks within a few milliseconds either.
  simulator = await startSimulator({ port: 0, models: [{ name: 'tiny:1b' }], firstTokenMs: 150 })
  foreman = await runForeman(simulator.url)
  // Before the first poll nobody knows what is installed, and every model is taken.
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const run = async (...argv: string[]) => {
  const io = createIo({ FOREMAN_URL: foreman.url })
  return { code: await runCommandLine(argv, io), out: io.out(), err: io.err() }
}
const submit = async (...argv: string[]) => (await run('submit', '--model', 'tiny:1b', ...argv)).out.trim()

test('an id goes from submit to wait, show and list', async () => {
  const id = await submit('Why? [[n=5]]')
  expect(await run('wait', '--timeout', '30s', id)).toEqual({
    code: 0,
    out: expect.stringMatching(new RegExp(`^${id}  done in \\d+s\\n$`)),
    err: '',
  })
  const answer = (await run('show', '--result', id)).out
  expect(answer.length).toBeGreaterThan(5)
  expect(JSON.parse((await run('show', '--json', id)).out)).toMatchObject({
    id,
    state: 'done',
    model: 'tiny:1b',
    attempt: 1,
  })
  expect((await run('list', '--state', 'done', '--kind', 'async')).out).toContain(`${id}  done   tiny:1b`)
  expect((await run('list', '--ids', '--model', 'tiny:1b')).out.trim().split('\n')).toContain(id)
})

test('--wait and --stream print the same answer as show --result', async () => {
  for (const how of ['--wait', '--stream']) {
    const { code, out, err } = await run('submit', '--model', 'tiny:1b', how, 'Why? [[n=40]]')
    expect([code, err]).toEqual([0, ''])
    const [id] = (await run('list', '--ids', '--limit', '1')).out.split('\n')
    expect((await run('show', '--result', id ?? '')).out).toBe(out)
  }
})

test('the same idempotency key names the same job', async () => {
  const ids = await Promise.all([1, 2, 3].map(() => submit('--idempotency-key', 'nightly', 'Once [[n=1]]')))
  expect(new Set(ids).size).toBe(1)
  const other = await run('submit', '--model', 'tiny:1b', '--idempotency-key', 'nightly', 'Twice')
  expect([other.code, other.err]).toEqual([1, expect.stringContaining('Idempotency-Key was used with another body')])
})

test('a cancelled job is cancelled for everybody, once', async () => {
  const id = await submit('A long one [[n=100000]]')
  expect(await run('cancel', id)).toEqual({ code: 0, out: `${id}  cancelled\n`, err: '' })
  expect(await run('wait', id)).toEqual({ code: 1, out: `${id}  cancelled\n`, err: '' })
  const again = await run('cancel', id)
  expect([again.code, again.out, again.err]).toEqual([1, '', expect.stringContaining('cancelled')])
})

test('what foreman refuses is one sentence', async () => {
  const unknown = await run('submit', '--model', 'nobody:1b', 'x')
  expect([unknown.code, unknown.err]).toEqual([
    1,
    expect.stringMatching(/^foreman: model "nobody:1b" is not installed [^\n]+\n$/),
  ])
  const raw = createIo({ FOREMAN_URL: foreman.url }, { stdin: '{"model":' })
  expect(await runCommandLine(['submit', '--raw-body', '-'], raw)).toBe(1)
  expect(raw.err()).toMatch(/^foreman: [^\n]+\n$/)
  const limit = await run('list', '--limit', '501')
  expect([limit.code, limit.err]).toEqual([1, expect.stringMatching(/^foreman: [^\n]*500[^\n]*\n$/)])
})
