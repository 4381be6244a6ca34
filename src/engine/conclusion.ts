/** What an attempt's outcome means for the job, told to its caller and written down; the work happened once, saying so is repeated until it is taken. */
import type { Clock, Random } from '../domain/clock.ts'
import type { Emit, EngineEvent } from '../domain/job/events.ts'
import { failure } from '../domain/job/failure.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import { decide, type Outcome, type Verdict } from '../domain/job/outcome.ts'
import { persist } from '../loop/persist.ts'
import type { Aside } from './aside.ts'
import type { Caller, CallerArtifact } from './caller.ts'
import type { EngineQueue } from './ports.ts'
import type { Order, Roster } from './roster.ts'
import type { TargetState } from './state.ts'

/** How an attempt ended and what is kept of it. */
export interface Ran {
  readonly outcome: Outcome
  readonly artifacts: readonly CallerArtifact[]
}

export interface ConclusionDeps {
  readonly queue: EngineQueue
  readonly state: TargetState
  readonly roster: Pick<Roster, 'over' | 'endIfOrdered'>
  /** Whoever serves in the target's place. */
  readonly aside: Pick<Aside, 'fromSlot' | 'wants'>
  /** The job's caller is done with. */
  readonly release: (jobId: string) => void
  /** A caller's job was taken out of the queue by an order that had waited for it. */
  readonly withdrawn: (jobId: string, reason: Order['reason']) => void
  /** The job waits again. */
  readonly waitsAgain: (jobId: string) => void
  /** The target has done a job: nobody's patience runs on. */
  readonly targetWorks: () => void
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
}

type FailedVerdict = Extract<Verdict, { to: 'failed' }>

/** What is left to do once the caller knows: the settle. It never rejects. */
export type Settle = () => Promise<void>

export interface Conclusions {
  /** Decides, tells log and caller, and says what is left to write. */
  conclude(job: ActiveJob, caller: Caller, ran: Ran, stoppedBy: Outcome | null): Settle
  /** The end of a job that was served elsewhere: it says nothing about the target. */
  concludeAside(job: ActiveJob, caller: Caller, verdict: Verdict, outcome: Outcome): Settle
  /** Nobody is left to answer. */
  cancel(job: ActiveJob): Settle
  /** A bug on the way: the job ends, whatever it was. */
  fail(job: ActiveJob, caller: Caller | undefined): Settle
}

const LOST = 'it stopped answering'
const nobody: Ran = { outcome: { kind: 'left' }, artifacts: [] }
// What is told of one that goes elsewhere after its last attempt.
const putBack: Verdict = { to: 'queued', attemptReturned: false, deferred: false, notBefore: null }

const isMissing = ({ kind }: Outcome) => kind === 'unreached' || kind === 'away' || kind === 'busy' || kind === 'lost'

/** What log and listeners are told of a verdict. */
const eventOf = (job: ActiveJob, verdict: Verdict, outcome: Outcome, now: number): EngineEvent => {
  const { id: jobId, kind, model, residencyKey, attempt } = job
  const fields = { jobId, kind, model, residencyKey, attempt }
  switch (verdict.to) {
    case 'done':
      return {
        event: 'job_done',
        ...fields,
        elapsedMs: now - job.createdAt,
        usage: verdict.usage,
        ...(verdict.servedBy && { servedBy: verdict.servedBy }),
      }
    case 'failed':
      return { event: 'job_failed', ...fields, failure: verdict.failure }
    case 'cancelled':
      return { event: 'job_cancelled', ...fields }
    case 'queued': {
      const retryInMs = Math.max(0, (verdict.notBefore ?? now) - now)
      return { event: 'job_requeued', ...fields, outcome: outcome.kind, deferred: verdict.deferred, retryInMs }
    }
    default:
      return verdict satisfies never
  }
}

/** The same where it was not the target that worked. */
const asideEventOf = (...end: Parameters<typeof eventOf>): EngineEvent => {
  const event = eventOf(...end)
  return event.event === 'job_requeued' ? { ...event, isAside: true } : event
}

/** What a caller is told names the target and since when it is away. */
const withWords = (outcome: Outcome, { absenceWords }: TargetState): Outcome => {
  if (outcome.kind === 'unreached') return { ...outcome, message: absenceWords(outcome.message) }
  return outcome.kind === 'lost' ? { ...outcome, message: absenceWords(LOST) } : outcome
}

/** What becomes of the job, and what the outcome says about the target and whoever bears its absence. */
const judge = (
  { state, clock, random, targetWorks }: ConclusionDeps,
  job: ActiveJob,
  caller: Caller,
  outcome: Outcome,
): Verdict => {
  const now = clock.now()
  const { committed, patience } = caller
  if (isMissing(outcome)) patience?.absent()
  else patience?.present()
  // What it has done says more than what could not be reached a moment ago; and whoever bears a busy target bears it no longer.
  if (outcome.kind === 'done') {
    state.reached()
    targetWorks()
  }
  const patienceUntil = patience === null ? null : now + patience.leftMs()
  return decide(withWords(outcome, state), { job, committed, now, chance: random(), patienceUntil })
}

