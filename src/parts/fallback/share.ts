/** How much of the last ten minutes' calls the fallback answered, and whether a person should know. */
import type { Clock } from '../../domain/clock.ts'
import type { Reading } from '../../domain/reading.ts'

export interface Share {
  add(isFallback: boolean): void
  /** Of the last ten minutes. */
  now(): { readonly calls: number; readonly byFallback: number }
  /** More than half of at least ten calls, until it is under a quarter. */
  readonly isHigh: boolean
  metric(): Reading
}

const SLICE_MS = 30_000
const SLICES = 20
const CALLS_MIN = 10
const RAISED_OVER = 0.5
const RESOLVED_UNDER = 0.25

interface Slice {
  readonly index: number
  calls: number
  byFallback: number
}

/** Nothing has been answered yet. */
export const createShare = (clock: Pick<Clock, 'monotonicMs'>): Share => {
  let slices: Slice[] = []
  let isHigh = false

  const indexNow = () => Math.floor(clock.monotonicMs() / SLICE_MS)
  const now = () => {
    const from = indexNow() - SLICES
    slices = slices.filter(({ index }) => index > from)
    const sum = (of: (slice: Slice) => number) => slices.reduce((total, slice) => total + of(slice), 0)
    return { calls: sum(({ calls }) => calls), byFallback: sum(({ byFallback }) => byFallback) }
  }
  const judge = () => {
    const { calls, byFallback } = now()
    const share = calls === 0 ? 0 : byFallback / calls
    if (calls >= CALLS_MIN && share > RAISED_OVER) isHigh = true
    else if (share < RESOLVED_UNDER) isHigh = false
    return isHigh
  }

  return {
    add(isFallback) {
      const index = indexNow()
      let last = slices.at(-1)
      if (last?.index !== index) {
        last = { index, calls: 0, byFallback: 0 }
        slices.push(last)
      }
      last.calls++
      if (isFallback) last.byFallback++
    },
    now,
    get isHigh() {
      return judge()
    },
    metric() {
      const { calls, byFallback } = now()
      return {
        name: 'foreman_fallback_share',
        help: 'Share of the calls of the last ten minutes that the fallback answered',
        type: 'gauge',
        samples: [{ value: calls === 0 ? 0 : byFallback / calls }],
      }
    },
  }
}
