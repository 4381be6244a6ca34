/** Q2: whatever is done to the queue in whatever order, crashes and clock jumps included, it is the model. */
import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { failure } from '../../src/domain/job/failure.ts'
import { type ActiveJob, noUsage } from '../../src/domain/job/job.ts'
import type { Verdict } from '../../src/domain/job/outcome.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createTestStore, newJob, type TestStore } from '../support/store.ts'
import { createQueueModel, type QueueModel } from './queue-model.ts'

const SEQUENCES = 10_000
const STEPS = 100
const MAX_QUEUE = 10

interface Model {
  readonly queue: QueueModel
  readonly slots: number
  now: number
}

interface Real {
  readonly store: TestStore
  /** Every claim there ever was: the last may be on the worker, all others are stale. */
  readonly handles: ActiveJob[]
}

type Command = fc.AsyncCommand<Model, Real>

let steps = 0
// Jobs that ran at once.
let most = 0

/** Compares everything that is visible without reading all rows, and asks the database itself for the two rules of the slots. */
const glance = ({ queue, slots }: Model, { store }: Real) => {
  expect(store.queue.counts()).toEqual({
    queued: queue.queued().length,
    oldestCreatedAt: queue.ready()[0]?.createdAt ?? null,
  })
  const running = store.db
    .query<{ jobs: number; keys: number }, []>(
      `SELECT count(*) AS jobs, count(DISTINCT residency_key) AS keys FROM jobs WHERE state IN ('loading', 'working')`,
    )
    .get()
  expect(running?.jobs).toBe(queue.active().length)
  expect(running?.jobs).toBeLessThanOrEqual(slots)
  expect(running?.keys).toBeLessThanOrEqual(1)
  most = Math.max(most, running?.jobs ?? 0)
}

const compare = (model: Model, real: Real) => {
  glance(model, real)
  const rows = real.store.rows().map(({ id, state, slot, attempt, deferrals, not_before, completed_at }) => ({
    id,
    state: String(state),
    slot,
    attempt,
    deferrals,
    notBefore: not_before,
    isFinal: completed_at !== null,
  }))
  expect(rows).toEqual(
    model.queue.stored().map(({ id, state, slot, attempt, deferrals, notBefore }) => ({
      id,
      state,
      slot,
      attempt,
      deferrals,
      notBefore,
      isFinal: ['done', 'failed', 'cancelled'].includes(state),
    })),
  )
}

const command = (name: string, run: (model: Model, real: Real) => Promise<void>): Command => ({
  check: () => true,
  async run(model, real) {
    await run(model, real)
    // Every fourth step only: this look costs as much as the step.
    if (steps++ % 4 === 0) glance(model, real)
  },
  toString: () => name,
})

const submit = (kind: 'sync' | 'async', key: string, maxAttempts: number) =>
  command(`submit ${kind} ${key} ×${maxAttempts}`, async ({ queue, now }, { store }) => {
    const id = `j${queue.jobs.length}`
    const isTaken = queue.submit({ id, kind, key, maxAttempts, createdAt: now })
    const submitted = await store.queue.submit(newJob(id, { kind, residencyKey: key, maxAttempts }), now)
    expect(submitted.kind).toBe(isTaken ? 'accepted' : 'full')
  })

interface Wish {
  readonly slot: number
  /** Asks without a look at what runs, as a broken dispatcher would. */
  readonly isBlind: boolean
  readonly residentKeys: readonly string[]
  readonly loadedKeys: readonly string[]
  readonly agedMs: number | null
}

const claim = (wish: Wish) =>
  command(`claim ${JSON.stringify(wish)}`, async ({ queue, now }, real) => {
    const { slot, isBlind, residentKeys, loadedKeys, agedMs } = wish
    const agedBefore = agedMs === null ? null : now - agedMs
    const activeKey = isBlind ? null : (queue.active()[0]?.key ?? null)
    const query = { now, slot, activeKey, residentKeys, loadedKeys, agedBefore }
    const claiming = real.store.queue.claim(query)
    const next = queue.claim(query)
    if (next === 'refused') return expect(claiming).rejects.toThrow(/UNIQUE|FOREIGN KEY|one residency key/)
    const claimed = await claiming
    if (claimed.kind === 'job') real.handles.push(claimed.job)
    if (next === 'held') return expect(claimed).toEqual({ kind: 'held' })
    if (next === 'idle') {
      const due = queue.queued().flatMap(({ notBefore }) => notBefore ?? [])
      return expect(claimed).toEqual({ kind: 'idle', nextDueAt: due.length === 0 ? null : Math.min(...due) })
    }
    const { id, state, attempt, deferrals } = next
    expect(claimed).toMatchObject({ kind: 'job', job: { id, state, slot, attempt, deferrals } })
  })

/** Mostly the newest handle, sometimes any of the stale ones. */
const handle = ({ handles }: Real, back: number): ActiveJob | undefined =>
  handles[Math.max(0, handles.length - 1 - back)]

const advance = (back: number) =>
  command(`advance -${back}`, async ({ queue, now }, real) => {
    const job = handle(real, back)
    if (job === undefined) return
    expect(await real.store.queue.advance(job, now)).toBe(queue.advance(job.id, job.attempt))
  })

