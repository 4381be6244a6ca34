/** Ticks once a second, so that somebody can see that the event loop lives; it must never do more than that tick. */
import type { Clock } from '../domain/clock.ts'

/** A loop that has not come round for this long is stuck: restarting is the cure. */
export const STUCK_MS = 30_000

const TICK_MS = 1_000

/** A pulse that stands still; `beat` is called at each tick with the monotonic time. */
export const createPulse = (clock: Clock, beat: (nowMs: number) => void) => {
  let tickedAtMs = clock.monotonicMs()
  let cancel = () => {}
  const tick = () => {
    tickedAtMs = clock.monotonicMs()
    beat(tickedAtMs)
    cancel = clock.after(TICK_MS, tick)
  }
  return { start: tick, stop: () => cancel(), tickedAtMs: () => tickedAtMs }
}
