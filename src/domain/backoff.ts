/** How long to wait before the next try; pure, the chance comes in as a number. */

export const BACKOFF_FIRST_MS = 1_000
export const BACKOFF_MAX_MS = 60_000
const JITTER = 0.2

/** 1 s doubling to 60 s, ±20 %. `tries` counts from 1; `chance` is in [0, 1). */
export const backoffMs = (tries: number, chance: number): number => {
  const doublings = Math.min(Math.max(tries, 1) - 1, 10)
  const base = Math.min(BACKOFF_FIRST_MS * 2 ** doublings, BACKOFF_MAX_MS)
  return Math.round(base * (1 - JITTER + 2 * JITTER * chance))
}
