/** A clock that only moves when a test says so; 24 hours pass in milliseconds and nothing sleeps. */
import type { Clock } from '../../src/domain/clock.ts'

export interface VirtualClock extends Clock {
  /** Moves on by `ms`, running every timer on the way at its own time and letting promises settle in between. */
  advance(ms: number): Promise<void>
  /** Timers that have not fired. */
  readonly pending: number
}

/** One macrotask, so that everything that is ready has run. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A virtual clock that starts at `startMs` of wall time. */
export const createVirtualClock = (startMs = Date.UTC(2026, 0, 1)): VirtualClock => {
  let now = 0
  let serial = 0
  const timers = new Map<number, { at: number; run: () => void }>()
  const next = () => [...timers].sort(([a, x], [b, y]) => x.at - y.at || a - b)[0]
  return {
    now: () => startMs + Math.floor(now),
    monotonicMs: () => now,
    after(delayMs, run) {
      const id = serial++
      timers.set(id, { at: now + Math.max(0, delayMs), run })
      return () => void timers.delete(id)
    },
    get pending() {
      return timers.size
    },
    async advance(ms) {
      const until = now + ms
      await settled()
      for (let timer = next(); timer !== undefined && timer[1].at <= until; timer = next()) {
        const [id, { at, run }] = timer
        timers.delete(id)
        now = at
        run()
        // Three turns: a write is committed in the next turn, what waits for it acts in the one after.
        for (let turn = 0; turn < 3; turn++) await settled()
      }
      now = until
      await settled()
    },
  }
}