const settle = (back: number, make: (now: number) => Verdict, name: string) =>
  command(`settle -${back} ${name}`, async ({ queue, now }, real) => {
    const job = handle(real, back)
    if (job === undefined) return
    const verdict = make(now)
    const expected = queue.settle(job.id, job.attempt, verdict)
    const settling = real.store.queue.settle(job, verdict, now)
    if (expected === 'illegal') return expect(settling).rejects.toThrow('illegal job transition')
    expect(await settling).toBe(expected)
  })

const withdraw = (index: number, isCancel: boolean) =>
  command(`withdraw ${index} ${isCancel ? 'cancelled' : 'failed'}`, async ({ queue, now }, { store }) => {
    const id = `j${queue.jobs.length === 0 ? 0 : index % queue.jobs.length}`
    const expected = queue.withdraw(id, isCancel ? 'cancelled' : 'failed')
    expect(await store.queue.withdraw(id, isCancel ? 'cancelled' : failure('deadline'), now)).toBe(expected)
  })

const release = (kept: number) =>
  command(`release but ${kept}`, async ({ queue, now }, { store }) => {
    const running = queue.active().flatMap(({ id }, i) => (((kept >> i) & 1) === 1 ? [id] : []))
    const expected = queue.release(running)
    expect(await store.queue.release(running, now)).toBe(expected)
  })

const crash = (reopenFile: boolean) =>
  command(`crash${reopenFile ? ' and reopen' : ''}`, async (model, real) => {
    real.store.restart(reopenFile)
    expect(real.store.queue.recover(model.now, model.slots)).toEqual(model.queue.recover())
    compare(model, real)
  })

const jump = (ms: number) =>
  command(`clock ${ms}`, async (model) => {
    model.now = Math.max(0, model.now + ms)
  })

const key = fc.constantFrom('a', 'b', 'b num_ctx=2048')
const keys = fc.uniqueArray(key, { maxLength: 3 })
const wish = (agedMs: fc.Arbitrary<number | null>): fc.Arbitrary<Wish> =>
  fc.record({
    // Slot 4 is one too many, and so are 1 to 3 of a queue with fewer.
    slot: fc.oneof({ weight: 9, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.constant(4) }),
    isBlind: fc.nat(9).map((n) => n === 0),
    residentKeys: keys,
    loadedKeys: keys,
    agedMs,
  })
const back = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) })

const verdict: fc.Arbitrary<{ make: (now: number) => Verdict; name: string }> = fc.oneof(
  fc.constant({ make: (): Verdict => ({ to: 'done', usage: noUsage }), name: 'done' }),
  fc.constant({ make: (): Verdict => ({ to: 'cancelled' }), name: 'cancelled' }),
  fc.constant({
    make: (): Verdict => ({ to: 'failed', failure: failure('broke_off'), answer: null, told: false }),
    name: 'failed',
  }),
  fc.record({ attemptReturned: fc.boolean(), deferred: fc.boolean(), delayMs: fc.option(fc.nat(60_000)) }).map((v) => ({
    make: (now: number): Verdict => ({
      to: 'queued',
      attemptReturned: v.attemptReturned,
      deferred: v.deferred,
      notBefore: v.delayMs === null ? null : now + v.delayMs,
    }),
    name: `queued ${JSON.stringify(v)}`,
  })),
)

const commands = fc.commands(
  [
    fc.tuple(fc.constantFrom('sync', 'async'), key, fc.integer({ min: 1, max: 3 })).map((of) => submit(...of)),
    fc.tuple(fc.constant('async' as const), key, fc.constant(3)).map((of) => submit(...of)),
    wish(fc.option(fc.nat(60_000), { nil: null })).map(claim),
    wish(fc.constant(null)).map(claim),
    wish(fc.constant(null)).map((one) => claim({ ...one, slot: 0 })),
    back.map(advance),
    fc.tuple(back, verdict).map(([which, { make, name }]) => settle(which, make, name)),
    fc.tuple(fc.nat(30), fc.boolean()).map((of) => withdraw(...of)),
    fc.nat(39).map((n) => (n < 20 ? crash(n === 0) : jump(1_000))),
    fc.nat(15).map(release),
    fc.integer({ min: -3_600_000, max: 3_600_000 }).map(jump),
    fc.nat(30_000).map(jump),
  ],
  { maxCommands: STEPS, size: 'max' },
)

const store = createTestStore({ fast: true, maxQueue: MAX_QUEUE })
afterAll(store.close)

test(`${SEQUENCES} random sequences of up to ${STEPS} steps with 1, 2 or 4 slots never leave the model`, async () => {
  const seed = seedOf('Q2')
  const began = performance.now()
  const property = fc.asyncProperty(fc.constantFrom(1, 2, 4), commands, async (slots, list) => {
    store.clear()
    store.queue.recover(0, slots)
    const model: Model = { queue: createQueueModel(MAX_QUEUE, slots), slots, now: 1_000_000 }
    const real: Real = { store, handles: [] }
    await fc.asyncModelRun(() => ({ model, real }), list)
    compare(model, real)
  })
  await fc.assert(property, { seed, numRuns: SEQUENCES })
  const seconds = ((performance.now() - began) / 1_000).toFixed(0)
  figure(
    'Q2',
    `${SEQUENCES} sequences, ${steps} steps with 1, 2 and 4 slots, up to ${most} at once: 0 divergences in ${seconds} s`,
  )
}, 300_000)
