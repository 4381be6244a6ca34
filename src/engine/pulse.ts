/** Ticks once a second, when idle every ten, so that somebody can see that the event loop lives; it must never do more than that tick. */
import type { Clock } from '../domain/clock.ts'

/** A loop that has not come round for this long is stuck: restarting is the cure. */
export const STUCK_MS = 30_000

const TICK_MS = 1_000
// An idle foreman sleeps: with each tick the runtime's own threads wake as well.
const IDLE_TICK_MS = 10_000

export interface PulseDeps {
  readonly clock: Clock
  /** Nobody would miss a tick. */
  readonly isIdle: () => boolean
  /** Called at each tick with the monotonic time. */
  readonly beat: (nowMs: number) => void
}

/** A pulse that stands still. */
export const createPulse = ({ clock, isIdle, beat }: PulseDeps) => {
  let tickedAtMs = clock.monotonicMs()
  let latestMs = 0
  let cancel = () => {}
  const tick = () => {
    tickedAtMs = clock.monotonicMs()
    beat(tickedAtMs)
    const delayMs = isIdle() ? IDLE_TICK_MS : TICK_MS
    const dueMs = tickedAtMs + delayMs
    cancel = clock.after(delayMs, () => {
      latestMs = Math.max(latestMs, clock.monotonicMs() - dueMs)
      tick()
    })
  }
  return {
    start: tick,
    stop: () => cancel(),
    tickedAtMs: () => tickedAtMs,
    /** How late the latest tick was since this was last asked. */
    takeLatestMs() {
      const taken = latestMs
      latestMs = 0
      return taken
    },
  }
}
