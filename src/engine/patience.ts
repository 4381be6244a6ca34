/** How long one caller bears a target that is away or busy: one stopwatch for queue, bypass and control; it counts only the time that the target was missing. */
import type { Clock } from '../domain/clock.ts'

export interface Patience {
  /** The target is missing, since now or since it was heard of last (monotonic milliseconds). */
  absent(sinceMs?: number): void
  /** It is there again: the stopwatch rests. */
  present(): void
  /** Milliseconds left; 0 = the caller has borne enough. */
  leftMs(): number
}

export interface Stopwatches {
  /** A stopwatch that has not been started, for one who bears no more than `atMostMs`. */
  create(atMostMs?: number): Patience
  /** The target has been seen to work: every stopwatch rests. */
  rest(): void
}

/** The stopwatches of one engine. `limitMs` is FOREMAN_UNREACHABLE_DEADLINE. */
export const createStopwatches = (clock: Pick<Clock, 'monotonicMs'>, limitMs: number): Stopwatches => {
  const running = new Set<Patience>()
  const create = (atMostMs = limitMs): Patience => {
    const bearsMs = Math.min(limitMs, atMostMs)
    let spentMs = 0
    let since: number | null = null
    const runningMs = () => (since === null ? 0 : clock.monotonicMs() - since)
    const patience: Patience = {
      absent(sinceMs = clock.monotonicMs()) {
        since ??= sinceMs
        running.add(patience)
      },
      present() {
        spentMs += runningMs()
        since = null
        running.delete(patience)
      },
      leftMs: () => Math.max(0, bearsMs - spentMs - runningMs()),
    }
    return patience
  }
  return {
    create,
    rest() {
      for (const patience of running) patience.present()
    },
  }
}
