/** Stopping: the running job may finish within the grace, those who wait are told at once, nothing acknowledged is lost. */
import { afterEach, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'

let bench: Bench
afterEach(() => bench.close())

/** Starts stopping without waiting for the end. */
const stopping = (graceMs: number) => {
  const end = { isOver: false }
  void bench.engine.stop(graceMs).then(() => {
    end.isOver = true
  })
  return end
}

test('a job that ends within the grace is done', async () => {
  bench = createBench({ workMs: 5_000 })
  await bench.submit('a')
  await bench.clock.advance(1_000)
  const end = stopping(10_000)
  await bench.clock.advance(4_500)
  expect(end.isOver).toBe(true)
  expect(bench.store.row('a')).toMatchObject({ state: 'done', attempt: 1 })
})

test('a job that does not is put back after the grace with its attempt returned', async () => {
  bench = createBench({ workMs: 60_000 })
  await bench.submit('a')
  await bench.clock.advance(1_000)
  const end = stopping(10_000)
  await bench.clock.advance(9_900)
  expect([end.isOver, bench.store.row('a')?.state]).toEqual([false, 'working'])
  await bench.clock.advance(200)
  expect(end.isOver).toBe(true)
  expect(bench.store.row('a')).toMatchObject({ state: 'queued', attempt: 0, deferrals: 0, not_before: null })
  expect(bench.target.active).toBe(0)
})

test('callers that wait are told at once, with the busy text of Ollama, and the running one gets its answer', async () => {
  bench = createBench({ workMs: 5_000 })
  const running = bench.call('running')
  const waiting = [bench.call('w1'), bench.call('w2')]
  await bench.clock.advance(1_000)
  stopping(10_000)
  await bench.quiet()
  for (const call of waiting) {
    expect([call.isOver, call.status]).toEqual([true, 503])
    expect(call.text).toContain('server busy, please try again.  maximum pending requests exceeded')
    expect(call.headers.get('retry-after')).not.toBeNull()
  }
  expect(running.isOver).toBe(false)
  await bench.clock.advance(5_000)
  expect(running.status).toBe(200)
})

test('a running call that does not end within the grace is told', async () => {
  bench = createBench({ workMs: 60_000 })
  const running = bench.call('running')
  await bench.clock.advance(1_000)
  const end = stopping(2_000)
  await bench.clock.advance(2_100)
  expect([end.isOver, running.isOver, running.status]).toEqual([true, true, 503])
  expect(bench.store.row('running')).toMatchObject({ state: 'failed', error_code: 'abandoned' })
})

test('a call whose attempt breaks during the drain is told, because it will not be tried again', async () => {
  bench = createBench()
  bench.target.script = ({ isWork }) => (isWork ? { kind: 'reset', afterMs: 3_000 } : undefined)
  const running = bench.call('running')
  await bench.clock.advance(1_000)
  const end = stopping(10_000)
  await bench.clock.advance(2_100)
  await bench.quiet()
  expect([end.isOver, running.isOver, running.status]).toEqual([true, true, 503])
})

test('nothing new is taken while it stops, and async jobs wait for the next start', async () => {
  bench = createBench({ workMs: 5_000 })
  await bench.submit('a')
  await bench.submit('b')
  await bench.clock.advance(1_000)
  stopping(10_000)
  const late = bench.call('late')
  await bench.clock.advance(20_000)
  expect([late.status, late.isOver]).toEqual([503, true])
  expect(bench.store.row('late')).toBeNull()
  expect([bench.store.row('a')?.state, bench.store.row('b')?.state]).toEqual(['done', 'queued'])
})

test('a load in progress ends with the grace', async () => {
  bench = createBench({ loadMs: 120_000 })
  await bench.submit('a')
  await bench.clock.advance(1_000)
  const end = stopping(3_000)
  await bench.clock.advance(3_100)
  expect([end.isOver, bench.target.active]).toEqual([true, 0])
  expect(bench.store.row('a')).toMatchObject({ state: 'queued', attempt: 0 })
})

test('a stopped foreman with a sleeping target ends at once', async () => {
  bench = createBench()
  await bench.clock.advance(1_000)
  bench.target.awake = false
  await bench.submit('a')
  await bench.clock.advance(60_000)
  const end = stopping(10_000)
  await bench.clock.advance(5_100)
  expect(end.isOver).toBe(true)
  expect(bench.store.row('a')).toMatchObject({ state: 'queued', attempt: 0 })
})

test('after a stop and a start everything goes on where it was', async () => {
  bench = createBench({ workMs: 60_000 })
  for (const id of ['a', 'b', 'c']) await bench.submit(id)
  await bench.clock.advance(90_000)
  await bench.stop(1_000)
  const { store } = bench
  expect(store.rows().map(({ state, attempt }) => [state, attempt])).toEqual([
    ['done', 1],
    ['queued', 0],
    ['queued', 0],
  ])
  store.restart()
  expect(store.queue.recover(1, 1)).toEqual({ requeued: 0, abandoned: 0, exhausted: 0 })
  expect(store.queue.counts().queued).toBe(2)
})
