/** Notices a target that is wedged although it answers (Ollama's own deadlock: wire document, 6.5), and cures it by unloading what is idle there; it must never unload what is in use. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import type { ResidentModel } from '../domain/wire/inventory.ts'
import { Countdown } from './countdown.ts'
import type { HungJob, LoadDoctor, SilentLoad } from './load-doctor.ts'
import { createLoadTimes } from './load-times.ts'
import type { Look } from './look.ts'
import type { SendTarget } from './ports.ts'
import { createRoom, type Room } from './room.ts'
import type { TargetState } from './state.ts'
import { askUnload } from './unload.ts'
import { type Calls, createUses, type Way } from './uses.ts'
import { Waiting, type Watch } from './waiting.ts'

export interface HangsDeps {
  readonly target: SendTarget
  readonly state: TargetState
  readonly look: Look
  /** Keeps jobs from beginning; resolves when none runs, with the function that lets them go on, or with null when `until` fires. */
  readonly hold: (until: AbortSignal) => Promise<(() => void) | null>
  readonly clock: Clock
  readonly emit: Emit
}

export interface Hangs {
  /** `hung`: the job, where it is one. */
  watch(canonicalModel: string, way: Way, hung?: HungJob): Watch
  /** A load of this residency key took so long. */
  loadTook(key: string, ms: number): void
  /** One doctor, the last one given. */
  consult(doctor: LoadDoctor): void
  /** Calls past the queue keep this model in use without a gap, and another one waits for its place: further ones belong in the queue. */
  mustYield(canonicalModel: string): boolean
  /** Requests that need a model, jobs and those past the queue. */
  calls(): Calls
  stop(): void
}

// An Ollama that makes room does so within 5 s of the last request; a load of a known model is known to take so long.
const SILENT_MS = 30_000
const USUAL_TIMES = 3
const AGAIN_MS = 15_000
// A job that runs for longer is let run: it is looked again when it has ended.
const HOLD_MAX_MS = 60_000
// Long enough that those who wait have their turn, short enough that a pause of the others is soon of use.
const YIELD_MS = 60_000

/** How long a request may be silent without its model being loaded before anybody makes room for it. */
const silentMs = (usual: number | null): number => Math.max(SILENT_MS, USUAL_TIMES * (usual ?? 0))

/** The watch over one target. */
class HangWatch implements Hangs {
  readonly #deps: HangsDeps
  readonly #uses = createUses()
  readonly #times = createLoadTimes()
  readonly #room: Room
  readonly #silence: Countdown<Waiting>
  /** Those whose silence somebody looks after. */
  readonly #looked = new Set<Waiting>()
  /** Models that calls past the queue kept in use while another one waited, with the time until which they go through it. */
  readonly #yieldingUntilMs = new Map<string, number>()
  #doctor: LoadDoctor | null = null
  #isStopped = false

  constructor(deps: HangsDeps) {
    this.#deps = deps
    this.#room = createRoom(deps)
    this.#silence = new Countdown(deps.clock, SILENT_MS)
  }

  loadTook(key: string, ms: number): void {
    this.#times.took(key, ms)
  }

  calls(): Calls {
    return this.#uses.calls()
  }

  consult(doctor: LoadDoctor): void {
    this.#doctor = doctor
  }

