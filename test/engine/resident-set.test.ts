/** The resident set: with two models loaded a job for either runs in order of age, and none waits for another model's drain. */
import { afterEach, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'

let bench: Bench
afterEach(() => bench.close())

const startedAfterMs = (id: string): number => {
  const row = bench.store.row(id)
  return row?.started_at == null ? Number.POSITIVE_INFINITY : row.started_at - row.created_at
}

test('beside 100 heavy jobs a call for the small resident model each second starts when the running job ends', async () => {
  const heavyMs = 3_000
  const smallMs = 100
  bench = createBench({ config: { maxWaitMs: 0 } })
  bench.target.modelSlots = 2
  bench.target.script = ({ key, isWork }) =>
    isWork ? { kind: 'ok', afterMs: key === 'm-b' ? smallMs : heavyMs } : undefined
  await bench.submit('warm-small', { model: 'm-b' })
  await bench.submit('warm-heavy', { model: 'm-a' })
  await bench.until(() => bench.eventsOf('job_done').length === 2)
  for (let i = 0; i < 100; i++) await bench.submit(`heavy${i}`, { model: 'm-a' })
  const calls = 300
  for (let i = 0; i < calls; i++) {
    bench.call(`small${i}`, { model: 'm-b' })
    await bench.clock.advance(1_000)
  }
  await bench.until(() => bench.eventsOf('job_done').length === 102 + calls, 3_600_000, 1_000)
  const waits = Array.from({ length: calls }, (_, i) => startedAfterMs(`small${i}`))
  // The job that runs, and the small ones that came while it ran.
  expect(Math.max(...waits)).toBeLessThanOrEqual(heavyMs + 4 * smallMs)
  expect([bench.target.loads, bench.target.overlaps]).toEqual([['m-b', 'm-a'], 0])
  figure(
    'resident set',
    `${calls} small calls beside 100 heavy jobs`,
    `at most ${Math.max(...waits)} ms, 0 extra swaps`,
  )
})

test('two loaded models with endless work share the target, and neither waits long', async () => {
  const workMs = 1_000
  bench = createBench({ config: { maxWaitMs: 0 }, workMs })
  bench.target.modelSlots = 2
  await Promise.all(['m-a', 'm-b'].map((model, i) => bench.submit(`warm${i}`, { model })))
  await bench.until(() => bench.eventsOf('job_done').length === 2)
  for (let i = 0; i < 50; i++) for (const model of ['m-a', 'm-b']) await bench.submit(`${model}${i}`, { model })
  await bench.until(() => bench.eventsOf('job_done').length === 42, 3_600_000)
  const done = bench.eventsOf('job_done').slice(2)
  expect(done.filter(({ model }) => model === 'm-a').length).toBe(20)
  expect(bench.target.loads.length).toBe(2)
})

test('on a target with one slot the set is the one model: k models still cost k loads', async () => {
  bench = createBench({ config: { maxWaitMs: 0 } })
  bench.target.installed.push('m-c:latest')
  const models = ['m-a', 'm-b', 'm-c']
  await Promise.all(Array.from({ length: 30 }, (_, i) => bench.submit(`j${i}`, { model: models[i % 3] ?? 'm-a' })))
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
