/** T4: one failed poll rejects nobody; and a target that somebody waits for is asked sooner. */
import { afterEach, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createPoller } from '../../src/engine/poller.ts'
import { createTargetState } from '../../src/engine/state.ts'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'
import { createVirtualTarget, type Plan } from '../support/virtual-target.ts'

const HISTORIES = 1_000

let bench: Bench | null = null
afterEach(async () => {
  await bench?.close()
  bench = null
})

interface Fault {
  readonly path: '/api/tags' | '/api/ps'
  readonly plan: Plan
}

const plans: Plan[] = [
  { kind: 'unreached' },
  { kind: 'reset' },
  { kind: 'hang' },
  { kind: 'status', status: 500, error: 'no' },
  { kind: 'ok', text: 'not json', type: 'application/json' },
  { kind: 'ok', text: '{"models":7}', type: 'application/json' },
  { kind: 'ok', text: '[]', type: 'application/json' },
]

const poll = fc.oneof(
  fc.record({ installed: fc.subarray(['m-a:latest', 'm-b:latest', 'm-c:latest'], { minLength: 1 }) }),
  fc.record({ path: fc.constantFrom('/api/tags' as const, '/api/ps' as const), plan: fc.constantFrom(...plans) }),
)

// Whatever /api/ps says is believed or left: only no answer at all is a failed poll there.
const isFailure = ({ path, plan }: Fault) =>
  path === '/api/tags' || plan.kind !== 'ok' || plan.text === 'not json' || plan.text === undefined

const follow = async (history: readonly ({ installed: string[] } | Fault)[]) => {
  const clock = createVirtualClock()
  const target = createVirtualTarget({ clock })
  const state = createTargetState({ emit: () => undefined, clock })
  let fault: Fault | null = null
  target.script = ({ path }) => (fault?.path === path ? fault.plan : undefined)
  const deps = { target, state, clock, emit: () => undefined, pollIntervalMs: 30_000 }
  const poller = createPoller({ ...deps, isWorking: () => false, isAwaited: () => false })
  poller.start()
  // Ten seconds into each interval its poll is over, however it went.
  await clock.advance(10_000)
  for (const next of history) {
    const known = [...state.view.inventory.values()].map(({ name }) => name)
    fault = 'path' in next ? next : null
    if ('installed' in next) target.installed = next.installed
    await clock.advance(30_000)
    const failed = fault !== null && isFailure(fault)
    expect(state.view.degraded).toBe(failed)
    const names = [...state.view.inventory.values()].map(({ name }) => name)
    expect(names).toEqual(failed ? known : target.installed)
    expect(names.length).toBeGreaterThan(0)
  }
  await poller.stop()
  expect(clock.pending).toBe(0)
}

test(`in ${HISTORIES} random histories degraded means that the last poll failed, and the list is never emptied`, async () => {
  const seed = seedOf('T4')
  const histories = fc.array(poll, { minLength: 1, maxLength: 12 })
  await fc.assert(fc.asyncProperty(histories, follow), { seed, numRuns: HISTORIES })
  figure('T4', `${HISTORIES} random up/down histories: 0 violations`)
}, 60_000)

/** When /api/tags was asked, in virtual milliseconds from `sinceMs` on. */
const polledAt = (at: Bench, sinceMs: number) =>
  at.target.seen.filter(({ path, atMs }) => path === '/api/tags' && atMs >= sinceMs).map(({ atMs }) => atMs - sinceMs)

test('while a caller waits, a target that is away is asked after 1, 2, 4, 8 s, and at most once per interval later', async () => {
  bench = createBench({ config: { unreachableDeadlineMs: 600_000 } })
  await bench.clock.advance(10_000)
  bench.target.script = () => ({ kind: 'unreached' })
  const sinceMs = bench.clock.monotonicMs()
  bench.call('a')
  await bench.clock.advance(150_000)
  const times = polledAt(bench, sinceMs)
  const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0))
  expect(times[0]).toBeLessThanOrEqual(1_000)
  expect(gaps.slice(0, 5)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000])
  expect(gaps.slice(5).every((gap) => gap === 30_000)).toBe(true)
})

test('without a caller it is asked once per interval only', async () => {
  bench = createBench()
  await bench.submit('async')
  await bench.clock.advance(10_000)
  bench.target.script = () => ({ kind: 'unreached' })
  const sinceMs = bench.clock.monotonicMs()
  await bench.submit('next')
  await bench.clock.advance(300_000)
  expect(polledAt(bench, sinceMs).length).toBe(10)
})

test('a restart of the target that takes three seconds costs a waiting caller about that', async () => {
  bench = createBench()
  await bench.clock.advance(10_000)
  bench.target.script = () => ({ kind: 'unreached' })
  const call = bench.call('a')
  await bench.clock.advance(3_000)
  bench.target.script = () => undefined
  const tookMs = await bench.until(() => call.isOver, 30_000)
  expect(call.status).toBe(200)
  expect(tookMs).toBeLessThanOrEqual(4_000)
})

test('polls that are asked for at the same time share one, and each begins after it was asked for', async () => {
  bench = createBench()
  await bench.clock.advance(1_000)
  const before = polledAt(bench, 0).length
  await Promise.all([bench.engine.poller.poll(), bench.engine.poller.poll(), bench.engine.poller.poll()])
  expect(polledAt(bench, 0).length).toBe(before + 1)
  bench.target.installed = ['brand-new:latest']
  await bench.engine.poller.poll()
  expect([...bench.engine.state.view.inventory.values()].map(({ name }) => name)).toEqual(['brand-new:latest'])
})

test('a poll that fails while a job runs leaves the job alone', async () => {
  bench = createBench({ workMs: 100_000 })
  await bench.submit('a')
  await bench.clock.advance(1_000)
  bench.target.script = ({ path }) => (path === '/api/tags' ? { kind: 'reset' } : undefined)
  await bench.clock.advance(90_000)
  expect(bench.engine.state.view).toMatchObject({ degraded: true, reachable: true })
  await bench.clock.advance(20_000)
  expect(bench.store.row('a')).toMatchObject({ state: 'done', attempt: 1 })
})

test('the version is asked for again after the target was away, not at every poll', async () => {
  bench = createBench()
  const versions = () => bench?.target.seen.filter(({ path }) => path === '/api/version').length ?? 0
  await bench.clock.advance(300_000)
  expect(versions()).toBe(1)
  bench.target.awake = false
  await bench.clock.advance(60_000)
  bench.target.awake = true
  await bench.clock.advance(60_000)
  expect([versions(), bench.engine.state.view.reachable]).toEqual([2, true])
})
