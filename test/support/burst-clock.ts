/** A virtual clock on which all that is due happens in one turn of the event loop, so that timers race each other. */
import type { VirtualClock } from './virtual-clock.ts'

/** Nothing settles between timers, unlike on the ordinary virtual clock: that is the point. */
export const createBurstClock = (): VirtualClock => {
  let now = 0
  const timers = new Set<{ at: number; run: () => void }>()
  const due = (until: number) => [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
  return {
    now: () => Date.UTC(2026, 0, 1) + now,
    monotonicMs: () => now,
    after(delayMs, run) {
      const timer = { at: now + Math.max(0, delayMs), run }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    get pending() {
      return timers.size
    },
    async advance(ms) {
      const until = now + ms
      for (let timer = due(until); timer !== undefined; timer = due(until)) {
        timers.delete(timer)
        now = Math.max(now, timer.at)
        timer.run()
      }
      now = until
    },
  }
}
