/** What is served elsewhere than by the target: a job leaves the line or its slot for a lane, and goes back when nobody there can help; it must never run in both places. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { type Failure, failure } from '../domain/job/failure.ts'
import { type ActiveJob, LANES_FROM } from '../domain/job/job.ts'
import { decide, type Outcome, type Verdict } from '../domain/job/outcome.ts'
import type { Caller } from './caller.ts'
import { createLanes } from './lanes.ts'
import type { EngineQueue } from './ports.ts'
import type { Rescuer, Rescuers } from './rescue.ts'
import type { Roster, Seat } from './roster.ts'
import type { TargetState } from './state.ts'
import { createStopper, type Stopper } from './stopper.ts'

export interface AsideDeps {
  readonly queue: Pick<EngineQueue, 'moveAside' | 'takeAside'>
  readonly roster: Pick<Roster, 'free' | 'leave' | 'seat' | 'seatsAside'>
  readonly rescuers: Rescuers
  readonly state: Pick<TargetState, 'view'>
  /** Tells log and caller of an end elsewhere, and says what is left to write. */
  readonly conclude: (job: ActiveJob, caller: Caller, verdict: Verdict, outcome: Outcome) => () => Promise<void>
  readonly clock: Clock
  readonly emit: Emit
}

type FailedVerdict = Extract<Verdict, { to: 'failed' }>

/** What a verdict looks at. */
type Tried = Pick<ActiveJob, 'kind' | 'attempt' | 'maxAttempts' | 'deferrals'>

// One that could not be helped is not led there again and again.
const AGAIN_MS = 30_000

const strayJob: Tried = { kind: 'sync', attempt: 1, maxAttempts: 1, deferrals: 0 }
const broken = (code: 'internal' | 'malformed_answer'): Outcome => ({
  kind: 'broken',
  failure: failure(code),
  answer: null,
  told: false,
})
const back: Verdict = { to: 'queued', attemptReturned: true, deferred: true, notBefore: null }

const silent: ReadonlySet<Outcome['kind']> = new Set(['away', 'broken', 'busy', 'lost', 'unreached'])
const isUnable = ({ kind }: Outcome, { committed }: Caller): boolean => !committed && silent.has(kind)

/** The aside of one engine. */
export class Aside {
  readonly #deps: AsideDeps
  readonly #lanes = createLanes()
  readonly #triedAtMs = new WeakMap<Caller, number>()
  /** Jobs on their way out of the line. */
  readonly #led = new Set<string>()
  /** What stops those without a job. */
  readonly #strays = new Set<Stopper>()

  constructor(deps: AsideDeps) {
    this.#deps = deps
  }

