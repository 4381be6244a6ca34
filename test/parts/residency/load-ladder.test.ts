/** Loads that do not come about: each is cured at the step that cures it, and what is only slow is never touched. */
import { afterEach, expect, test } from 'bun:test'
import { figure, seedOf } from '../../support/figures.ts'
import { createResidencyBench, type ResidencyBench } from '../../support/residency-bench.ts'
import { slowHours } from '../../support/slow-hours.ts'

let bench: ResidencyBench
afterEach(() => bench?.close())

const TIMEOUT_MS = 600_000
const steps = () => bench.noticed('load_hangs').map(({ step }) => step)
const unloads = () => bench.target.seen.filter(({ body }) => body.includes('"keep_alive":0')).map(({ key }) => key)
/** Loads of this model fall silent, so many of them. */
const hang = (model: string, times: number) => {
  let left = times
  bench.target.script = ({ isLoad, key }) => {
    if (!isLoad || key !== model || left === 0) return undefined
    left--
    return { kind: 'hang' }
  }
}

test('a silent load is given back with its attempt, and the next try is answered', async () => {
  bench = createResidencyBench({}, { workMs: 1_000 })
  hang('m-a', 1)
  const result = bench.call('a', { model: 'm-a' })
  const tookMs = await bench.until(() => result.isOver)
  expect([result.status, steps()]).toEqual([200, ['unload', 'give-back']])
  expect(tookMs).toBeLessThanOrEqual(TIMEOUT_MS + 60_000)
  expect(bench.eventsOf('job_requeued')).toMatchObject([{ outcome: 'hung', deferred: true }])
  expect(bench.eventsOf('job_done')).toMatchObject([{ attempt: 1 }])
  expect(bench.status()).toMatchObject({ load_hangs: { unload: 1, 'give-back': 1 } })
  figure(
    'K3',
    'a silent load',
    `given back and answered ${Math.round((tookMs - TIMEOUT_MS) / 1_000)} s after FOREMAN_LOAD_TIMEOUT`,
  )
})

test('the deadlock is cured by the first step: what is idle is unloaded', async () => {
  bench = createResidencyBench({}, { workMs: 1_000 })
  bench.target.resident = 'm-b'
  await bench.clock.advance(30_000)
  bench.target.script = ({ isLoad, key }) =>
    isLoad && key === 'm-a' && bench.target.resident === 'm-b'
      ? { kind: 'stuck', until: () => bench.target.resident === null }
      : undefined
  const result = bench.call('a', { model: 'm-a' })
  const tookMs = await bench.until(() => result.isOver)
  expect([result.status, steps(), unloads()]).toEqual([200, ['unload'], ['m-b']])
  expect(tookMs).toBeLessThanOrEqual(TIMEOUT_MS + 60_000)
  figure(
    'K3',
    'the deadlock, of a model that was never loaded before',
    `cured by unloading, ${Math.round((tookMs - TIMEOUT_MS) / 1_000)} s after FOREMAN_LOAD_TIMEOUT`,
  )
})

test('a model whose usual load is known hangs after three times that and two minutes', async () => {
  bench = createResidencyBench({}, { loadMs: 5_000, workMs: 1_000 })
  bench.target.modelSlots = 2
  for (const model of ['m-b', 'm-a']) {
    const first = bench.call(model, { model })
    await bench.until(() => first.isOver)
  }
  await bench.clock.advance(60_000)
  bench.target.evict('m-a')
  await bench.clock.advance(30_000)
  hang('m-a', 1)
  const result = bench.call('again', { model: 'm-a' })
  const tookMs = await bench.until(() => result.isOver)
  // 3 x 5 s and 120 s, the steps, the load and the work.
  expect(tookMs).toBeLessThanOrEqual(135_000 + 60_000)
  expect([result.status, steps()]).toEqual([200, ['unload', 'give-back']])
})

test('a second time: an alarm and a word to whoever may restart, then the caller is told and a job spends an attempt', async () => {
  bench = createResidencyBench({ loadTimeoutMs: 60_000 })
  hang('m-a', Number.POSITIVE_INFINITY)
  const result = bench.call('a', { model: 'm-a' })
  const tookMs = await bench.until(() => result.isOver)
  expect(steps()).toEqual(['unload', 'give-back', 'unload', 'restart', 'give-up'])
  expect(tookMs).toBeLessThanOrEqual(2 * (60_000 + 60_000))
  expect(bench.eventsOf('job_failed')).toMatchObject([{ failure: { code: 'load_failed' } }])
  expect(bench.eventsOf('alarm')).toMatchObject([{ name: 'load_hangs', state: 'raised' }])
  await bench.submit('job', { model: 'm-a', maxAttempts: 2 })
  await bench.until(() => bench.store.row('job')?.state === 'failed', 3_600_000)
  // Others have their turn, and it ends.
  const other = bench.call('other', { model: 'm-b' })
  await bench.until(() => other.isOver, 60_000)
  expect(other.status).toBe(200)
  bench.target.script = () => undefined
  const good = bench.call('good', { model: 'm-a' })
  await bench.until(() => good.isOver)
  await bench.clock.advance(60_000)
  expect(bench.eventsOf('alarm').at(-1)).toMatchObject({ state: 'resolved' })
})

test('what is still there after it was told to go is somebody’s: a busy target is not cured', async () => {
  bench = createResidencyBench({ loadTimeoutMs: 60_000 }, { workMs: 1_000 })
  bench.target.resident = 'm-b'
  await bench.clock.advance(30_000)
  const { evict } = bench.target
  bench.target.evict = () => undefined
  bench.target.script = ({ isLoad, key }) =>
    isLoad && key === 'm-a' && bench.target.resident === 'm-b'
      ? { kind: 'stuck', until: () => bench.target.resident !== 'm-b' }
      : undefined
  const result = bench.call('a', { model: 'm-a' })
  await bench.clock.advance(1_200_000)
  expect([result.isOver, steps(), bench.target.active]).toEqual([false, ['unload'], 1])
  bench.target.evict = evict
  evict('m-b')
  await bench.until(() => result.isOver)
  expect(result.status).toBe(200)
})

test('prefills of 10 min, loads of 9 min and a token a minute: nothing is cured in 20 virtual hours', async () => {
  const calls = await slowHours(20, seedOf('slow'))
  figure('K3', `${calls} calls in 20 virtual hours: loads of 9 min, prefills of 10 min, a token a minute`, '0 cures')
}, 60_000)
