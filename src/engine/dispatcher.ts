/** Claims jobs into slots and settles them, several of one residency key side by side; a job may fail, this loop may not. */

import { failure } from '../domain/job/failure.ts'
import type { Call } from '../domain/wire/call.ts'
import { createLoop, type Loop } from '../loop/loop.ts'
import type { Settle } from './conclusion.ts'
import { createLoader, type Loaded } from './loader.ts'
import type { Claimed } from './ports.ts'
import { beginLoad } from './run.ts'
import { createServe, type ServeDeps } from './serve.ts'
import { createTurns, type Turns } from './turns.ts'

export interface DispatcherDeps extends Omit<ServeDeps, 'loader'> {
  /** 0 = no age bound. */
  readonly maxWaitMs: number
  /** How many jobs of this key may run side by side. */
  readonly slotsOf: (residencyKey: string) => number
  /** Nothing runs and nothing is ready. */
  readonly idle: () => void
}

export type DispatcherPhase = 'running' | 'stopping' | 'stopped'

// One refusal may be a disk that is full; what is refused three times, seconds apart, does not heal by itself.
const REFUSALS_MAX = 3

/** The dispatcher of one engine; nothing runs before `start`. */
export class Dispatcher {
  readonly #deps: DispatcherDeps
  readonly #loader = createLoader()
  readonly #serve: ReturnType<typeof createServe>
  readonly #loop: Loop
  readonly #unsubscribe: () => void
  readonly #pending: Settle[] = []
  readonly #turns: Turns
  readonly #holds = new Set<() => void>()
  #refusals = 0
  #isTurning = false
  #phase: DispatcherPhase = 'stopped'
  #drained = Promise.withResolvers<void>()
  #stopping: Promise<void> | null = null
  #turnedAtMs: number

