/** foreman watch: fresh, stale and missing files by exit code, and alerts while it goes on. */
import { afterEach, expect, test } from 'bun:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { createIo } from '../support/command-io.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { type Listener, startListener } from '../support/listener.ts'

let listener: Listener | undefined
afterEach(async () => {
  await listener?.stop()
  listener = undefined
})

const agoMs = (ms: number) => Date.now() - ms

test('all files fresh is 0, one stale or missing is 1, and each is said', async () => {
  const io = createIo({}, { modifiedAtMs: { '/a': agoMs(60_000), '/b': agoMs(7_200_000) } })
  expect(await runCommandLine(['watch', '/a', '--max-age', '1h'], io)).toBe(0)
  expect(await runCommandLine(['watch', '/a', '/b', '/c', '--max-age', '1h'], io)).toBe(1)
  expect(io.out()).toBe(
    [
      'fresh  /a was touched 1m ago',
      'fresh  /a was touched 1m ago',
      'STALE  /b was touched 2h ago',
      'STALE  /c is not there',
      '',
    ].join('\n'),
  )
})

test('--json is one line a file', async () => {
  const io = createIo({}, { modifiedAtMs: { '/a': agoMs(60_000) } })
  expect(await runCommandLine(['watch', '/a', '/b', '--max-age', '10m', '--json'], io)).toBe(1)
  expect(
    io
      .out()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { file: '/a', fresh: true, age_seconds: 60 },
    { file: '/b', fresh: false, age_seconds: null },
  ])
})

test('what is wrong is one sentence and 2', async () => {
  const wrongly = async (args: string[], env = {}) => {
    const io = createIo(env)
    expect(await runCommandLine(['watch', ...args], io)).toBe(2)
    return io.err()
  }
  expect(await wrongly([])).toContain('watch needs a file')
  expect(await wrongly(['/a'])).toContain('--max-age')
  expect(await wrongly(['/a', '--max-age', 'soon'])).toContain('--max-age is "soon"')
  expect(await wrongly(['/a', '--max-age', '1h'], { FOREMAN_ALERT_FORMAT: 'pager' })).toContain('FOREMAN_ALERT_FORMAT')
})

test('with --every a file that goes stale is told once and its return once, over a receiver that first refuses', async () => {
  listener = startListener((count) => (count === 1 ? 503 : 200))
  const modifiedAtMs: Record<string, number> = {}
  const clock = createHastyClock(100)
  const env = { FOREMAN_ALERT_URL: listener.url.replace('//', '//me:pw@') }
  const io = { ...createIo(env, { modifiedAtMs }), clock }
  const running = runCommandLine(['watch', '/a', '--max-age', '10m', '--every', '5s'], io)
  await listener.until(2)
  expect(listener.receipts[1]?.headers.get('authorization')).toBe(`Basic ${btoa('me:pw')}`)
  expect(JSON.parse(listener.receipts[1]?.text ?? '')).toMatchObject({ part: 'watch', alert: '/a', state: 'fired' })
  modifiedAtMs['/a'] = clock.now()
  const heard = await listener.until(3)
  expect(JSON.parse(heard[2]?.text ?? '')).toMatchObject({ alert: '/a', state: 'resolved' })
  io.signal('SIGTERM')
  expect(await running).toBe(0)
  expect(io.err()).toContain('answered 503')
  expect(io.err()).not.toContain('pw')
})
