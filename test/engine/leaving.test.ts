/** A caller that leaves: its job goes, its load goes unless others wait for it, and no model is loaded for nobody. */
import { afterEach, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'

let bench: Bench
afterEach(() => bench.close())

const works = () => bench.target.seen.filter(({ isWork }) => isWork)

test('a caller that leaves while it waits is never sent to the target', async () => {
  bench = createBench({ workMs: 10_000 })
  bench.call('a')
  const b = bench.call('b', { text: 'b' })
  await bench.quiet()
  b.leave()
  await bench.clock.advance(60_000)
  // It was never claimed, so there is nothing of it in the table.
  expect([bench.store.row('b'), bench.store.place('b')]).toEqual([null, null])
  expect(works().length).toBe(1)
  expect(bench.eventsOf('job_cancelled').map(({ jobId }) => jobId)).toEqual(['b'])
  expect(bench.engine.callers.size).toBe(0)
})

test('a caller that leaves while its job works stops the work within a second', async () => {
  bench = createBench({ workMs: 600_000 })
  const a = bench.call('a')
  await bench.clock.advance(1_000)
  expect(bench.target.active).toBe(1)
  a.leave()
  await bench.quiet()
  expect(bench.target.active).toBe(0)
  expect(bench.store.row('a')).toMatchObject({ state: 'cancelled' })
  expect(bench.engine.state.view.reachable).toBe(true)
})

test('a caller that leaves during a load that nobody else needs ends the load', async () => {
  bench = createBench({ loadMs: 60_000 })
  const a = bench.call('a')
  await bench.clock.advance(1_000)
  a.leave()
  await bench.quiet()
  expect([bench.target.active, bench.target.loads.length]).toEqual([0, 0])
  await bench.clock.advance(120_000)
  expect(bench.target.loads).toEqual([])
})

test('a caller that leaves during a load leaves it to the next who waits for the same, and it is not begun again', async () => {
  bench = createBench({ loadMs: 60_000 })
  const a = bench.call('a')
  const b = bench.call('b')
  await bench.clock.advance(30_000)
  a.leave()
  await bench.until(() => b.isOver, 60_000)
  expect(b.status).toBe(200)
  expect(bench.clock.monotonicMs()).toBeLessThanOrEqual(61_000)
  expect(bench.target.loads).toEqual(['m-a'])
  expect(bench.target.seen.filter(({ isLoad, path }) => isLoad && path === '/api/generate').length).toBe(1)
})

test('a load that its caller left is finished for those who wait for it, before an older job for another model', async () => {
  bench = createBench({ loadMs: 60_000 })
  const a = bench.call('a', { model: 'm-a' })
  await bench.quiet()
  const b = bench.call('b', { model: 'm-b' })
  await bench.quiet()
  const c = bench.call('c', { model: 'm-a' })
  await bench.clock.advance(30_000)
  a.leave()
  await bench.until(() => b.isOver && c.isOver, 300_000)
  expect(bench.target.loads).toEqual(['m-a', 'm-b'])
  expect(bench.eventsOf('job_done').map(({ jobId }) => jobId)).toEqual(['c', 'b'])
})

test('when all who wait for a load leave at the same moment, nothing is loaded for nobody', async () => {
  bench = createBench({ loadMs: 60_000 })
  const calls = [bench.call('a'), bench.call('b'), bench.call('c')]
  await bench.clock.advance(1_000)
  for (const call of calls) call.leave()
  await bench.quiet()
  expect(bench.target.active).toBe(0)
  await bench.clock.advance(120_000)
  expect(bench.target.loads).toEqual([])
  expect(
    bench
      .eventsOf('job_cancelled')
      .map(({ jobId }) => jobId)
      .sort(),
  ).toEqual(['a', 'b', 'c'])
  expect([bench.engine.callers.size, bench.store.queue.isEmpty()]).toEqual([0, true])
})

test('a load that was given up makes room for another model without overlapping it', async () => {
  bench = createBench({ loadMs: 10_000 })
  const a = bench.call('a', { model: 'm-a' })
  const b = bench.call('b', { model: 'm-b' })
  await bench.clock.advance(1_000)
  a.leave()
  await bench.until(() => b.isOver, 60_000)
  expect(bench.target.loads).toEqual(['m-b'])
  expect(bench.target.overlaps).toBe(0)
})

test('after a load that was given up the model that was there before is loaded anew, visibly', async () => {
  bench = createBench({ loadMs: 10_000 })
  const first = bench.call('first', { model: 'm-a' })
  await bench.until(() => first.isOver)
  const b = bench.call('b', { model: 'm-b' })
  await bench.clock.advance(1_000)
  b.leave()
  await bench.quiet()
  const again = bench.call('again', { model: 'm-a' })
  await bench.quiet()
  expect(bench.engine.worker.state).toBe('loading')
  await bench.until(() => again.isOver)
  expect(again.status).toBe(200)
})

test('a job with keep_alive 0 unloads its model, so the next one loads it again', async () => {
  bench = createBench({ loadMs: 1_000 })
  const a = bench.call('a', { keepAlive: 0 })
  await bench.until(() => a.isOver)
  bench.target.resident = null
  const b = bench.call('b')
  await bench.quiet()
  expect(bench.engine.worker.state).toBe('loading')
  await bench.until(() => b.isOver)
  expect(bench.eventsOf('job_loading').map(({ jobId }) => jobId)).toEqual(['a', 'b'])
})

test('after an attempt that broke the model is loaded anew, because its runner may be gone', async () => {
  bench = createBench()
  let tries = 0
  bench.target.script = ({ isWork }) => (isWork && ++tries === 1 ? { kind: 'reset' } : undefined)
  await bench.submit('a')
  await bench.until(() => bench.eventsOf('job_done').length === 1)
  expect(bench.eventsOf('job_loading').map(({ attempt }) => attempt)).toEqual([1, 2])
})

test('a second job for a loaded model does not load', async () => {
  bench = createBench()
  for (const id of ['a', 'b', 'c']) bench.call(id)
  await bench.until(() => bench.eventsOf('job_done').length === 3)
  expect(bench.eventsOf('job_loading').map(({ jobId }) => jobId)).toEqual(['a'])
})

test('a poll that no longer finds the model believes the target over its own memory', async () => {
  bench = createBench()
  bench.call('a')
  await bench.until(() => bench.eventsOf('job_done').length === 1)
  expect(bench.engine.state.residency.loadedKeys.length).toBe(1)
  bench.target.resident = null
  await bench.clock.advance(30_000)
  expect(bench.engine.state.residency.loadedKeys).toEqual([])
})
