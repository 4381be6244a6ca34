/** Counts the same time down for many at once on one timer; whoever is done before its time must cost next to nothing. */
import type { Clock } from '../domain/clock.ts'

/** One whose time runs, in one countdown at a time. */
export abstract class Counted {
  /** These three are the countdown's own. */
  dueAtMs = 0
  before: this | null = null
  behind: this | null = null

  /** Its time is up; it counts no longer. */
  abstract ranOut(): void
}

/** A countdown of `delayMs`: who began first is due first, so one timer for the first of them is enough. */
export class Countdown<One extends Counted> {
  readonly #clock: Clock
  readonly #delayMs: number
  #first: One | null = null
  #last: One | null = null
  #cancel: (() => void) | null = null

  constructor(clock: Clock, delayMs: number) {
    this.#clock = clock
    this.#delayMs = delayMs
  }

  begin(one: One, nowMs = this.#clock.monotonicMs()): void {
    one.dueAtMs = nowMs + this.#delayMs
    one.before = this.#last
    if (this.#last === null) this.#first = one
    else this.#last.behind = one
    this.#last = one
    this.#cancel ??= this.#clock.after(this.#delayMs, this.#look)
  }

  /** Harmless when it counts no longer. */
  end(one: One): void {
    const { before, behind } = one
    if (before === null && this.#first !== one) return
    if (before === null) this.#first = behind
    else before.behind = behind
    if (behind === null) this.#last = before
    else behind.before = before
    one.before = null
    one.behind = null
    if (this.#first === null) this.#rest()
  }

  /** All that count, in the order they are due; of those at this moment. */
  all(): One[] {
    const all: One[] = []
    for (let one: One | null = this.#first; one !== null; one = one.behind) all.push(one)
    return all
  }

  #rest(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  readonly #look = (): void => {
    this.#cancel = null
    const nowMs = this.#clock.monotonicMs()
    // A timer may fire a moment too early: half a millisecond is not worth another one.
    for (let one: One | null = this.#first; one !== null && one.dueAtMs - nowMs < 0.5; one = this.#first) {
      this.end(one)
      one.ranOut()
    }
    if (this.#first !== null) this.#cancel ??= this.#clock.after(this.#first.dueAtMs - nowMs, this.#look)
  }
}
