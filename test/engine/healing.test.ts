/** The dispatcher heals itself: a row that holds a slot although nobody runs it blocks the queue for seconds, not for ever. */
import { afterEach, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'

let bench: Bench
afterEach(() => bench.close())

test('jobs that hold slots although nobody runs them are put back, as after a restart, and the queue goes on', async () => {
  bench = createBench()
  await bench.submit('done before')
  await bench.until(() => bench.eventsOf('job_done').length === 1)
  bench.target.awake = false
  bench.call('parks')
  await bench.until(() => !bench.engine.state.view.reachable, 30_000)
  await bench.submit('stranded')
  await bench.submit('behind')
  // Whatever it was that wrote this, no attempt of this process runs it.
  bench.store.db.run(`UPDATE jobs SET state = 'loading', slot = 0, attempt = 1 WHERE id = 'stranded'`)
  bench.target.awake = true
  const tookMs = await bench.until(() => bench.eventsOf('job_done').length === 4, 120_000)
  expect(tookMs).toBeLessThanOrEqual(40_000)
  expect(bench.eventsOf('slots_released').map(({ jobs }) => jobs)).toEqual([1])
  expect(bench.store.row('stranded')?.state).toBe('done')
})

test('a turn that does not end is seen, and one that ends is not', async () => {
  bench = createBench({
    wrapQueue: (queue) => ({ ...queue, claim: () => new Promise(() => undefined) }),
  })
  await bench.clock.advance(45_000)
  expect(bench.engine.stuckMs()).toBeGreaterThan(30_000)
  const healthy = createBench({ workMs: 300_000 })
  await healthy.submit('long')
  await healthy.clock.advance(45_000)
  expect(healthy.engine.stuckMs()).toBeLessThanOrEqual(1_000)
  await healthy.close()
  // It cannot be stopped in order either: the process is to be restarted.
  bench = createBench()
})
