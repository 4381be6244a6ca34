/** The sync entry point to the queue: takes a caller in, and takes it out again when it leaves or its time is up. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { type Failure, failure } from '../domain/job/failure.ts'
import type { Aside } from './aside.ts'
import type { Caller, Callers } from './caller.ts'
import type { EngineQueue } from './ports.ts'
import type { Rescuers } from './rescue.ts'
import type { Order, Roster } from './roster.ts'
import type { TargetState } from './state.ts'

export interface IntakeDeps {
  readonly queue: Pick<EngineQueue, 'enter' | 'withdraw'>
  readonly callers: Callers
  readonly roster: Pick<Roster, 'end' | 'of'>
  readonly rescuers: Pick<Rescuers, 'afterMs'>
  readonly aside: Pick<Aside, 'fromLine' | 'wants'>
  readonly state: TargetState
  readonly clock: Clock
  readonly emit: Emit
  /** A job waits. */
  readonly nudge: () => void
  readonly maxAttempts: number
}

export type Admitted = { readonly kind: 'admitted' } | { readonly kind: 'refused'; readonly failure: Failure }

export interface Intake {
  /** `deadlineMs` bounds the whole call; null = no bound. */
  admit(jobId: string, caller: Caller, deadlineMs: number | null): Promise<Admitted>
  /** A caller's job was taken out of the queue by an order of this intake that had to wait for it. */
  withdrawn(jobId: string, reason: Order['reason']): void
  /** A caller's job waits again after an attempt. */
  waitsAgain(jobId: string): void
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

/** The intake of one engine. */
export class CallerIntake implements Intake {
  readonly #deps: IntakeDeps
  readonly #unsubscribe: () => void
  /** Timers of callers that wait for an absent target. */
  readonly #timers = new Map<string, () => void>()
  #isClosed = false

