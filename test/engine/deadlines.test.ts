/** How long a sync caller waits: for a target that is away, for one that is busy, and in all. */
import { afterEach, expect, test } from 'bun:test'
import { createBurstClock } from '../support/burst-clock.ts'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { settled } from '../support/virtual-clock.ts'

let bench: Bench
afterEach(() => bench.close())

const asleep = async (config = {}) => {
  bench = createBench({ config })
  await bench.clock.advance(1_000)
  bench.target.awake = false
}

test('a caller of a target that cannot be reached is told so after the unreachable deadline, and its job is failed', async () => {
  await asleep({ unreachableDeadlineMs: 60_000 })
  const arrivedAtMs = bench.clock.monotonicMs()
  const first = bench.call('first')
  await bench.until(() => !bench.engine.state.view.reachable, 30_000)
  await bench.clock.advance(20_000)
  const secondAtMs = bench.clock.monotonicMs()
  const second = bench.call('second')
  await bench.until(() => first.isOver && second.isOver, 120_000)
  expect([first.status, second.status]).toEqual([503, 503])
  expect(first.text).toContain('the target could not be reached')
  // Each from its own arrival: what it took to notice that the target is gone counts too.
  expect([(first.endedAtMs ?? 0) - arrivedAtMs, (second.endedAtMs ?? 0) - secondAtMs]).toEqual([60_000, 60_000])
  expect(bench.eventsOf('job_failed').map(({ jobId, failure: { code } }) => [jobId, code])).toEqual([
    ['first', 'unreachable'],
    ['second', 'unreachable'],
  ])
  // The first had its turn when nobody knew that the target sleeps.
  expect(bench.store.row('first')).toMatchObject({ state: 'failed', error_code: 'unreachable', attempt: 0 })
  expect([bench.store.row('second'), bench.store.queue.isEmpty()]).toEqual([null, true])
  expect(bench.engine.callers.size).toBe(0)
})

test('a caller is answered when the target comes back within the deadline', async () => {
  await asleep()
  const call = bench.call('a')
  await bench.clock.advance(40_000)
  bench.target.awake = true
  await bench.until(() => call.isOver, 20_000)
  expect(call.status).toBe(200)
  await bench.clock.advance(2)
  expect(bench.store.row('a')).toMatchObject({ state: 'done', attempt: 1 })
})

test('with a deadline of zero a caller is told at once', async () => {
  await asleep({ unreachableDeadlineMs: 0 })
  const first = bench.call('first')
  await bench.until(() => first.isOver, 11_000)
  const second = bench.call('second')
  await bench.quiet()
  expect([first.status, second.status]).toEqual([503, 503])
  expect(bench.engine.callers.size).toBe(0)
})

test('async jobs outlive every sync deadline', async () => {
  await asleep()
  await bench.submit('async')
  const call = bench.call('sync')
  await bench.until(() => call.isOver, 120_000)
  await bench.clock.advance(3_600_000)
  expect(bench.store.row('async')).toMatchObject({ state: 'queued', attempt: 0 })
})

test('a busy target is retried within the deadline, and then its own answer is passed on', async () => {
  bench = createBench({ config: { unreachableDeadlineMs: 30_000 } })
  const words = 'server busy, please try again.  maximum pending requests exceeded'
  bench.target.script = ({ isWork }) => (isWork ? { kind: 'status', status: 503, error: words } : undefined)
  const call = bench.call('a')
  await bench.until(() => call.isOver, 60_000)
  expect([call.status, JSON.parse(call.text)]).toEqual([503, { error: words }])
  expect(bench.store.row('a')).toMatchObject({ state: 'failed', error_code: 'target_busy', attempt: 1 })
  expect(bench.target.seen.filter(({ isWork }) => isWork).length).toBeGreaterThan(3)
})

test('a load that is refused as busy is told in the words of the target as well', async () => {
  bench = createBench({ config: { unreachableDeadlineMs: 10_000 } })
  bench.target.script = ({ isLoad, path }) =>
    isLoad && path === '/api/generate' ? { kind: 'status', status: 503, error: 'server busy' } : undefined
  const call = bench.call('a')
  await bench.until(() => call.isOver, 60_000)
  expect([call.status, JSON.parse(call.text)]).toEqual([503, { error: 'server busy' }])
})

