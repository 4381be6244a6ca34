/** When the fallback is asked, and when it never is, whatever happens: on a virtual clock, in any history. */
import { afterAll, afterEach, expect, test } from 'bun:test'
import { runFairHistories } from '../../support/fair-histories.ts'
import { createFallbackBench, type FallbackBench } from '../../support/fallback-bench.ts'
import { seedOf } from '../../support/figures.ts'
import { createTestStore } from '../../support/store.ts'
import { goodStream } from '../../support/virtual-target.ts'

const store = createTestStore({ fast: true })
afterAll(store.close)

let bench: FallbackBench | undefined
const start = (options: Parameters<typeof createFallbackBench>[0] = {}) => {
  bench = createFallbackBench({ store, ...options })
  return bench
}
afterEach(async () => {
  await bench?.close()
  bench = undefined
})

test('random histories of 4xx, busy, slow, aborted, expired and broken off: the fallback is never asked', async () => {
  const { asked } = await runFairHistories(store, { count: 40, seed: seedOf('fallback') })
  expect(asked).toBe(0)
}, 120_000)

test('the same bench with a target that sleeps does ask it, so that the test above can fail', async () => {
  const { clock, target, call, worked, until } = start()
  await clock.advance(1_000)
  target.awake = false
  await clock.advance(60_000)
  const result = call('a')
  await until(() => result.isOver, 60_000)
  expect([result.status, result.text, worked()]).toEqual([200, goodStream, 1])
  expect(result.headers.get('x-foreman-served-by')).toBe('fallback')
})

test('whoever comes when the target has just gone waits for FOREMAN_FALLBACK_AFTER, whoever comes later does not', async () => {
  const { clock, target, call, until, engine } = start({ config: { pollIntervalMs: 600_000 } })
  await clock.advance(1_000)
  target.awake = false
  engine.state.unreached('gone')
  const beganMs = clock.monotonicMs()
  const first = call('first')
  await until(() => first.isOver, 60_000, 10)
  expect((first.endedAtMs ?? 0) - beganMs).toBeGreaterThanOrEqual(5_000)
  expect((first.endedAtMs ?? 0) - beganMs).toBeLessThan(5_200)
  const laterMs = clock.monotonicMs()
  const later = call('later')
  await until(() => later.isOver, 60_000, 10)
  expect((later.endedAtMs ?? 0) - laterMs).toBeLessThan(200)
})

test('a target that is declared down is not waited for', async () => {
  const { clock, call, until, engine, noticed } = start()
  await clock.advance(1_000)
  engine.declareDown('manager', 'it is in quarantine')
  const beganMs = clock.monotonicMs()
  const result = call('a')
  await until(() => result.isOver, 60_000, 10)
  expect([result.status, (result.endedAtMs ?? 0) - beganMs < 200]).toEqual([200, true])
  expect(noticed('fallback_served')).toMatchObject([{ reason: 'down' }])
})

test('a target that goes away after the first byte: its stream ends with the error, and nobody goes on in its place', async () => {
  const { clock, target, call, until, worked } = start({ fallback: { fallbackAfterMs: 0 } })
  await clock.advance(1_000)
  const pieces = ['{"model":"m-a","message":{"role":"assistant","content":"hi"},"done":false}\n']
  target.script = ({ isWork }) => (isWork ? { kind: 'stream', pieces, ending: 'hang' } : undefined)
  const result = call('a')
  await clock.advance(1_000)
  target.awake = false
  await until(() => result.isOver, 120_000)
  expect(result.text.split('\n').filter((line) => line !== '')).toEqual([
    String(pieces[0]).trim(),
    '{"error":"the target stopped answering while the job ran"}',
  ])
  expect([result.headers.get('x-foreman-served-by'), worked()]).toEqual([null, 0])
})

test('a model that the target cannot load, attempt after attempt, is answered elsewhere', async () => {
  const { clock, target, call, until, noticed } = start({ config: { maxAttempts: 2 } })
  await clock.advance(1_000)
  const error = 'llama-server process has terminated: exit status 1'
  target.script = ({ isLoad }) => (isLoad ? { kind: 'status', status: 500, error } : undefined)
  const result = call('a')
  await until(() => result.isOver, 120_000)
  expect([result.status, result.headers.get('x-foreman-served-by')]).toEqual([200, 'fallback'])
  expect(noticed('fallback_served')).toMatchObject([{ reason: 'failed' }])
  await until(() => store.rows().every(({ state }) => state === 'done'), 60_000)
  expect(store.rows().map(({ state, attempt }) => [state, attempt])).toEqual([['done', 2]])
})