  constructor(deps: IntakeDeps) {
    this.#deps = deps
    this.#unsubscribe = deps.state.onReachability((reachable) => {
      const { clock, state } = deps
      const sinceMs = clock.monotonicMs() - Math.max(0, clock.now() - (state.view.absence?.since ?? clock.now()))
      for (const [jobId, caller] of deps.callers.entries()) {
        if (reachable) this.#rest(jobId, caller)
        else this.#watch(jobId, caller, Math.max(sinceMs, caller.arrivedAtMs))
      }
    })
  }

  async admit(jobId: string, caller: Caller, deadlineMs: number | null): Promise<Admitted> {
    if (this.#isClosed) return { kind: 'refused', failure: failure('draining') }
    const { callers, clock, emit, state } = this.#deps
    callers.add(jobId, caller)
    const refused = this.#enter(jobId, caller)
    if (refused !== null) {
      callers.remove(jobId)
      return { kind: 'refused', failure: refused }
    }
    emit({ event: 'job_submitted', ...fieldsOf(jobId, caller), endpoint: caller.path })
    const leave = () => void this.#end(jobId, caller, { why: { kind: 'left' }, reason: 'cancelled' })
    if (caller.left.aborted) leave()
    else caller.left.addEventListener('abort', leave)
    const expire = () => void this.#end(jobId, caller, { why: { kind: 'expired' }, reason: failure('deadline') })
    if (deadlineMs !== null) caller.onFinished(clock.after(deadlineMs, expire))
    if (!state.view.reachable) this.#watch(jobId, caller)
    caller.onFinished(() => this.#unwatch(jobId))
    // Last: its turn may come at once.
    this.#deps.nudge()
    return { kind: 'admitted' }
  }

  withdrawn(jobId: string, reason: Order['reason']): void {
    const caller = this.#deps.callers.get(jobId)
    if (caller !== undefined) this.#tell(jobId, caller, reason)
  }

  waitsAgain(jobId: string): void {
    const { callers, state } = this.#deps
    const caller = callers.get(jobId)
    if (caller !== undefined && !state.view.reachable) this.#watch(jobId, caller)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const { callers, roster } = this.#deps
    const waiting = [...callers.entries()].filter(([jobId]) => roster.of(jobId) === undefined)
    await Promise.all(waiting.map(([jobId, caller]) => this.#sendAway(jobId, caller)))
  }

  stop(): void {
    this.#unsubscribe()
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
  }

  #enter(jobId: string, { call: { model, residencyKey }, path: endpoint }: Caller): Failure | null {
    const { queue, clock, emit, maxAttempts } = this.#deps
    try {
      const entered = queue.enter({ id: jobId, endpoint, model, residencyKey, maxAttempts }, clock.now())
      return entered.kind === 'full' ? failure('queue_full') : null
    } catch (error) {
      emit({ event: 'loop_failed', loop: 'intake', error })
      return failure('disk_full')
    }
  }

  /** Ends a call wherever it is. A database that refuses keeps no caller waiting: its job finds nobody when it is claimed. */
  async #end(jobId: string, caller: Caller, order: Order): Promise<void> {
    try {
      if ((await this.#deps.roster.end(jobId, order)) !== 'withdrawn') return
    } catch (error) {
      this.#deps.emit({ event: 'loop_failed', loop: 'intake', error })
    }
    this.#tell(jobId, caller, order.reason)
  }

  /** One that is being claimed at this moment runs, and has the grace of the stop. */
  async #sendAway(jobId: string, caller: Caller): Promise<void> {
    const { queue, clock, emit } = this.#deps
    const reason = failure('draining')
    try {
      if (!(await queue.withdraw(jobId, reason, clock.now()))) return
    } catch (error) {
      emit({ event: 'loop_failed', loop: 'intake', error })
    }
    this.#tell(jobId, caller, reason)
  }

  #tell(jobId: string, caller: Caller, reason: Order['reason']): void {
    const { callers, emit } = this.#deps
    callers.remove(jobId)
    const fields = { ...fieldsOf(jobId, caller), attempt: 0 }
    if (reason === 'cancelled') {
      emit({ event: 'job_cancelled', ...fields })
      return
    }
    emit({ event: 'job_failed', ...fields, failure: reason })
    caller.fail(reason, null, false)
  }

  /** The target is missing: the caller's stopwatch runs, and its end is waited for, or the moment in which somebody may help. */
  #watch(jobId: string, caller: Caller, sinceMs = this.#deps.clock.monotonicMs()): void {
    const { patience } = caller
    if (patience === null || this.#timers.has(jobId)) return
    patience.absent(sinceMs)
    const rescueMs = this.#deps.rescuers.afterMs()
    this.#wait(jobId, caller, rescueMs === null ? patience.leftMs() : Math.min(patience.leftMs(), rescueMs))
  }

  #wait(jobId: string, caller: Caller, waitMs: number): void {
    if (waitMs <= 0) {
      this.#losePatience(jobId, caller)
      return
    }
    const cancel = this.#deps.clock.after(waitMs, () => {
      this.#timers.delete(jobId)
      this.#losePatience(jobId, caller)
    })
    this.#timers.set(jobId, cancel)
  }

  #losePatience(jobId: string, caller: Caller): void {
    const { roster, callers, state, aside } = this.#deps
    // One that is on its slot at this very moment may come back to wait, and is watched again then.
    if (state.view.reachable || roster.of(jobId) !== undefined || callers.get(jobId) !== caller) return
    const reason = failure('unreachable', state.absenceWords(''))
    // Something else may have rested it meanwhile.
    caller.patience?.absent()
    const leftMs = caller.patience?.leftMs() ?? 0
    const isHelped = aside.wants(caller, reason) && aside.fromLine(jobId, caller, reason, leftMs > 0)
    const end = () => void this.#end(jobId, caller, { why: { kind: 'expired' }, reason })
    if (leftMs > 0) this.#wait(jobId, caller, leftMs)
    else if (isHelped === false) end()
    // One that came back in this very moment serves it.
    else void isHelped.then((helped) => helped || state.view.reachable || end())
  }

  #rest(jobId: string, { patience }: Caller): void {
    patience?.present()
    this.#unwatch(jobId)
  }

  #unwatch(jobId: string): void {
    this.#timers.get(jobId)?.()
    this.#timers.delete(jobId)
  }
}