  constructor(deps: DispatcherDeps) {
    this.#deps = deps
    this.#serve = createServe({ ...deps, loader: this.#loader })
    this.#turns = createTurns(deps.clock)
    this.#turnedAtMs = deps.clock.monotonicMs()
    const failed = (error: unknown) => deps.emit({ event: 'loop_failed', loop: 'dispatcher', error })
    this.#loop = createLoop({ name: 'dispatcher', clock: deps.clock, body: () => this.#watchedTurn(), failed })
    this.#unsubscribe = deps.state.onReachability((reachable) => {
      if (reachable) this.nudge()
    })
  }

  get phase(): DispatcherPhase {
    return this.#phase
  }

  /** Monotonic milliseconds at which its loop last came round. */
  get turnedAtMs(): number {
    return this.#turnedAtMs
  }

  /** How long the turn in progress has lasted; 0 between turns. */
  get turningMs(): number {
    return this.#isTurning ? this.#deps.clock.monotonicMs() - this.#turnedAtMs : 0
  }

  /** There may be something to do. */
  nudge(): void {
    this.#loop.nudge()
  }

  /** Claims nothing from now on; resolves when no job runs any more, with the function that ends the hold, or with null when `until` fires. */
  hold(until: AbortSignal): Promise<(() => void) | null> {
    return new Promise((resolve) => {
      if (until.aborted) return resolve(null)
      const release = () => {
        this.#holds.delete(emptied)
        until.removeEventListener('abort', giveUp)
        this.nudge()
      }
      const emptied = () => resolve(release)
      const giveUp = () => {
        release()
        resolve(null)
      }
      until.addEventListener('abort', giveUp, { once: true })
      this.#holds.add(emptied)
      this.nudge()
    })
  }

  /** Loads what this call needs although no job asks for it: a job of that key joins the load, one of another key ends it. */
  load(call: Call, until: AbortSignal): Promise<Loaded> {
    const { residencyKey: key } = call
    const start = (signal: AbortSignal) => beginLoad(this.#deps, call, key, AbortSignal.any([signal, until]))
    return this.#loader.ensure(key, start, 'own')
  }

  start(): void {
    this.#phase = 'running'
    this.#loop.start()
  }

  /** Claims nothing more; lets what runs finish within `graceMs`, then puts it back. Every caller waits for the end. */
  stop(graceMs: number): Promise<void> {
    if (this.#phase === 'stopped' && this.#stopping === null) return Promise.resolve()
    this.#stopping ??= this.#stop(graceMs)
    return this.#stopping
  }

  async #stop(graceMs: number): Promise<void> {
    const { clock, roster } = this.#deps
    this.#phase = 'stopping'
    this.nudge()
    const cancel = clock.after(graceMs, () => roster.stopAll({ kind: 'stopped' }))
    await this.#drained.promise
    await this.#loop.stop()
    cancel()
    this.#loader.abort()
    this.#unsubscribe()
    this.#phase = 'stopped'
  }

  async #watchedTurn(): Promise<number | null> {
    this.#isTurning = true
    try {
      return await this.#turn()
    } finally {
      this.#isTurning = false
    }
  }

  /** One turn. The settles of the last jobs and the next claim are issued together, so that they share a transaction. */
  async #turn(): Promise<number | null> {
    const { roster } = this.#deps
    this.#turnedAtMs = this.#deps.clock.monotonicMs()
    const settled = Promise.all(this.#pending.splice(0).map((settle) => settle()))
    const slot = this.#slotForNext()
    if (slot === null) {
      await settled
      if (roster.seats.length === 0) for (const emptied of this.#holds) emptied()
      if (this.#phase === 'stopping' && roster.seats.length + this.#pending.length === 0) this.#drained.resolve()
      return null
    }
    const claimed = await this.#claim(slot).catch(async (error: unknown) => {
      await settled
      await this.#heal()
      throw error
    })
    this.#refusals = 0
    this.#begin(claimed)
    await settled
    if (claimed.kind !== 'job') return this.#rest(claimed)
    return this.#slotForNext() === null ? null : 0
  }

  /** A claim that is refused again and again: a row may hold a slot that nobody runs, whatever brought that about. */
  async #heal(): Promise<void> {
    const { queue, roster, clock, emit } = this.#deps
    if (++this.#refusals < REFUSALS_MAX) return
    this.#refusals = 0
    const jobs = await queue.release(
      roster.seats.map(({ job }) => job.id),
      clock.now(),
    )
    if (jobs > 0) emit({ event: 'slots_released', jobs })
  }

  /** The slot for the next job, or null while there is none. */
  #slotForNext(): number | null {
    const { state, roster, slotsOf } = this.#deps
    if (this.#phase !== 'running' || !state.view.reachable || this.#holds.size > 0) return null
    const [first] = roster.seats
    return roster.freeSlot(first === undefined ? 1 : slotsOf(first.job.residencyKey))
  }

  #claim(slot: number): Promise<Claimed> {
    const { queue, clock, roster, state, maxWaitMs } = this.#deps
    const now = clock.now()
    const { residentKeys, loadedKeys } = state.residency
    const { loadingKey } = this.#loader
    const activeKey = roster.seats[0]?.job.residencyKey ?? null
    return queue.claim({
      now,
      slot,
      activeKey,
      // While a load is on its way its jobs come first: whatever is loaded now is being pushed out.
      residentKeys: loadingKey === null ? this.#turns.order(residentKeys, activeKey) : [loadingKey],
      loadedKeys,
      agedBefore: maxWaitMs > 0 ? now - maxWaitMs : null,
    })
  }

  #begin(claimed: Claimed): void {
    if (claimed.kind === 'refused') this.#refuse(claimed)
    const isAlone = this.#deps.roster.seats.length === 0
    // All who waited for the load in progress may have left at once: then it is for nobody.
    const isForOthers =
      claimed.kind === 'job' ? claimed.job.residencyKey !== this.#loader.loadingKey : !this.#loader.isOwn
    if (isAlone && isForOthers) this.#loader.abort()
    if (claimed.kind !== 'job') return
    const ended = this.#turns.begin(claimed.job.residencyKey)
    const { roster } = this.#deps
    const seat = roster.seat(claimed.job)
    void this.#serve(seat).then((settle) => {
      this.#pending.push(settle)
      ended()
      roster.free(seat)
      this.nudge()
    })
  }

  /** Its client need not wait for the disk. */
  #refuse({ jobId, error }: Extract<Claimed, { kind: 'refused' }>): void {
    this.#deps.emit({ event: 'loop_failed', loop: 'dispatcher', error })
    this.#deps.withdrawn(jobId, failure('disk_full'))
  }

  /** How long until a job may be ready; null = somebody will say so. */
  #rest(claimed: Exclude<Claimed, { kind: 'job' }>): number | null {
    const { roster, clock, idle } = this.#deps
    if (claimed.kind === 'refused') return 0
    if (claimed.kind === 'held') return roster.seats.length === 0 ? 0 : null
    if (roster.seats.length === 0) idle()
    return claimed.nextDueAt === null ? null : Math.max(1, claimed.nextDueAt - clock.now())
  }
}