  watch(model: string, way: Way, hung?: HungJob): Watch {
    this.#uses.begin(way, model)
    const waiting = new Waiting(this, model, way, hung)
    if (!this.#isStopped) this.#silence.begin(waiting)
    return waiting
  }

  moved(waiting: Waiting): void {
    this.#silence.end(waiting)
    if (!this.#looked.delete(waiting)) return
    this.#end(waiting)
    const isLastHung = waiting.looked !== null && ![...this.#looked].some(({ looked }) => looked !== null)
    if (isLastHung && this.#deps.state.view.hang !== null) this.#deps.state.update({ hang: null })
  }

  over(waiting: Waiting): void {
    this.moved(waiting)
    this.#uses.end(waiting.way, waiting.model)
  }

  mustYield(model: string): boolean {
    const untilMs = this.#yieldingUntilMs.get(model)
    if (untilMs === undefined) return false
    if (this.#deps.clock.monotonicMs() < untilMs) return true
    this.#yieldingUntilMs.delete(model)
    return false
  }

  stop(): void {
    this.#isStopped = true
    for (const waiting of this.#silence.all()) this.#silence.end(waiting)
    for (const waiting of this.#looked) this.#end(waiting)
    this.#looked.clear()
  }

  /** It has been silent for as long as nobody minds; a load that usually takes longer has its time. */
  silent(waiting: Waiting): void {
    const { clock } = this.#deps
    this.#looked.add(waiting)
    waiting.silentSinceMs = clock.monotonicMs() - SILENT_MS
    const usual = this.#times.usual(waiting.model, waiting.hung?.job.residencyKey)
    const boundMs = this.#doctorOf(waiting)?.boundMs(usual) ?? Number.POSITIVE_INFINITY
    const restMs = Math.min(silentMs(usual), boundMs) - SILENT_MS
    if (restMs > 0) waiting.cancelLook = clock.after(restMs, () => this.#lookAfter(waiting))
    else this.#lookAfter(waiting)
  }

  #doctorOf({ hung }: Waiting): LoadDoctor | null {
    return hung === undefined ? null : this.#doctor
  }

  #lookAfter(waiting: Waiting): void {
    const { clock, emit } = this.#deps
    waiting.looked ??= new AbortController()
    const { signal } = waiting.looked
    void this.#examine(waiting, signal)
      .catch((error) => {
        emit({ event: 'loop_failed', loop: 'hangs', error })
        return AGAIN_MS
      })
      .then((againMs) => {
        if (!signal.aborted) waiting.cancelLook = clock.after(againMs, () => this.#lookAfter(waiting))
      })
  }

  #end(waiting: Waiting): void {
    waiting.cancelLook?.()
    waiting.looked?.abort()
  }

  /** What there is to be done now, and in how many milliseconds to look again. */
  async #examine(waiting: Waiting, moved: AbortSignal): Promise<number> {
    const { clock } = this.#deps
    const { model, way } = waiting
    const others = await this.#room.others(model)
    const usual = this.#times.usual(waiting.model, waiting.hung?.job.residencyKey)
    const silent = clock.monotonicMs() - waiting.silentSinceMs
    // A job's first load may take minutes beside an idle model, and nobody knows whether there is room for both.
    const mayMakeRoom = silent >= silentMs(usual) && (way === 'past' || usual !== null || this.#doctor === null)
    for (const { canonical } of this.#room.inTheWay(others)) {
      if (!moved.aborted && this.#uses.has('past', canonical)) this.#yield(canonical, model)
      else if (mayMakeRoom) await this.#makeRoom(canonical, model, moved)
    }
    const doctor = this.#doctorOf(waiting)
    if (doctor === null || others === null || moved.aborted) return AGAIN_MS
    return Math.min(AGAIN_MS, this.#treat(waiting, others, doctor, { silentMs: silent, usualMs: usual }))
  }

  /** Does as the doctor says about a load that does not come about. */
  #treat(
    waiting: Waiting,
    others: readonly ResidentModel[],
    doctor: LoadDoctor,
    times: Pick<SilentLoad, 'silentMs' | 'usualMs'>,
  ): number {
    const isBusy = others.some(({ canonical }) => waiting.unloaded.has(canonical))
    const advice = doctor.advise({ model: waiting.model, isBusy, ...times })
    if (advice.kind === 'give-up') {
      const { residencyKey: key } = waiting.hung?.job ?? {}
      for (const { hung } of [...this.#silence.all(), ...this.#looked])
        if (hung?.job.residencyKey === key) hung?.stopper.stop(advice.why)
      return AGAIN_MS
    }
    if (advice.kind === 'make-room')
      for (const { canonical, name } of others) {
        if (this.#uses.has('past', canonical) || this.#uses.has('job', canonical)) continue
        waiting.unloaded.add(canonical)
        void this.#unload(name, waiting.model)
      }
    return advice.againMs
  }

  /** Ollama serves a loaded model's calls before it makes room: as long as they come without a gap, nobody else gets in. */
  #yield(canonical: string, forModel: string): void {
    this.#yieldingUntilMs.set(canonical, this.#deps.clock.monotonicMs() + YIELD_MS)
    this.#say(
      forModel,
      `requests for ${forModel} hang behind ${canonical}, which is never idle: its next calls wait in the queue`,
    )
  }

  /** What is in use by our own jobs is let finish first, and nothing begins until the room is made: each new one would take it back. */
  async #makeRoom(canonical: string, forModel: string, moved: AbortSignal): Promise<void> {
    const uses = this.#uses
    if (moved.aborted || uses.has('past', canonical)) return
    // The slots are held by the very jobs that hang: nothing new begins anyway.
    const needsHold = uses.has('job', canonical)
    if (needsHold && uses.has('job', forModel)) return
    const release = needsHold ? await this.#hold(moved) : () => {}
    if (release === null) return
    try {
      // Meanwhile it may have found its way, or its client has gone.
      const still = this.#room
        .inTheWay(await this.#room.others(forModel))
        .find((resident) => resident.canonical === canonical)
      const isUsed = uses.has('past', canonical) || uses.has('job', canonical)
      if (still !== undefined && !moved.aborted && !isUsed) await this.#unload(still.name, forModel)
    } finally {
      release()
    }
  }

  async #hold(moved: AbortSignal): Promise<(() => void) | null> {
    const enough = new AbortController()
    const cancel = this.#deps.clock.after(HOLD_MAX_MS, () => enough.abort())
    const release = await this.#deps.hold(AbortSignal.any([moved, enough.signal]))
    cancel()
    return release
  }

  #say(model: string, reason: string): void {
    this.#deps.emit({ event: 'target_hangs', model, message: reason })
    this.#deps.state.update({ hang: reason })
  }

  async #unload(name: string, forModel: string): Promise<void> {
    const { target, emit } = this.#deps
    this.#say(forModel, `requests for ${forModel} hang behind ${name}, which is loaded and idle: it is being unloaded`)
    const asked = await askUnload(target, name)
    if (asked.kind === 'failed') emit({ event: 'loop_failed', loop: 'hangs', error: new Error(asked.message) })
  }
}

/** A watch over a target that nobody waits for yet. */
export const createHangs = (deps: HangsDeps): Hangs => new HangWatch(deps)
