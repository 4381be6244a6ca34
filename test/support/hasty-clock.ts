/** The real clock, a number of times faster, so that seconds of patience pass in milliseconds; it must never be used to measure. */
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/domain/clock.ts'

/** A clock on which `factor` seconds pass in one. */
export const createHastyClock = (factor: number): Clock => {
  const wallStart = systemClock.now()
  const start = systemClock.monotonicMs()
  const passedMs = () => (systemClock.monotonicMs() - start) * factor
  return {
    now: () => wallStart + Math.floor(passedMs()),
    monotonicMs: passedMs,
    after: (delayMs, run) => systemClock.after(delayMs / factor, run),
  }
}
