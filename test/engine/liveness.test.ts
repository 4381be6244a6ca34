/** Silence is not death: a silent target is only given up when it no longer answers on a fresh connection, and then within 45 s. */
import { afterEach, expect, test } from 'bun:test'
import { createLiveness } from '../../src/engine/liveness.ts'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'

let bench: Bench | null = null
afterEach(async () => {
  await bench?.close()
  bench = null
})

/** A watch whose probe answers what `isAlive` says, after `probeMs`. */
const watch = (isAlive: (probe: number) => boolean, probeMs = 0) => {
  const clock = createVirtualClock()
  const seen = { probes: 0, lostAtMs: null as number | null }
  const liveness = createLiveness({
    clock,
    probe: () => {
      const alive = isAlive(++seen.probes)
      return new Promise((resolve) => clock.after(probeMs, () => resolve(alive)))
    },
    onLost: () => {
      seen.lostAtMs = clock.monotonicMs()
    },
  })
  return { clock, seen, liveness }
}

test('silence alone never ends a job: hours of it are fine while the target answers probes', async () => {
  const { clock, seen, liveness } = watch(() => true)
  await clock.advance(6 * 3_600_000)
  expect(seen.lostAtMs).toBeNull()
  expect(seen.probes).toBeGreaterThan(2_000)
  liveness.stop()
  expect(clock.pending).toBe(0)
})

test('three failed probes in a row do, within 45 s of the last byte, however slowly they fail', async () => {
  let worst = 0
  for (const probeMs of [0, 1, 2_500, 5_000]) {
    const { clock, seen } = watch(() => false, probeMs)
    await clock.advance(60_000)
    expect(seen.probes).toBe(3)
    expect(seen.lostAtMs).not.toBeNull()
    worst = Math.max(worst, seen.lostAtMs ?? Number.POSITIVE_INFINITY)
    expect(clock.pending).toBe(0)
  }
  expect(worst).toBeLessThanOrEqual(45_000)
  figure('T2', `a half-open target is noticed ${worst} ms after its last byte`)
})

test('two failed probes and a good one are no death', async () => {
  const { clock, seen, liveness } = watch((probe) => probe % 3 === 0)
  await clock.advance(3_600_000)
  expect(seen.lostAtMs).toBeNull()
  liveness.stop()
})

test('a target that sends is not asked at all', async () => {
  const { clock, seen, liveness } = watch(() => false)
  for (let i = 0; i < 100; i++) {
    await clock.advance(7_000)
    liveness.saw()
  }
  expect(seen.probes).toBe(0)
  liveness.stop()
})

test('bytes that come while a probe runs outweigh its failure', async () => {
  const { clock, seen, liveness } = watch(() => false, 5_000)
  for (let i = 0; i < 50; i++) {
    await clock.advance(10_000)
    liveness.saw()
    await clock.advance(3_000)
  }
  expect(seen.probes).toBeGreaterThan(20)
  expect(seen.lostAtMs).toBeNull()
  liveness.stop()
})

test('a watch that is stopped during a probe says nothing more', async () => {
  const { clock, seen, liveness } = watch(() => false, 5_000)
  await clock.advance(8_000 + 8_000 + 8_000 + 1_000)
  liveness.stop()
  await clock.advance(60_000)
  expect([seen.lostAtMs, clock.pending]).toEqual([null, 0])
})

test('a generation that is silent for 25 minutes is answered', async () => {
  bench = createBench({ workMs: 25 * 60_000 })
  const call = bench.call('a')
  await bench.until(() => call.isOver, 30 * 60_000, 10_000)
  expect(call.status).toBe(200)
})

test('a half-open target frees the worker within 45 s and the job is tried again', async () => {
  bench = createBench()
  bench.target.script = ({ isWork }) => (isWork ? { kind: 'hang' } : undefined)
  await bench.submit('a')
  await bench.clock.advance(1_000)
  bench.target.awake = false
  const tookMs = await bench.until(() => bench?.engine.worker.jobId === null, 60_000)
  expect(tookMs).toBeLessThanOrEqual(45_000)
  expect(bench.eventsOf('job_requeued')).toMatchObject([{ jobId: 'a', outcome: 'lost', deferred: true, attempt: 1 }])
  expect(bench.engine.worker.state).toBe('parked')
})

test('a load that hangs in a dead target is given up too', async () => {
  bench = createBench()
  bench.target.script = ({ isLoad, path }) => (isLoad && path === '/api/generate' ? { kind: 'hang' } : undefined)
  await bench.submit('a')
  await bench.clock.advance(1_000)
  bench.target.awake = false
  await bench.until(() => bench?.engine.worker.jobId === null, 45_000)
  expect(bench.target.active).toBe(0)
})