  /** Whether this caller would be helped now. */
  wants(caller: Caller, why: Failure): boolean {
    const { clock, rescuers } = this.#deps
    const lately = clock.monotonicMs() - (this.#triedAtMs.get(caller) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS
    return !lately && rescuers.wants(caller, why)
  }

  /** A job that waits: true once it has left the line. `mayWait`: for its turn, in which the target may come back. */
  async fromLine(jobId: string, caller: Caller, why: Failure, mayWait: boolean): Promise<boolean> {
    const { rescuers, state } = this.#deps
    const { rescuer } = rescuers
    const isFull = rescuer !== null && this.#lanes.inside + this.#lanes.waiting >= rescuer.lanes
    if (rescuer === null || this.#led.has(jobId) || (!mayWait && isFull)) return false
    this.#led.add(jobId)
    const leave = await this.#lanes.enter(rescuer.lanes, caller.left)
    try {
      // While it waited for its turn the target may have come back.
      const isStillWanted = leave !== null && !state.view.reachable && this.wants(caller, why)
      if (isStillWanted && (await this.#lead(rescuer, jobId, caller, why, leave))) return true
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#led.delete(jobId)
    }
    leave?.()
    return false
  }

  /** A job on a slot that is about to fail: resolves when its slot is free. If nobody can help, that is how it ends. */
  async fromSlot(job: ActiveJob, caller: Caller, ended: FailedVerdict): Promise<void> {
    const { rescuers, queue, clock, roster, conclude } = this.#deps
    const { rescuer } = rescuers
    const number = this.#lanes.number()
    if (rescuer !== null && number !== null) {
      const lane = LANES_FROM + number.lane
      // Seated before anything is waited for: an order that comes meanwhile finds it.
      const seat = roster.seat({ ...job, slot: lane })
      // A write that fails leaves the job where it is.
      const isMoved = await queue.moveAside(job, lane, clock.now()).catch((error) => void this.#failed(error))
      if (isMoved) {
        void this.#follow(rescuer, seat, caller, ended).catch(this.#failed).finally(number.free)
        return
      }
      roster.free(seat)
    }
    number?.free()
    await conclude(job, caller, ended, { kind: 'left' })()
  }

  /** A call without a job; false: nobody could help, and it has seen nothing. Nothing is written, and whatever its end is, it is told here. */
  async serve(caller: Caller, why: Failure | null, deadlineMs: number | null): Promise<boolean> {
    const { rescuers, clock } = this.#deps
    const { rescuer } = rescuers
    if (rescuer === null) return false
    const stopper = createStopper()
    const leaves = () => stopper.stop({ kind: 'left' })
    caller.left.addEventListener('abort', leaves)
    const cancel = deadlineMs === null ? () => {} : clock.after(deadlineMs, () => stopper.stop({ kind: 'expired' }))
    this.#strays.add(stopper)
    const leave = await this.#lanes.enter(rescuer.lanes, stopper.signal)
    try {
      if (leave === null && stopper.why === null) return false
      const outcome = stopper.why ?? (await this.#ask(rescuer, caller, why, stopper))
      if (isUnable(outcome, caller)) return false
      const verdict = this.#verdictOf(rescuer, strayJob, caller, outcome)
      if (verdict.to === 'failed') caller.fail(verdict.failure, verdict.answer, verdict.told)
      return true
    } finally {
      leave?.()
      cancel()
      this.#strays.delete(stopper)
      caller.left.removeEventListener('abort', leaves)
    }
  }

  /** Resolves when nothing is served elsewhere; what still is after `graceMs` goes back. */
  async stop(graceMs: number): Promise<void> {
    const { clock, roster } = this.#deps
    const cancel = clock.after(graceMs, () => {
      for (const { stopper } of roster.seatsAside) stopper.stop({ kind: 'stopped' })
      for (const stopper of this.#strays) stopper.stop({ kind: 'stopped' })
    })
    await this.#lanes.close()
    cancel()
  }

  readonly #failed = (error: unknown) => this.#deps.emit({ event: 'loop_failed', loop: 'aside', error })

  async #ask(rescuer: Rescuer, caller: Caller, why: Failure | null, stopper: Stopper): Promise<Outcome> {
    try {
      return await rescuer.serve(caller, why, stopper)
    } catch (error) {
      this.#deps.emit({ event: 'loop_failed', loop: 'rescue', error })
      return broken('internal')
    } finally {
      this.#triedAtMs.set(caller, this.#deps.clock.monotonicMs())
    }
  }

  /** Out of the line, if it still waits there; `over` is called when it has left its lane. */
  async #lead(rescuer: Rescuer, jobId: string, caller: Caller, why: Failure, over: () => void): Promise<boolean> {
    const { queue, roster, clock } = this.#deps
    const number = this.#lanes.number()
    if (number === null) return false
    // A write that fails leaves the job where it is.
    const lane = LANES_FROM + number.lane
    const job = await queue.takeAside(jobId, lane, clock.now()).catch((error) => void this.#failed(error))
    if (!job) {
      number.free()
      return false
    }
    const end = () => {
      number.free()
      over()
    }
    void this.#run(rescuer, roster.seat(job), caller, why, null).catch(this.#failed).finally(end)
    return true
  }

  /** Waits for its turn and is then served; its slot has been given up already. */
  async #follow(rescuer: Rescuer, seat: Seat, caller: Caller, ended: FailedVerdict): Promise<void> {
    const leave = await this.#lanes.enter(rescuer.lanes, seat.stopper.signal)
    if (leave === null) seat.stopper.stop({ kind: 'stopped' })
    try {
      await this.#run(rescuer, seat, caller, ended.failure, ended)
    } finally {
      leave?.()
    }
  }

  /** `ended`: how it ends if nobody can help; null = it waits for the target again. */
  async #run(rescuer: Rescuer, seat: Seat, caller: Caller, why: Failure, ended: FailedVerdict | null): Promise<void> {
    const { roster, clock, conclude } = this.#deps
    const { job, stopper } = seat
    caller.working(Math.max(0, clock.now() - job.createdAt))
    let outcome = stopper.why ?? (await this.#ask(rescuer, caller, why, stopper))
    // What it leaves behind is read like any other answer.
    if (outcome.kind === 'done' && caller.artifacts() === null) outcome = broken('malformed_answer')
    roster.leave(seat)
    const verdict = isUnable(outcome, caller) ? (ended ?? back) : this.#verdictOf(rescuer, job, caller, outcome)
    const settled = conclude(job, caller, verdict, outcome)()
    roster.free(seat)
    await settled
  }

  #verdictOf(rescuer: Rescuer, job: Tried, caller: Caller, outcome: Outcome): Verdict {
    const now = this.#deps.clock.now()
    const lastTry = { ...job, maxAttempts: job.attempt }
    const verdict = decide(outcome, { job: lastTry, committed: caller.committed, now, chance: 0, patienceUntil: null })
    return verdict.to === 'done' ? { ...verdict, servedBy: rescuer.servedBy(caller.call) } : verdict
  }
}
