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
  now: number
}

interface Real {
  readonly store: TestStore
  /** Every claim there ever was: the last may be on the worker, all others are stale. */
  readonly handles: ActiveJob[]
}

type Command = fc.AsyncCommand<Model, Real>

let steps = 0

/** Compares everything that is visible without reading all rows. */
const glance = ({ queue }: Model, { store }: Real) => {
  expect(store.queue.counts()).toEqual({
    queued: queue.queued().length,
    oldestCreatedAt: queue.ready()[0]?.createdAt ?? null,
  })
}

const compare = (model: Model, real: Real) => {
  glance(model, real)
  const rows = real.store.rows().map(({ id, state, attempt, deferrals, not_before, completed_at }) => ({
    id,
    state: String(state),
    attempt,
    deferrals,
    notBefore: not_before,
    isFinal: completed_at !== null,
  }))
  expect(rows).toEqual(
    model.queue.jobs.map(({ id, state, attempt, deferrals, notBefore }) => ({
      id,
      state,
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

const claim = (loaded: string | null, preferred: string | null, agedMs: number | null) =>
  command(`claim loaded=${loaded} preferred=${preferred} aged=${agedMs}`, async ({ queue, now }, real) => {
    const agedBefore = agedMs === null ? null : now - agedMs
    const claiming = real.store.queue.claim({ now, loadedKey: loaded, preferredKey: preferred, agedBefore })
    if (queue.active() !== undefined && queue.ready().length > 0) return expect(claiming).rejects.toThrow('UNIQUE')
    // Nothing is ready: the claim may still have ripened a backoff, and only then may it meet the job on the worker.
    if (queue.active() !== undefined) return void (await claiming.catch(() => undefined))
    const claimed = await claiming
    const next = queue.claim(now, loaded, preferred, agedBefore)
    if (claimed.kind === 'job') real.handles.push(claimed.job)
    if (next === undefined) {
      const due = queue.queued().flatMap(({ notBefore }) => notBefore ?? [])
      return expect(claimed).toEqual({ kind: 'idle', nextDueAt: due.length === 0 ? null : Math.min(...due) })
    }
    const { id, state, attempt, deferrals } = next
    expect(claimed).toMatchObject({ kind: 'job', job: { id, state, attempt, deferrals } })
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

const crash = (reopenFile: boolean) =>
  command(`crash${reopenFile ? ' and reopen' : ''}`, async (model, real) => {
    real.store.restart(reopenFile)
    expect(real.store.queue.recover(model.now)).toEqual(model.queue.recover())
    compare(model, real)
  })

const jump = (ms: number) =>
  command(`clock ${ms}`, async (model) => {
    model.now = Math.max(0, model.now + ms)
  })

const key = fc.constantFrom('a', 'b', 'b num_ctx=2048')
const keyOrNone = fc.option(key, { nil: null })
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
    fc.tuple(keyOrNone, keyOrNone, fc.option(fc.nat(60_000), { nil: null })).map((of) => claim(...of)),
    fc.tuple(keyOrNone, keyOrNone, fc.constant(null)).map((of) => claim(...of)),
    back.map(advance),
    fc.tuple(back, verdict).map(([which, { make, name }]) => settle(which, make, name)),
    fc.tuple(fc.nat(30), fc.boolean()).map((of) => withdraw(...of)),
    fc.nat(39).map((n) => (n < 20 ? crash(n === 0) : jump(1_000))),
    fc.integer({ min: -3_600_000, max: 3_600_000 }).map(jump),
    fc.nat(30_000).map(jump),
  ],
  { maxCommands: STEPS, size: 'max' },
)

const store = createTestStore({ fast: true, maxQueue: MAX_QUEUE })
afterAll(store.close)

test(`${SEQUENCES} random sequences of up to ${STEPS} steps never leave the model`, async () => {
  const seed = seedOf('Q2')
  const began = performance.now()
  const property = fc.asyncProperty(commands, async (list) => {
    store.clear()
    const model: Model = { queue: createQueueModel(MAX_QUEUE), now: 1_000_000 }
    const real: Real = { store, handles: [] }
    await fc.asyncModelRun(() => ({ model, real }), list)
    compare(model, real)
  })
  await fc.assert(property, { seed, numRuns: SEQUENCES })
  const seconds = ((performance.now() - began) / 1_000).toFixed(0)
  figure('Q2', `${SEQUENCES} sequences, ${steps} steps: 0 divergences in ${seconds} s`)
}, 300_000)