test.each(['waiting', 'loading', 'working'] as const)('the total deadline ends a call that is %s', async (phase) => {
  bench = createBench({ loadMs: phase === 'loading' ? 60_000 : 0, workMs: 60_000 })
  if (phase === 'waiting') await bench.submit('before')
  await bench.quiet()
  const call = bench.call('a', { deadlineMs: 5_000 })
  await bench.clock.advance(4_999)
  expect(call.isOver).toBe(false)
  await bench.clock.advance(1)
  await bench.quiet()
  expect([call.status, call.isOver]).toEqual([503, true])
  expect(call.text).toContain('no answer within the deadline')
  expect(bench.eventsOf('job_failed')).toMatchObject([{ jobId: 'a', failure: { code: 'deadline' } }])
  if (phase === 'waiting') expect(bench.store.row('a')).toBeNull()
  else expect(bench.store.row('a')).toMatchObject({ state: 'failed', error_code: 'deadline' })
  expect([bench.store.place('a'), bench.engine.callers.size]).toEqual([null, 0])
})

test('a deadline that falls into any moment of the claim of its job ends the call all the same', async () => {
  for (let ticks = 0; ticks < 60; ticks++) {
    bench = createBench({ workMs: 5_000, clock: createBurstClock() })
    await bench.submit('before')
    await bench.quiet()
    const call = bench.call('a', { deadlineMs: 5_001 })
    await bench.quiet()
    await bench.clock.advance(5_000)
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
    if (ticks >= 30) for (let turn = 30; turn < ticks; turn += 10) await settled()
    await bench.clock.advance(1)
    await bench.quiet()
    await bench.clock.advance(250)
    await bench.quiet()
    expect([ticks, call.isOver, call.status]).toEqual([ticks, true, 503])
    expect(bench.eventsOf('job_failed').map(({ jobId, failure: { code } }) => [jobId, code])).toEqual([
      ['a', 'deadline'],
    ])
    // Without a row when its time came before its turn.
    expect(bench.store.row('a') ?? { state: 'failed', error_code: 'deadline' }).toMatchObject({
      state: 'failed',
      error_code: 'deadline',
    })
    expect(bench.store.queue.isEmpty()).toBe(true)
    await bench.close()
  }
  bench = createBench()
})

test('after the first byte the total deadline ends the stream with an error line', async () => {
  bench = createBench()
  const pieces = ['{"message":{"content":"a"},"done":false}\n']
  bench.target.script = ({ isWork }) => (isWork ? { kind: 'stream', pieces, ending: 'hang' } : undefined)
  const call = bench.call('a', { deadlineMs: 3_000 })
  await bench.until(() => call.isOver, 10_000)
  expect(call.status).toBe(200)
  expect(call.text.split('\n').map((line) => (line === '' ? null : JSON.parse(line)))).toEqual([
    { message: { content: 'a' }, done: false },
    { error: 'no answer within the deadline of the call' },
    null,
  ])
})

test('a stream that breaks off ends with an error line and is not tried again', async () => {
  bench = createBench()
  const pieces = ['{"message":{"content":"a"},"done":false}\n', '{"message":{"cont']
  bench.target.script = ({ isWork }) => (isWork ? { kind: 'stream', pieces, ending: 'reset' } : undefined)
  const call = bench.call('a')
  await bench.until(() => call.isOver)
  expect(
    call.text.endsWith('\n{"error":"the target broke off before its answer was complete: connection reset by peer"}\n'),
  ).toBe(true)
  expect(bench.target.seen.filter(({ isWork }) => isWork).length).toBe(1)
  expect(bench.store.row('a')).toMatchObject({ state: 'failed', error_code: 'broke_off', attempt: 1 })
})

test('a call whose work takes longer than FOREMAN_JOB_TIMEOUT is told with 504', async () => {
  bench = createBench({ workMs: 100_000, config: { jobTimeoutMs: 60_000 } })
  const call = bench.call('a')
  await bench.until(() => call.isOver, 120_000)
  expect(call.status).toBe(504)
})

test('before the first byte a broken attempt is repeated without the caller noticing', async () => {
  bench = createBench()
  let tries = 0
  bench.target.script = ({ isWork }) => (isWork && ++tries < 3 ? { kind: 'reset' } : undefined)
  const call = bench.call('a')
  await bench.until(() => call.isOver, 60_000)
  expect([call.status, tries]).toEqual([200, 3])
  // The row lingers a moment for the next call's transaction.
  await bench.clock.advance(2)
  expect(bench.store.row('a')).toMatchObject({ state: 'done', attempt: 3 })
})
