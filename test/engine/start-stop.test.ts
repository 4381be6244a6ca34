/** L3: every loop can be started and stopped at any time, and leaves no timer behind. */
import { afterAll, expect, test } from 'bun:test'
import { createBoard } from '../../src/engine/board.ts'
import { createBus } from '../../src/engine/bus.ts'
import { createEngine } from '../../src/engine/engine.ts'
import { createJanitor } from '../../src/engine/janitor.ts'
import { createPoller } from '../../src/engine/poller.ts'
import { createTargetState } from '../../src/engine/state.ts'
import { createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'
import { createTestStore, newJob } from '../support/store.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'
import { createVirtualTarget } from '../support/virtual-target.ts'

const ROUNDS = 50

const store = createTestStore({ fast: true })
afterAll(store.close)

test(`${ROUNDS} starts and stops of the whole engine at different moments leave no timer and lose no job`, async () => {
  let timers = 0
  for (let round = 0; round < ROUNDS; round++) {
    const bench = createBench({ store, loadMs: 300, workMs: 700 })
    const calls = [bench.call('s1'), bench.call('s2', { deadlineMs: 60_000 })]
    await bench.submit('a')
    await bench.submit('b', { model: 'm-b' })
    await bench.clock.advance(round * 97)
    await bench.stop(round % 3 === 0 ? 0 : 500)
    timers += bench.clock.pending
    expect(calls.every(({ isOver }) => isOver)).toBe(true)
    expect(
      bench.store.rows().every(({ state, kind }) => state === 'done' || (kind === 'sync') === (state === 'failed')),
    ).toBe(true)
    expect(bench.target.active).toBe(0)
  }
  expect(timers).toBe(0)
  figure('L3', `engine started and stopped ${ROUNDS} times: ${timers} timers left`)
})

test('an engine that is stopped in the turn it was started in stops', async () => {
  const clock = createVirtualClock()
  store.clear()
  const never = { models: new Map(), rest: null }
  const engine = createEngine({
    config: {
      pollIntervalMs: 30_000,
      keepAlive: never,
      parallel: 1,
      embed: 'auto',
      maxAttempts: 3,
      maxWaitMs: 0,
      unreachableDeadlineMs: 0,
      jobTimeoutMs: 1,
      jobTtlMs: 1,
    },
    queue: store.queue,
    sweep: store.sweep,
    board: createBoard(),
    newId: () => 'x',
    checkWebhook: async (url) => ({ kind: 'ok', url }),
    find: () => null,
    target: createVirtualTarget({ clock }),
    clock,
    random: () => 0,
    bus: createBus({ failed: () => undefined }),
  })
  engine.start()
  await engine.stop(0)
  expect(clock.pending).toBe(0)
})

test(`the poller takes ${ROUNDS} starts and stops`, async () => {
  const clock = createVirtualClock()
  const target = createVirtualTarget({ clock })
  const state = createTargetState({ emit: () => undefined, clock })
  const deps = { target, state, clock, emit: () => undefined, pollIntervalMs: 1_000 }
  const poller = createPoller({ ...deps, isWorking: () => false, isAwaited: () => false })
  for (let round = 0; round < ROUNDS; round++) {
    poller.start()
    await clock.advance(round * 130)
    const asked = poller.poll()
    await poller.stop()
    await asked
    expect(clock.pending).toBe(0)
  }
  await poller.poll()
})

test(`the janitor takes ${ROUNDS} starts and stops, also in the middle of a sweep, and sweeps on`, async () => {
  const clock = createVirtualClock()
  store.clear()
  await Promise.all(Array.from({ length: 3_000 }, (_, i) => store.queue.submit(newJob(`j${i}`), 0)))
  store.db.run(`UPDATE jobs SET state = 'cancelled', completed_at = 1`)
  const swept: number[] = []
  const janitor = createJanitor({
    sweep: store.sweep,
    clock,
    emit: (event) => event.event === 'swept' && swept.push(event.deleted),
    jobTtlMs: 1_000,
    isBusy: () => false,
  })
  for (let round = 0; round < ROUNDS; round++) {
    janitor.start()
    await clock.advance(round % 2 === 0 ? 45 : 0)
    await janitor.stop()
    expect(clock.pending).toBe(0)
  }
  expect(swept.reduce((sum, n) => sum + n, 0)).toBe(3_000)
  expect(store.rows()).toEqual([])
})

test('the janitor sweeps every 15 s and never holds the loop for more than 500 rows at a time', async () => {
  const clock = createVirtualClock()
  const steps: { at: number; n: number }[] = []
  let waiting = 1_700
  const janitor = createJanitor({
    sweep: {
      async deleteFinished() {
        const n = Math.min(500, waiting)
        waiting -= n
        steps.push({ at: clock.monotonicMs(), n })
        return n
      },
      shrink: async () => false,
      rest: async () => undefined,
    },
    clock,
    emit: () => undefined,
    jobTtlMs: 1,
    isBusy: () => true,
  })
  janitor.start()
  await clock.advance(14_000)
  expect(steps.map(({ n }) => n)).toEqual([500, 500, 500, 200, 0])
  expect(steps.map(({ at }) => at)).toEqual([0, 40, 80, 120, 160])
  waiting = 100
  await clock.advance(2_000)
  expect(steps.slice(5).map(({ n }) => n)).toEqual([100, 0])
  await janitor.stop()
})

test('a janitor whose database refuses tries again 15 s later', async () => {
  const clock = createVirtualClock()
  let tries = 0
  const failed: string[] = []
  const janitor = createJanitor({
    sweep: {
      deleteFinished: async () => {
        tries++
        throw new Error('disk I/O error')
      },
      shrink: async () => false,
      rest: async () => undefined,
    },
    clock,
    emit: (event) => event.event === 'loop_failed' && failed.push(event.loop),
    jobTtlMs: 1,
    isBusy: () => false,
  })
  janitor.start()
  await clock.advance(32_500)
  await janitor.stop()
  expect(tries).toBe(3)
  expect(failed).toEqual(['janitor', 'janitor', 'janitor'])
})
