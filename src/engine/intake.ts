/** The sync entry point to the queue: takes a caller in, and takes it out again when it leaves or its time is up. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { type Failure, failure } from '../domain/job/failure.ts'
import type { Caller, Callers } from './caller.ts'
import type { EngineQueue } from './ports.ts'
import type { TargetState } from './state.ts'
import type { Worker } from './worker.ts'

export interface IntakeDeps {
  readonly queue: EngineQueue
  readonly callers: Callers
  readonly worker: Pick<Worker, 'nudge' | 'interrupt'>
  readonly state: TargetState
  readonly clock: Clock
  readonly emit: Emit
  readonly maxAttempts: number
  /** How long a waiting caller bears a target that cannot be reached. */
  readonly unreachableDeadlineMs: number
}

export type Admitted = { readonly kind: 'admitted' } | { readonly kind: 'refused'; readonly failure: Failure }

export interface Intake {
  /** `deadlineMs` bounds the whole call; null = no bound. */
  admit(jobId: string, caller: Caller, deadlineMs: number | null): Promise<Admitted>
  /** Nothing new is taken; those who wait are told at once, so that they can go elsewhere. */
  close(): Promise<void>
  stop(): void
}

const fieldsOf = (jobId: string, { call }: Caller) => ({
  jobId,
  kind: 'sync' as const,
  model: call.model,
  residencyKey: call.residencyKey,
})

// A job between queue and worker can neither be withdrawn nor interrupted: one turn of the loop, or as long as the disk is full.
const RECHECK_MS = 100

/** The intake of one engine. */
export const createIntake = (deps: IntakeDeps): Intake => {
  const { queue, callers, worker, state, clock, emit } = deps
  let closed = false
  let unreachableSince: number | null = null
  let cancelPatience = () => {}

  /** A database that refuses keeps no caller waiting: its job finds nobody when it is claimed, and is cancelled then. */
  const withdraw = async (jobId: string, reason: 'cancelled' | Failure): Promise<boolean> => {
    try {
      return await queue.withdraw(jobId, reason, clock.now())
    } catch (error) {
      emit({ event: 'loop_failed', loop: 'intake', error })
      return true
    }
  }

  /** Takes a waiting job out of the queue and tells its caller; a running one is left to the worker. */
  const dismiss = async (jobId: string, caller: Caller, reason: Failure) => {
    if (!(await withdraw(jobId, reason))) return false
    callers.remove(jobId)
    emit({ event: 'job_failed', ...fieldsOf(jobId, caller), attempt: 0, failure: reason })
    caller.fail(reason, null, false)
    return true
  }

  const leave = async (jobId: string, caller: Caller) => {
    if (!(await withdraw(jobId, 'cancelled'))) return
    callers.remove(jobId)
    emit({ event: 'job_cancelled', ...fieldsOf(jobId, caller), attempt: 0 })
  }

  const expire = async (jobId: string, caller: Caller) => {
    if (worker.interrupt(jobId, { kind: 'expired' })) return
    if (await dismiss(jobId, caller, failure('deadline'))) return
    // It is on its way between the queue and the worker: look again until one of them has it.
    if (callers.get(jobId) === caller) caller.onFinished(clock.after(RECHECK_MS, () => void expire(jobId, caller)))
  }

  /** Callers come in order and share one bound, so the first that is still within it ends the search. */
  const losePatience = () => {
    cancelPatience()
    cancelPatience = () => {}
    if (unreachableSince === null) return
    const now = clock.monotonicMs()
    for (const [jobId, caller] of callers.entries()) {
      const since = Math.max(unreachableSince, caller.arrivedAtMs)
      const leftMs = since + deps.unreachableDeadlineMs - now
      if (leftMs > 0) {
        cancelPatience = clock.after(leftMs, losePatience)
        return
      }
      void dismiss(jobId, caller, failure('unreachable'))
    }
    // One that is on the worker at this very moment may come back to wait, and others may be on their way in.
    if (callers.size > 0) cancelPatience = clock.after(RECHECK_MS, losePatience)
  }

  const watchPatience = (reachable: boolean) => {
    unreachableSince = reachable ? null : clock.monotonicMs()
    losePatience()
  }
  const unsubscribe = state.onReachability(watchPatience)

  return {
    async admit(jobId, caller, deadlineMs) {
      if (closed) return { kind: 'refused', failure: failure('draining') }
      const { call, path } = caller
      callers.add(jobId, caller)
      const submitted = queue.submit(
        {
          id: jobId,
          kind: 'sync',
          endpoint: path,
          model: call.model,
          residencyKey: call.residencyKey,
          maxAttempts: deps.maxAttempts,
          request: null,
          webhookUrl: null,
        },
        clock.now(),
      )
      // Raised before the row is committed, so that the insert and the worker's claim share one transaction.
      worker.nudge()
      try {
        if ((await submitted).kind === 'full') {
          callers.remove(jobId)
          return { kind: 'refused', failure: failure('queue_full') }
        }
      } catch (error) {
        callers.remove(jobId)
        emit({ event: 'loop_failed', loop: 'intake', error })
        return { kind: 'refused', failure: failure('disk_full') }
      }
      emit({ event: 'job_submitted', ...fieldsOf(jobId, caller), endpoint: path })
      if (caller.left.aborted) void leave(jobId, caller)
      else caller.left.addEventListener('abort', () => void leave(jobId, caller), { once: true })
      if (deadlineMs !== null) caller.onFinished(clock.after(deadlineMs, () => void expire(jobId, caller)))
      if (unreachableSince !== null) losePatience()
      return { kind: 'admitted' }
    },
    async close() {
      closed = true
      await Promise.all([...callers.entries()].map(([jobId, caller]) => dismiss(jobId, caller, failure('draining'))))
    },
    stop() {
      cancelPatience()
      unsubscribe()
    },
  }
}
