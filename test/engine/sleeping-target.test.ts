/** T1: the target asleep for a day loses nothing, fails nothing and spends no attempt. */
import { afterEach, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'

const DAY_MS = 24 * 3_600_000
const POLL_MS = 30_000
const JOBS = 100

let bench: Bench
afterEach(() => bench.close())

const submitAll = async () => {
  for (let i = 0; i < JOBS; i++) await bench.submit(`j${i}`, { text: `job ${i}` })
}

const polls = () => bench.target.seen.filter(({ path }) => path === '/api/tags').length

const workingAtMs = () => bench.target.seen.filter(({ path, isLoad }) => path === '/api/chat' && !isLoad).at(0)?.atMs

test('100 jobs wait for a target that sleeps for 24 hours, and the first starts within a poll of its return', async () => {
  bench = createBench({ workMs: 1_000, config: { pollIntervalMs: POLL_MS } })
  await bench.clock.advance(5_000)
  bench.target.awake = false
  const pollsBefore = polls()
  await submitAll()
  const began = performance.now()
  await bench.clock.advance(DAY_MS)
  const tookMs = performance.now() - began
  const probes = polls() - pollsBefore
  const asleep = bench.store.rows()
  expect(asleep.map(({ state }) => state)).toEqual(Array.from({ length: JOBS }, () => 'queued' as const))
  expect(asleep.every(({ attempt }) => attempt === 0)).toBe(true)
  expect(bench.engine.worker.state).toBe('parked')
  expect(bench.eventsOf('target_unreachable').length).toBe(1)
  expect(probes).toBeLessThanOrEqual(2_880)

  bench.target.awake = true
  const wokeAtMs = bench.clock.monotonicMs()
  await bench.until(() => workingAtMs() !== undefined, 2 * POLL_MS)
  const firstMs = (workingAtMs() ?? Number.POSITIVE_INFINITY) - wokeAtMs
  await bench.until(() => bench.eventsOf('job_done').length === JOBS, 10 * 60_000, 1_000)

  const ended = bench.store.rows()
  expect(ended.every(({ state, attempt }) => state === 'done' && attempt === 1)).toBe(true)
  expect(firstMs).toBeLessThanOrEqual(POLL_MS)
  expect(bench.eventsOf('job_failed')).toEqual([])
  expect(bench.target.overlaps).toBe(0)
  const lost = ended.filter(({ state }) => state !== 'done').length
  figure(
    'T1',
    `24 virtual hours asleep, ${JOBS} jobs: lost ${lost}, failed 0, attempts 0, ${probes} probes, first job ${firstMs} ms ` +
      `after waking; simulated in ${tookMs.toFixed(0)} ms`,
  )
})

test('at whatever moment the target wakes, its first job starts within one poll interval', async () => {
  let worstMs = 0
  for (let offsetMs = 0; offsetMs < POLL_MS; offsetMs += 500) {
    bench = createBench({ config: { pollIntervalMs: POLL_MS } })
    await bench.clock.advance(5_000)
    bench.target.awake = false
    await bench.submit('j')
    await bench.clock.advance(5 * 60_000 + offsetMs)
    bench.target.awake = true
    const wokeAtMs = bench.clock.monotonicMs()
    await bench.until(() => workingAtMs() !== undefined, 2 * POLL_MS)
    worstMs = Math.max(worstMs, (workingAtMs() ?? Number.POSITIVE_INFINITY) - wokeAtMs)
    await bench.close()
  }
  bench = createBench()
  expect(worstMs).toBeLessThanOrEqual(POLL_MS)
  figure('T1', `first job after waking, the worst of 60 moments: ${worstMs} ms of a poll interval of ${POLL_MS} ms`)
})

test('a target that refuses connections for a day is asked once per poll and gets one try of one job', async () => {
  bench = createBench({ config: { pollIntervalMs: POLL_MS } })
  await bench.clock.advance(5_000)
  const { send } = bench.target
  const asked: string[] = []
  bench.target.send = async ({ method }) => {
    asked.push(method)
    return { kind: 'unreached', code: 'refused', message: 'connection refused' }
  }
  await submitAll()
  await bench.clock.advance(DAY_MS)
  const probes = asked.filter((method) => method === 'GET').length
  expect(probes).toBeLessThanOrEqual(2_880)
  expect(asked.length - probes).toBe(1)
  expect(bench.store.rows().every(({ state, attempt }) => state === 'queued' && attempt === 0)).toBe(true)
  bench.target.send = send
  await bench.until(() => bench.eventsOf('job_done').length === JOBS, 10 * 60_000, 1_000)
  figure('T1', `24 virtual hours of refused connections: ${probes} probes`)
})

test('jobs that arrive while the target sleeps are taken, and run in the order they came', async () => {
  bench = createBench()
  await bench.clock.advance(1_000)
  bench.target.awake = false
  await bench.clock.advance(60_000)
  await submitAll()
  expect(bench.store.queue.counts().queued).toBe(JOBS)
  bench.target.awake = true
  await bench.until(() => bench.eventsOf('job_done').length === JOBS, 10 * 60_000, 1_000)
  expect(bench.eventsOf('job_done').map(({ jobId }) => jobId)).toEqual(Array.from({ length: JOBS }, (_, i) => `j${i}`))
})

test('a target that falls asleep in the middle of a job gets that job again when it is back', async () => {
  bench = createBench({ workMs: 20_000 })
  bench.target.script = ({ path, isLoad }) => (path === '/api/chat' && !isLoad ? { kind: 'hang' } : undefined)
  await bench.submit('a')
  await bench.clock.advance(5_000)
  expect(bench.engine.worker).toMatchObject({ state: 'working', jobId: 'a' })
  // The socket is half open: nothing comes, nothing breaks. Only the probes can tell.
  bench.target.awake = false
  await bench.clock.advance(6 * 3_600_000)
  expect(bench.store.row('a')).toMatchObject({ state: 'queued', attempt: 0, deferrals: 1 })
  bench.target.script = () => undefined
  bench.target.awake = true
  await bench.until(() => bench.eventsOf('job_done').length === 1, 120_000)
  expect(bench.store.row('a')).toMatchObject({ state: 'done', attempt: 1 })
})
