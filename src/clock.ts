/** The real clocks and the real dice; the only file that reads them. */
import type { Clock, Random } from './domain/clock.ts'

/** Wall time from Date, durations from performance.now. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    // A longer delay would wrap around and fire at once.
    const timer = setTimeout(run, Math.min(delayMs, 2_147_483_647))
    return () => clearTimeout(timer)
  },
}

export const systemRandom: Random = () => Math.random()
