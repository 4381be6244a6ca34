/** How long the quiet has to last before a pin is loaded: not at all, unless its loads have cost the others something before. */
import type { Clock } from '../../domain/clock.ts'

export interface Calm {
  /** A job began or ended. */
  worked(): void
  /** A load had to give way to a job. */
  interrupted(): void
  /** A load came about; these models, which are no pins, went for it. */
  loaded(pushedOut: readonly string[]): void
  /** A job needs this model loaded; true when a pin has pushed it out a short while ago. */
  wanted(model: string): boolean
  /** A pin was loaded, and a job needs it otherwise a short while after. */
  undone(): void
  forgive(): void
  /** What is left of it; 0 or less = a pin may be loaded now. */
  leftMs(isWorking: boolean): number
}

const FIRST_MS = 30_000
const MOST_MS = 10 * 60_000
// What is asked for so long after it was pushed out would have been idle anyway.
export const SOON_MS = 10 * 60_000

/** `firstMs` and then twice as long each time, up to ten minutes. */
export const doubled = (firstMs: number, times: number): number =>
  Math.min(MOST_MS, firstMs * 2 ** Math.max(0, times - 1))

/** Nothing has been pushed out yet. */
export const createCalm = (clock: Pick<Clock, 'monotonicMs'>): Calm => {
  const pushedAtMs = new Map<string, number>()
  let interruptions = 0
  let isCostly = false
  let workedAtMs = Number.NEGATIVE_INFINITY
  return {
    worked() {
      workedAtMs = clock.monotonicMs()
    },
    interrupted: () => void interruptions++,
    loaded(pushedOut) {
      interruptions = 0
      if (pushedOut.length === 0) isCostly = false
      for (const model of pushedOut) pushedAtMs.set(model, clock.monotonicMs())
    },
    wanted(model) {
      const atMs = pushedAtMs.get(model)
      if (atMs === undefined) return false
      pushedAtMs.delete(model)
      if (clock.monotonicMs() - atMs >= SOON_MS) return false
      isCostly = true
      return true
    },
    undone() {
      isCostly = true
    },
    forgive() {
      interruptions = 0
      isCostly = false
      pushedAtMs.clear()
    },
    leftMs(isWorking) {
      const calmMs = interruptions > 0 ? doubled(FIRST_MS, interruptions) : isCostly ? FIRST_MS : 0
      if (calmMs === 0) return 0
      return isWorking ? calmMs : workedAtMs + calmMs - clock.monotonicMs()
    },
  }
}
