/** One request that needs a model and has not moved yet; it costs little until somebody looks after it. */
import { Counted } from './countdown.ts'
import type { HungJob } from './load-doctor.ts'
import type { Way } from './uses.ts'

/** A request on its way. */
export interface Watch {
  /** It moves: it waits for nobody's load. */
  moves(): void
  /** It is over, and uses its model no longer. */
  over(): void
}

/** Whoever watches over those that wait. */
interface Watcher {
  silent(waiting: Waiting): void
  moved(waiting: Waiting): void
  over(waiting: Waiting): void
}

/** One that waits and does not move yet; it costs little until somebody looks after it. */
export class Waiting extends Counted implements Watch {
  readonly model: string
  readonly way: Way
  /** Fires when it moves; made when somebody looks. */
  looked: AbortController | null = null
  cancelLook: (() => void) | null = null
  readonly hung: HungJob | undefined
  /** What was unloaded for it. */
  readonly unloaded = new Set<string>()
  silentSinceMs = 0
  readonly #hangs: Watcher
  #isOver = false

  constructor(hangs: Watcher, model: string, way: Way, hung: HungJob | undefined) {
    super()
    this.#hangs = hangs
    this.model = model
    this.way = way
    this.hung = hung
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
