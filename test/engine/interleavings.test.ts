/** Q3: whatever submits, claims, leaves, expires, breaks, sleeps and stops at the same moment, nobody is forgotten. */
import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createBurstClock } from '../support/burst-clock.ts'
import { type Bench, type CallResult, createBench } from '../support/engine-bench.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createTestStore } from '../support/store.ts'
import { settled } from '../support/virtual-clock.ts'
import type { Plan } from '../support/virtual-target.ts'

const SCHEDULES = 1_000

const store = createTestStore({ fast: true })
afterAll(store.close)

const model = fc.constantFrom('m-a', 'm-b')
// Few distinct times, so that they fall together often.
const moment = fc.constantFrom(0, 50, 100, 200)

const plan: fc.Arbitrary<Plan> = fc.oneof(
  moment.map((afterMs): Plan => ({ kind: 'ok', afterMs })),
  moment.map((afterMs): Plan => ({ kind: 'reset', afterMs })),
  fc.constant<Plan>({ kind: 'unreached' }),
  fc.constant<Plan>({ kind: 'status', status: 503, error: 'server busy' }),
  fc.constant<Plan>({ kind: 'status', status: 400, error: 'no' }),
  fc
    .constantFrom('end', 'reset')
    .map((ending): Plan => ({ kind: 'stream', pieces: ['{"done":false}\n', '{"done":true}\n'], ending, everyMs: 50 })),
)

const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('submit' as const), model }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('call' as const), model, deadlineMs: fc.option(moment, { nil: null }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('plan' as const), plan }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sleep' as const), awake: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ do: 'poll' as const }) },
)

interface Gap {
  readonly ticks?: number
  readonly ms?: number
  readonly turns?: number
}

// What lies between two actions: nothing at all, microtasks, virtual time, turns of the loop.
const gap: fc.Arbitrary<Gap> = fc.oneof(
  fc.constant({}),
  fc.record({ ticks: fc.nat(30), ms: fc.constantFrom(0, 0, 50, 100, 1_000), turns: fc.nat(3) }),
)

const schedule = fc.record({
  steps: fc.array(fc.tuple(action, gap), { minLength: 3, maxLength: 40, size: 'max' }),
  loadMs: fc.constantFrom(0, 100),
  unreachableDeadlineMs: fc.constantFrom(0, 100, 60_000),
  /** The target is away at the end, until every caller has been told. */
  endsAsleep: fc.boolean(),
  parallel: fc.constantFrom(1, 2, 4),
  stop: fc.option(fc.record({ graceMs: fc.constantFrom(0, 100, 10_000) }), { nil: null }),
})

type Schedule = typeof schedule extends fc.Arbitrary<infer T> ? T : never
type Action = Schedule['steps'][number][0]

interface Play {
  readonly bench: Bench
  readonly calls: Map<string, CallResult>
  readonly left: Set<string>
  readonly plans: Plan[]
  serial: number
}

const perform = (play: Play, act: Action) => {
  const { bench, calls, left, plans } = play
  switch (act.do) {
    case 'submit':
      return void bench.submit(`async-${play.serial++}`, { model: act.model })
    case 'call': {
      const id = `sync-${play.serial++}`
      const deadline = act.deadlineMs === null ? {} : { deadlineMs: act.deadlineMs }
      return void calls.set(id, bench.call(id, { model: act.model, ...deadline }))
    }
    case 'leave': {
      const [id, call] = [...calls][act.which % Math.max(1, calls.size)] ?? []
      if (id === undefined || call === undefined || call.isOver) return
      left.add(id)
      return call.leave()
    }
    case 'plan':
      return void plans.push(act.plan)
    case 'sleep':
      bench.target.awake = act.awake
      return
    case 'poll':
      return void bench.engine.poller.poll()
    default:
      return act satisfies never
  }
}

const pass = async (bench: Bench, { ticks = 0, ms = 0, turns = 0 }: Gap) => {
  for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
  if (ms > 0) await bench.clock.advance(ms)
  for (let turn = 0; turn < turns; turn++) await settled()
}

/** Virtual time goes on until `holds`; generous, because a busy target is tried again for minutes. */
const waitFor = async (bench: Bench, what: string, holds: () => boolean) => {
  for (let round = 0; !holds(); round++) {
    if (round > 2_000) throw new Error(`never: ${what}`)
    await pass(bench, { ms: 250, turns: 6 })
  }
}

const finals = ['job_done', 'job_failed', 'job_cancelled'] as const

/** What must hold at the end, whatever happened on the way. */
const inspect = ({ bench, calls, left }: Play, isDrained: boolean) => {
  const rows = bench.store.rows()
  for (const { id, kind, state, attempt } of rows) {
    const ends = finals.flatMap((event) => bench.eventsOf(event).filter(({ jobId }) => jobId === id))
    const isFinal = state === 'done' || state === 'failed' || state === 'cancelled'
    expect([id, ends.map(({ event }) => event)]).toEqual([id, isFinal ? [`job_${state}`] : []])
    expect(attempt).toBeLessThanOrEqual(3)
    if (kind === 'sync' || isDrained) expect([id, isFinal]).toEqual([id, true])
    else expect([id, isFinal || state === 'queued']).toEqual([id, true])
  }
  for (const [id, call] of calls) {
    if (left.has(id)) continue
    const state = rows.find((row) => row.id === id)?.state
    expect([id, call.isOver, call.text.includes('"error"')]).toEqual([id, true, state !== 'done'])
  }
  expect(bench.engine.callers.size).toBe(0)
  expect(bench.target.overlaps).toBe(0)
  expect(bench.target.active).toBe(0)
  expect(bench.events.filter(({ event }) => event === 'loop_failed')).toEqual([])
}

const playAll = async ({ steps, loadMs, stop, unreachableDeadlineMs, endsAsleep, parallel }: Schedule) => {
  const config = { pollIntervalMs: 1_000, unreachableDeadlineMs, parallel }
  const bench = createBench({ store, loadMs, clock: createBurstClock(), config })
  const play: Play = { bench, calls: new Map(), left: new Set(), plans: [], serial: 0 }
  bench.target.script = ({ isWork }) => (isWork ? play.plans.shift() : undefined)
  for (const [act, between] of steps) {
    perform(play, act)
    await pass(bench, between)
  }
  if (stop === null) {
    await pass(bench, { turns: 3 })
    if (endsAsleep) {
      bench.target.awake = false
      await waitFor(bench, 'all callers have been told', () => bench.engine.callers.size === 0)
    }
    bench.target.awake = true
    const isIdle = () => bench.engine.worker.jobId === null && bench.engine.callers.size === 0
    await waitFor(bench, 'all jobs are final', () => isIdle() && bench.store.rows().every((row) => row.completed_at))
  }
  let isStopped = false
  void bench.engine.stop(stop?.graceMs ?? 0).then(() => {
    isStopped = true
  })
  await waitFor(bench, 'the engine has stopped', () => isStopped)
  await pass(bench, { turns: 6 })
  inspect(play, stop === null)
  // A probe of a sleeping target may still be on its way; it is bounded by 5 s and starts nothing new.
  await pass(bench, { ms: 5_000, turns: 1 })
  expect(bench.clock.pending).toBe(0)
}

test(`${SCHEDULES} schedules of submit, claim, leave, expire, break, sleep and stop: nobody forgotten, nothing twice`, async () => {
  const seed = seedOf('Q3')
  await fc.assert(fc.asyncProperty(schedule, playAll), { seed, numRuns: SCHEDULES })
  figure('Q3', `${SCHEDULES} schedules: 0 violations`)
}, 120_000)
