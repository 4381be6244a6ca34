/** The one worker: claim, run, settle, one job at a time; a job may fail, this loop may not. */
import type { Random } from '../domain/clock.ts'
import { type FailureCode, failure } from '../domain/job/failure.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import { decide, type Outcome, type Verdict } from '../domain/job/outcome.ts'
import { createNudge } from '../loop/nudge.ts'
import { persist } from '../loop/persist.ts'
import { createStopper } from './attempt.ts'
import type { Caller, CallerArtifact } from './caller.ts'
import { createLoader } from './loader.ts'
import { type RunDeps, runJob, type Slot } from './run.ts'

export interface WorkerDeps extends Omit<RunDeps, 'loader'> {
  /** The caller of a claimed job; undefined when nobody is left to answer. */
  readonly callerOf: (job: ActiveJob) => Caller | undefined
  /** The job's caller is done with. */
  readonly release: (jobId: string) => void
  readonly random: Random
  /** 0 = no age bound. */
  readonly maxWaitMs: number
}

export interface WorkerView {
  readonly state: 'idle' | 'parked' | 'loading' | 'working' | 'stopped'
  readonly jobId: string | null
  readonly model: string | null
}

export interface Worker {
  /** There may be something to do. */
  nudge(): void
  /** Ends the job if it is the one on the worker; false when it is not. */
  interrupt(jobId: string, why: Outcome): boolean
  readonly view: WorkerView
  start(): void
  /** Claims nothing more; lets the running job finish within `graceMs`, then puts it back. */
  stop(graceMs: number): Promise<void>
}

/** How an attempt ended and what is kept of it. */
interface Ran {
  readonly outcome: Outcome
  readonly artifacts: readonly CallerArtifact[]
}

const brokenBy = (code: FailureCode): Ran => ({
  outcome: { kind: 'broken', failure: failure(code), answer: null, told: false },
  artifacts: [],
})

// Long enough for a client that asks again at once, far too short for anybody to see the row.
const LINGER_MS = 2

// A loop that failed (a full disk, a bug) tries again after this long; it must not spin.
const LOOP_PAUSE_MS = 1_000

