/** D3 in small: a database that refuses for a while stops nothing for good, loses nothing and has no work done twice. */
import { afterEach, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { createFaultyQueue, type FaultyQueue, type QueueOperation } from '../support/faulty-queue.ts'

let bench: Bench
let faulty: FaultyQueue
afterEach(() => bench.close())

const build = (options: Parameters<typeof createBench>[0] = {}) => {
  bench = createBench({
    ...options,
    wrapQueue: (queue) => {
      faulty = createFaultyQueue(queue)
      return faulty.queue
    },
  })
}

const works = () => bench.target.seen.filter(({ isWork }) => isWork).length

test('a finished job is settled when the database takes it again, and its work is not done twice', async () => {
  build()
  faulty.refuse.settle = 20
  await bench.submit('a')
  await bench.until(() => bench.store.row('a')?.state === 'done', 3_600_000, 1_000)
  expect([faulty.calls.settle, works()]).toEqual([21, 1])
  expect(bench.store.row('a')).toMatchObject({ attempt: 1 })
  expect(bench.store.db.query('SELECT name FROM artifacts').values()).toEqual([['completion']])
  expect(bench.eventsOf('settle_retried').length).toBe(20)
})

test('a caller has its answer although the database refuses to note it', async () => {
  build()
  faulty.refuse.settle = 5
  const call = bench.call('a')
  await bench.until(() => call.isOver, 1_000)
  expect(call.status).toBe(200)
  expect(bench.store.row('a')?.state).toBe('working')
  await bench.until(() => bench.store.row('a')?.state === 'done', 60_000)
})

test.each<QueueOperation>(['claim', 'advance', 'settle'])(
  '%s refused ten times in a row leaves the worker alive',
  async (operation) => {
    build()
    faulty.refuse[operation] = 10
    await bench.submit('async')
    await bench.submit('other', { model: 'm-b' })
    await bench.until(() => faulty.refuse[operation] === 0, 3_600_000)
    const began = bench.clock.monotonicMs()
    await bench.until(() => bench.store.rows().every(({ state }) => state === 'done'), 120_000)
    expect(bench.clock.monotonicMs() - began).toBeLessThanOrEqual(5_000)
    expect(bench.store.rows().map(({ attempt }) => attempt)).toEqual([1, 1])
    expect(works()).toBe(2)
  },
)

test('a caller that leaves while the database refuses to let its job begin is not served', async () => {
  build()
  faulty.refuse.advance = 10
  const call = bench.call('a')
  await bench.clock.advance(1_000)
  call.leave()
  await bench.clock.advance(10_000)
  expect(bench.store.row('a')?.state).toBe('cancelled')
  expect([works(), faulty.refuse.advance > 0]).toEqual([0, true])
})

test('a submit that the database refuses is told with 503', async () => {
  build()
  faulty.refuse.submit = 1
  const call = bench.call('a')
  await bench.quiet()
  expect([call.status, bench.engine.callers.size]).toEqual([503, 0])
  expect(call.text).toContain('cannot write to its data directory')
})

test('a caller that leaves while the database refuses is forgotten without harm', async () => {
  build({ workMs: 10_000 })
  await bench.submit('before')
  const call = bench.call('a')
  await bench.quiet()
  faulty.refuse.withdraw = 3
  call.leave()
  await bench.clock.advance(60_000)
  expect(bench.store.row('a')?.state).toBe('cancelled')
  expect([works(), bench.engine.callers.size]).toEqual([1, 0])
})

test('a deadline is kept although the database refuses to withdraw the job', async () => {
  build({ workMs: 10_000 })
  await bench.submit('before')
  const call = bench.call('a', { deadlineMs: 3_000 })
  await bench.quiet()
  faulty.refuse.withdraw = 3
  await bench.clock.advance(3_100)
  expect([call.isOver, call.status]).toEqual([true, 503])
  await bench.clock.advance(60_000)
  expect(works()).toBe(1)
  expect(bench.store.row('a')?.completed_at).not.toBeNull()
})

test('a deadline is kept although the database refuses to put the job back into the queue', async () => {
  build()
  bench.target.script = ({ isWork }) => (isWork ? { kind: 'reset', afterMs: 1_000 } : undefined)
  const call = bench.call('a', { deadlineMs: 3_000 })
  await bench.quiet()
  faulty.refuse.settle = 6
  await bench.until(() => call.isOver, 60_000)
  expect(call.status).toBe(503)
  expect(bench.store.row('a')?.completed_at).not.toBeNull()
})

test('the unreachable deadline is kept although the database refuses to withdraw the job', async () => {
  build()
  await bench.clock.advance(1_000)
  bench.target.awake = false
  const call = bench.call('a')
  await bench.until(() => !bench.engine.state.view.reachable, 30_000)
  faulty.refuse.withdraw = 3
  await bench.clock.advance(61_000)
  expect([call.isOver, call.status]).toEqual([true, 503])
})

test('stopping ends although the database refuses', async () => {
  build({ workMs: 60_000 })
  bench.call('running')
  const waiting = bench.call('waiting')
  await bench.quiet()
  faulty.refuse.withdraw = 5
  await bench.stop(1_000)
  expect(waiting.isOver).toBe(true)
})