/** Whether the outcome says that the target is away. */
const noteAbsence = (state: TargetState, outcome: Outcome) => {
  if (outcome.kind === 'unreached') state.unreached(outcome.message)
  if (outcome.kind === 'away' && !outcome.isThere) state.unreached(outcome.message, { isAnswered: true })
  if (outcome.kind === 'lost') state.unreached(LOST)
}

const tellFailure = (caller: Caller, { failure: reason, answer, told }: FailedVerdict) =>
  caller.fail(reason, answer, told)

/** Repeated until the database takes it. */
const acknowledge = (
  { queue, clock, emit }: ConclusionDeps,
  job: ActiveJob,
  verdict: Verdict,
  artifacts: Ran['artifacts'],
) => {
  const settle = () => queue.settle(job, verdict, clock.now(), artifacts)
  return persist(clock, settle, (error) => emit({ event: 'settle_retried', jobId: job.id, error }))
}

/** The conclusions of one engine. */
export const createConclusions = (deps: ConclusionDeps): Conclusions => {
  const { state, roster, clock, emit } = deps

  const announce = (job: ActiveJob, verdict: Verdict, outcome: Outcome) =>
    emit(eventOf(job, verdict, outcome, clock.now()))

  const verdictOf = (job: ActiveJob, caller: Caller, outcome: Outcome) => judge(deps, job, caller, outcome)

  /** Back in the queue: an order that came on the way is carried out now. */
  const backInQueue = async (job: ActiveJob) => {
    try {
      const ordered = await roster.endIfOrdered(job.id)
      if (ordered?.ended !== 'withdrawn') return deps.waitsAgain(job.id)
      if (job.kind === 'sync') deps.withdrawn(job.id, ordered.order.reason)
      else announce(job, { to: 'cancelled' }, ordered.order.why)
    } catch (error) {
      // The job stays queued; its next claim finds the order.
      emit({ event: 'loop_failed', loop: 'dispatcher', error })
    }
  }

  /** Settles, and only then says that the target is away: whoever reacts to that finds the job waiting again. Where it ran elsewhere, nothing is said. */
  const write = async (job: ActiveJob, verdict: Verdict, { outcome, artifacts }: Ran, isAside = false) => {
    const acknowledged = acknowledge(deps, job, verdict, artifacts)
    if (!isAside) noteAbsence(state, outcome)
    const isSettled = await acknowledged
    if (verdict.to === 'queued' && isSettled) return backInQueue(job)
    roster.over(job.id)
    // A full disk took its row back before it was committed: a call waits nowhere then.
    if (verdict.to === 'queued' && job.kind === 'sync') deps.withdrawn(job.id, failure('disk_full'))
  }

  /** Its slot is free as soon as this is written; the rest happens elsewhere. */
  const moveAside = async (job: ActiveJob, caller: Caller, verdict: FailedVerdict, outcome: Outcome) => {
    const moved = deps.aside.fromSlot(job, caller, verdict)
    noteAbsence(state, outcome)
    await moved
  }

  return {
    conclude(job, caller, ran, stoppedBy) {
      const first = verdictOf(job, caller, ran.outcome)
      // Somebody ended it just when the attempt was over: it must not go back and wait.
      const ordered = stoppedBy !== null && stoppedBy.kind !== 'lost' ? stoppedBy : null
      const outcome = first.to === 'queued' && ordered !== null ? ordered : ran.outcome
      const verdict = outcome === ran.outcome ? first : verdictOf(job, caller, outcome)
      if (verdict.to === 'failed' && deps.aside.wants(caller, verdict.failure)) {
        announce(job, putBack, outcome)
        return () => moveAside(job, caller, verdict, outcome)
      }
      announce(job, verdict, outcome)
      if (verdict.to === 'failed') tellFailure(caller, verdict)
      if (verdict.to !== 'queued') deps.release(job.id)
      return () => write(job, verdict, { outcome, artifacts: ran.artifacts })
    },
    concludeAside(job, caller, verdict, outcome) {
      emit(asideEventOf(job, verdict, outcome, clock.now()))
      if (verdict.to === 'failed') tellFailure(caller, verdict)
      if (verdict.to !== 'queued') deps.release(job.id)
      const artifacts = verdict.to === 'done' ? (caller.artifacts() ?? []) : []
      return () => write(job, verdict, { outcome, artifacts }, true)
    },
    cancel(job) {
      const verdict: Verdict = { to: 'cancelled' }
      announce(job, verdict, nobody.outcome)
      return () => write(job, verdict, nobody)
    },
    fail(job, caller) {
      const verdict: Verdict = { to: 'failed', failure: failure('internal'), answer: null, told: false }
      announce(job, verdict, nobody.outcome)
      deps.release(job.id)
      try {
        caller?.fail(verdict.failure, null, false)
      } catch (error) {
        emit({ event: 'loop_failed', loop: 'dispatcher', error })
      }
      return () => write(job, verdict, nobody)
    },
  }
}
