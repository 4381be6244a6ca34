/** The resident set: with two models loaded a job for either runs in order of age, and none waits for another model's drain. */
import { afterEach, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'

let bench: Bench
afterEach(() => bench.close())

const startedAtMs = (id: string) => {
  const row = bench.store.row(id)
  return row?.started_at == null ? null : row.started_at - row.created_at
}

test('beside 100 heavy jobs a call for the small resident model each second waits for one job, and nothing is swapped', async () => {
  const workMs = 3_000
  bench = createBench({ workMs, config: { maxWaitMs: 0, pollIntervalMs: 30_000 } })
  bench.target.modelSlots = 2
  await bench.submit('warm-small', { model: 'm-b' })
  await bench.submit('warm-heavy', { model: 'm-a' })
  await bench.until(() => bench.eventsOf('job_done').length === 2)
  expect(bench.target.loads).toEqual(['m-b', 'm-a'])
  for (let i = 0; i < 100; i++) await bench.submit(`heavy${i}`, { model: 'm-a' })
  const calls = 60
  for (let i = 0; i < calls; i++) {
    bench.call(`small${i}`, { model: 'm-b' })
    await bench.clock.advance(4_000)
  }
  await bench.until(() => bench.eventsOf('job_done').length === 102 + calls, 3_600_000, 1_000)
  const waits = Array.from({ length: calls }, (_, i) => startedAtMs(`small${i}`) ?? Number.POSITIVE_INFINITY)
  expect(Math.max(...waits)).toBeLessThanOrEqual(workMs + 100)
  expect([bench.target.loads.length, bench.target.overlaps]).toEqual([2, 0])
  figure(
    'resident set',
    `${calls} small calls beside 100 heavy jobs`,
    `at most ${Math.max(...waits)} ms, 0 extra swaps`,
  )
})

test('on a target with one slot the set is the one model: k models still cost k loads', async () => {
  bench = createBench({ config: { maxWaitMs: 0 } })
  bench.target.installed.push('m-c:latest')
  for (let i = 0; i < 30; i++) await bench.submit(`j${i}`, { model: ['m-a', 'm-b', 'm-c'][i % 3] ?? 'm-a' })
  await bench.until(() => bench.eventsOf('job_done').length === 30)
  expect(bench.target.loads).toEqual(['m-a', 'm-b', 'm-c'])
})

test('what somebody else has loaded is found by the poll and goes first', async () => {
  bench = createBench({ config: { maxWaitMs: 0 } })
  bench.target.modelSlots = 2
  bench.target.resident = 'm-b'
  await bench.clock.advance(100)
  const before = bench.call('before', { model: 'm-a' })
  await bench.submit('after', { model: 'm-b' })
  await bench.until(() => before.isOver)
  await bench.until(() => bench.eventsOf('job_done').length === 2)
  expect(bench.eventsOf('job_done').map(({ jobId }) => jobId)).toContain('after')
})