test('so many at once, the rest in order; the target’s return takes over those who still wait', async () => {
  const { clock, target, laptop, call, until, worked } = start({
    laptopMs: 120_000,
    fallback: { fallbackConcurrency: 2 },
  })
  await clock.advance(1_000)
  target.awake = false
  await clock.advance(60_000)
  const calls = Array.from({ length: 6 }, (_, i) => call(`c${i}`, { text: `call ${i}` }))
  await clock.advance(5_000)
  expect([laptop.mostAtOnce, worked()]).toEqual([2, 2])
  target.awake = true
  await until(() => calls.slice(2).every(({ isOver }) => isOver), 60_000)
  expect(calls.map(({ isOver }) => isOver)).toEqual([false, false, true, true, true, true])
  await until(() => calls.every(({ isOver }) => isOver), 120_000)
  expect(calls.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
  const by = calls.map(({ headers }) => headers.get('x-foreman-served-by'))
  expect(by).toEqual(['fallback', 'fallback', null, null, null, null])
  expect(store.rows().map(({ state, attempt }) => `${state} ${attempt}`)).toEqual(Array(6).fill('done 1'))
})

test('a caller that leaves or expires in a lane ends its call there', async () => {
  const { clock, target, laptop, call, until } = start({ laptopMs: 600_000 })
  await clock.advance(1_000)
  target.awake = false
  await clock.advance(60_000)
  const left = call('left')
  await clock.advance(1_000)
  expect(laptop.active).toBe(1)
  left.leave()
  await until(() => laptop.active === 0, 2_000)
  const late = call('late', { deadlineMs: 2_000 })
  await until(() => late.isOver, 10_000)
  expect([late.status, laptop.active]).toEqual([503, 0])
  expect(store.rows().map(({ state }) => state)).toEqual(['cancelled', 'failed'])
})

test('a target that is back in the very moment in which a caller is led away at the end of its patience serves it', async () => {
  let asked = () => {}
  // Asked for when the caller is looked at for the last time.
  const fallbackModels = {
    models: new Map(),
    get rest() {
      queueMicrotask(asked)
      return { kind: 'same' as const }
    },
  }
  const { clock, target, call, until, engine, worked } = start({
    config: { pollIntervalMs: 600_000, unreachableDeadlineMs: 60_000 },
    fallback: { fallbackAfterMs: 60_000, fallbackModels },
  })
  await clock.advance(1_000)
  target.awake = false
  engine.state.unreached('gone')
  const result = call('a')
  await clock.advance(30_000)
  asked = () => {
    target.awake = true
    engine.state.reached()
  }
  await until(() => result.isOver, 60_000, 10)
  expect([result.status, worked()]).toEqual([200, 0])
})

test('three transport faults of the target in a row: calls go to the fallback first, until a poll after 30 s is good', async () => {
  const { clock, target, call, noticed } = start({ config: { pollIntervalMs: 10_000 } })
  await clock.advance(1_000)
  target.script = ({ isWork }) => (isWork ? { kind: 'unreached' } : undefined)
  call('a')
  await clock.advance(20_000)
  expect(noticed('breaker_opened')).toMatchObject([{ of: 'target' }])
  target.script = () => undefined
  await clock.advance(60_000)
  expect(noticed('breaker_closed')).toMatchObject([{ of: 'target' }])
})

test('more than half of at least ten calls is an alarm, and it is resolved under a quarter', async () => {
  const { clock, target, call, until, eventsOf, facts } = start()
  const alarms = () =>
    eventsOf('alarm')
      .filter(({ name }) => name === 'share')
      .map(({ state }) => state)
  const calls = async (count: number, name: string) => {
    for (let i = 0; i < count; i++) {
      const result = call(`${name}${i}`)
      await until(() => result.isOver, 60_000)
      expect(result.status).toBe(200)
    }
  }
  await clock.advance(1_000)
  await calls(5, 'target ')
  target.awake = false
  await clock.advance(60_000)
  await calls(5, 'fallback ')
  expect(alarms()).toEqual([])
  await calls(1, 'more ')
  expect(alarms()).toEqual(['raised'])
  const reason = 'it answered 6 of the 11 calls of the last ten minutes'
  expect(facts()).toEqual({ fallback_rate: { value: 0.545, reason } })
  target.awake = true
  await clock.advance(60_000)
  await calls(13, 'again ')
  expect(alarms()).toEqual(['raised'])
  await calls(10, 'and again ')
  expect(alarms()).toEqual(['raised', 'resolved'])
})

test('a stop lets what is served elsewhere finish, and puts nothing back that is done', async () => {
  const { clock, target, call, stop } = start({ laptopMs: 4_000 })
  await clock.advance(1_000)
  target.awake = false
  await clock.advance(60_000)
  const result = call('a')
  await clock.advance(1_000)
  await stop(10_000)
  expect([result.status, result.isOver]).toEqual([200, true])
  expect(store.rows().map(({ state }) => state)).toEqual(['done'])
})