/** Builds the worker; nothing runs before `start`. */
export const createWorker = (given: WorkerDeps): Worker => {
  const deps = { ...given, loader: createLoader() }
  const { queue, state, clock, emit, random, loader } = deps
  const nudge = createNudge(clock.after)
  let slot: Slot | null = null
  let phase: 'running' | 'stopping' | 'stopped' = 'stopped'
  let looping: Promise<void> = Promise.resolve()

  const announce = (job: ActiveJob, verdict: Verdict, outcome: Outcome) => {
    const { id: jobId, kind, model, residencyKey, attempt } = job
    const fields = { jobId, kind, model, residencyKey, attempt }
    const now = clock.now()
    switch (verdict.to) {
      case 'done':
        return emit({ event: 'job_done', ...fields, elapsedMs: now - job.createdAt })
      case 'failed':
        return emit({ event: 'job_failed', ...fields, failure: verdict.failure })
      case 'cancelled':
        return emit({ event: 'job_cancelled', ...fields })
      case 'queued': {
        const retryInMs = Math.max(0, (verdict.notBefore ?? now) - now)
        return emit({ event: 'job_requeued', ...fields, outcome: outcome.kind, deferred: verdict.deferred, retryInMs })
      }
      default:
        return verdict satisfies never
    }
  }

  /** The work happened once; saying so is retried until the database takes it. */
  const acknowledge = async (job: ActiveJob, verdict: Verdict, artifacts: readonly CallerArtifact[] = []) => {
    const settle = () => queue.settle(job, verdict, clock.now(), artifacts)
    await persist(clock, settle, (error) => emit({ event: 'settle_retried', jobId: job.id, error }))
  }

  const verdictOf = (job: ActiveJob, caller: Caller, outcome: Outcome): Verdict => {
    const now = clock.now()
    const { committed } = caller
    return decide(outcome, { job, committed, now, chance: random(), patienceUntil: caller.patienceUntil(now, outcome) })
  }

  /** Settles, and only then says that the target is away: whoever reacts to that finds the job waiting again. */
  const conclude = async (job: ActiveJob, verdict: Verdict, caller: Caller, { outcome, artifacts }: Ran) => {
    const acknowledged = acknowledge(job, verdict, artifacts)
    if (outcome.kind === 'unreached') state.unreached(outcome.message)
    if (outcome.kind === 'lost') state.unreached(failure('target_lost').message)
    await acknowledged
    // Somebody may have left while the job was on its way back into the queue.
    if (verdict.to !== 'queued' || !caller.left.aborted) return
    try {
      const durability = job.kind === 'async' ? 'durable' : undefined
      if (await queue.withdraw(job.id, 'cancelled', clock.now(), durability))
        announce(job, { to: 'cancelled' }, outcome)
      deps.release(job.id)
    } catch (error) {
      // The job stays queued; its next claim finds that nobody waits.
      emit({ event: 'loop_failed', loop: 'worker', error })
    }
  }

  /** A bug or a refusing database on the way costs the job an attempt, never the worker its slot. */
  const run = async (mine: Slot, caller: Caller): Promise<Ran> => {
    slot = mine
    try {
      const outcome = await runJob(deps, mine, caller)
      const artifacts = outcome.kind === 'done' ? caller.artifacts() : []
      return artifacts === null ? brokenBy('malformed_answer') : { outcome, artifacts }
    } catch (error) {
      emit({ event: 'loop_failed', loop: 'worker', error })
      return brokenBy('internal')
    } finally {
      slot = null
    }
  }

  /** Runs one job and tells its caller; what is left to do is the settle. */
  const runOne = async (job: ActiveJob): Promise<() => Promise<void>> => {
    let caller: Caller | undefined
    try {
      caller = deps.callerOf(job)
      if (caller !== undefined) return await serve(job, caller)
      announce(job, { to: 'cancelled' }, { kind: 'left' })
      return () => acknowledge(job, { to: 'cancelled' })
    } catch (error) {
      // Whatever was wrong with this one, the worker must be free for the next.
      emit({ event: 'loop_failed', loop: 'worker', error })
      const verdict: Verdict = { to: 'failed', failure: failure('internal'), answer: null, told: false }
      announce(job, verdict, { kind: 'left' })
      caller?.fail(verdict.failure, null, false)
      deps.release(job.id)
      return () => acknowledge(job, verdict)
    }
  }

  const serve = async (job: ActiveJob, caller: Caller): Promise<() => Promise<void>> => {
    const ran = await run({ job, stopper: createStopper(), phase: job.state }, caller)
    const { outcome } = ran
    const verdict = verdictOf(job, caller, outcome)
    announce(job, verdict, outcome)
    if (verdict.to === 'failed') caller.fail(verdict.failure, verdict.answer, verdict.told)
    if (verdict.to !== 'queued') deps.release(job.id)
    // The client has its answer: the row may wait for the next call's, and one transaction carries both.
    if (verdict.to === 'done' && job.kind === 'sync' && queue.isEmpty()) await nudge.wait(LINGER_MS)
    return () => conclude(job, verdict, caller, ran)
  }

  const claim = () => {
    const now = clock.now()
    const agedBefore = deps.maxWaitMs > 0 ? now - deps.maxWaitMs : null
    const { residentKey } = state
    const loadedKeys = residentKey === null ? [] : [residentKey]
    const residentKeys = loader.loadingKey === null ? loadedKeys : [loader.loadingKey]
    return queue.claim({ now, slot: 0, activeKey: null, residentKeys, loadedKeys, agedBefore })
  }

  /** One turn. The settle of the last job and the next claim are issued together, so that they share a transaction. */
  const turn = async (settle: () => Promise<void>): Promise<() => Promise<void>> => {
    const settled = settle()
    if (phase !== 'running' || !state.view.reachable) {
      await settled
      if (phase === 'running' && !state.view.reachable) await nudge.wait(null)
      return nothing
    }
    const claimed = await claim().catch(async (error: unknown) => {
      await settled
      throw error
    })
    await settled
    // All who waited for the load in progress may have left at once: then it is for nobody.
    if (claimed.kind !== 'job' || claimed.job.residencyKey !== loader.loadingKey) loader.abort()
    if (claimed.kind === 'job') return runOne(claimed.job)
    const waitMs =
      claimed.kind === 'held' || claimed.nextDueAt === null ? null : Math.max(0, claimed.nextDueAt - clock.now())
    await nudge.wait(waitMs)
    return nothing
  }

  const loop = async () => {
    let settle = nothing
    while (phase === 'running' || settle !== nothing) {
      try {
        settle = await turn(settle)
      } catch (error) {
        settle = nothing
        emit({ event: 'loop_failed', loop: 'worker', error })
        await nudge.wait(LOOP_PAUSE_MS)
      }
    }
  }

  const unsubscribe = state.onReachability((reachable) => {
    if (reachable) nudge.raise()
  })

  return {
    nudge: nudge.raise,
    interrupt(jobId, why) {
      if (slot?.job.id !== jobId) return false
      slot.stopper.stop(why)
      return true
    },
    get view(): WorkerView {
      if (slot !== null) return { state: slot.phase, jobId: slot.job.id, model: slot.job.model }
      const idle = state.view.reachable ? 'idle' : 'parked'
      return { state: phase === 'stopped' ? 'stopped' : idle, jobId: null, model: null }
    },
    start() {
      phase = 'running'
      looping = loop()
    },
    async stop(graceMs) {
      phase = 'stopping'
      nudge.raise()
      const cancel = clock.after(graceMs, () => slot?.stopper.stop({ kind: 'stopped' }))
      await looping
      cancel()
      loader.abort()
      unsubscribe()
      phase = 'stopped'
    },
  }
}

const nothing = async (): Promise<void> => undefined
