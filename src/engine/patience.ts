/** How long one caller bears a target that is away or busy: one stopwatch for queue, bypass and control; it counts only the time that the target was missing. */
import type { Clock } from '../domain/clock.ts'

export interface Patience {
  /** The target is missing from here on. */
  absent(): void
  /** It is there again: the stopwatch rests. */
  present(): void
  /** Milliseconds left; 0 = the caller has borne enough. */
  leftMs(): number
}

/** A stopwatch that has not been started. `limitMs` is FOREMAN_UNREACHABLE_DEADLINE. */
export const createPatience = (clock: Pick<Clock, 'monotonicMs'>, limitMs: number): Patience => {
  let spentMs = 0
  let since: number | null = null
  const runningMs = () => (since === null ? 0 : clock.monotonicMs() - since)
  return {
    absent() {
      since ??= clock.monotonicMs()
    },
    present() {
      spentMs += runningMs()
      since = null
    },
    leftMs: () => Math.max(0, limitMs - spentMs - runningMs()),
  }
}
