/** Notices a target that is wedged although it answers (Ollama's own deadlock: wire document, 6.5), and cures it by unloading what is idle there; it must never unload what is in use. */
import type { Clock } from '../domain/clock.ts'
import type { Paces } from '../domain/job/eta.ts'
import type { Emit } from '../domain/job/events.ts'
import type { ResidentModel } from '../domain/wire/inventory.ts'
import { residencyKey } from '../domain/wire/residency.ts'
import { Countdown, Counted } from './countdown.ts'
import type { Look } from './look.ts'
import type { SendTarget } from './ports.ts'
import type { TargetState } from './state.ts'
import { askUnload } from './upkeep.ts'
import { createUses, type Way } from './uses.ts'

export interface HangsDeps {
  readonly target: SendTarget
  readonly state: TargetState
  readonly look: Look
  readonly paces: Pick<Paces, 'of'>
  /** Keeps jobs from beginning; resolves when none runs, with the function that lets them go on, or with null when `until` fires. */
  readonly hold: (until: AbortSignal) => Promise<(() => void) | null>
  readonly clock: Clock
  readonly emit: Emit
}

/** A request on its way. */
export interface Watch {
  /** It moves: it waits for nobody's load. */
  moves(): void
  /** It is over, and uses its model no longer. */
  over(): void
}

export interface Hangs {
  watch(canonicalModel: string, way: Way): Watch
  /** Calls past the queue keep this model in use without a gap, and another one waits for its place: further ones belong in the queue. */
  mustYield(canonicalModel: string): boolean
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

/** How long a request for this model may be silent without its model being loaded before anybody looks. */
const silentMs = ({ of }: Pick<Paces, 'of'>, model: string): number =>
  Math.max(SILENT_MS, USUAL_TIMES * (of(residencyKey(model, { options: {}, shift: undefined })).loadMs ?? 0))

/** One that waits and does not move yet; it costs little until somebody looks after it. */
class Waiting extends Counted implements Watch {
  readonly model: string
  readonly way: Way
  /** Fires when it moves; made when somebody looks. */
  looked: AbortController | null = null
  cancelLook: (() => void) | null = null
  readonly #hangs: HangWatch
  #isOver = false

  constructor(hangs: HangWatch, model: string, way: Way) {
    super()
    this.#hangs = hangs
    this.model = model
    this.way = way
  }

  ranOut(): void {
    this.#hangs.silent(this)
  }

  moves(): void {
    this.#hangs.moved(this)
  }

  over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#hangs.over(this)
  }
}

/** The watch over one target. */
class HangWatch implements Hangs {
  readonly #deps: HangsDeps
  readonly #uses = createUses()
  readonly #silence: Countdown<Waiting>
  /** Those whose silence somebody looks after. */
  readonly #looked = new Set<Waiting>()
  /** Models that calls past the queue kept in use while another one waited, with the time until which they go through it. */
  readonly #yieldingUntilMs = new Map<string, number>()
  #mostTogether = 0
  #isStopped = false

  constructor(deps: HangsDeps) {
    this.#deps = deps
    this.#silence = new Countdown(deps.clock, SILENT_MS)
  }

  watch(model: string, way: Way): Watch {
    this.#uses.begin(way, model)
    const waiting = new Waiting(this, model, way)
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
    this.#looked.add(waiting)
    const restMs = silentMs(this.#deps.paces, waiting.model) - SILENT_MS
    if (restMs > 0) waiting.cancelLook = this.#deps.clock.after(restMs, () => this.#lookAfter(waiting))
    else this.#lookAfter(waiting)
  }

  #lookAfter(waiting: Waiting): void {
    const { clock, emit } = this.#deps
    waiting.looked ??= new AbortController()
    const { signal } = waiting.looked
    void this.#examine(waiting, signal)
      .catch((error) => emit({ event: 'loop_failed', loop: 'hangs', error }))
      .then(() => {
        if (!signal.aborted) waiting.cancelLook = clock.after(AGAIN_MS, () => this.#lookAfter(waiting))
      })
  }

  #end(waiting: Waiting): void {
    waiting.cancelLook?.()
    waiting.looked?.abort()
  }

  /** What stands in the way, if anything does: the target is full, the model is not there, and what is there is another one. */
  async #inTheWay(model: string): Promise<readonly ResidentModel[]> {
    const residents = await this.#deps.look()
    if (residents === null || residents.length === 0) return []
    this.#mostTogether = Math.max(this.#mostTogether, this.#deps.state.residency.residents.length, residents.length)
    if (residents.some(({ canonical }) => canonical === model)) return []
    // With room left over a load that takes long is only a load that takes long.
    return residents.length < this.#mostTogether ? [] : residents
  }

  async #examine({ model }: Waiting, moved: AbortSignal): Promise<void> {
    const residents = await this.#inTheWay(model)
    for (const { canonical } of residents) {
      if (!moved.aborted && this.#uses.has('past', canonical)) this.#yield(canonical, model)
      else await this.#makeRoom(canonical, model, moved)
    }
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
      const still = (await this.#inTheWay(forModel)).find((resident) => resident.canonical === canonical)
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
