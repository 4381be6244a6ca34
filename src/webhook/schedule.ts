/** When a webhook is tried again; pure, the chance comes in as a number. */

const delaysMs = [1_000, 2_000, 4_000, 8_000, 16_000, 60_000, 300_000, 900_000] as const
const JITTER = 0.2

/** The first try and one after each delay; then the delivery is given up. */
export const TRIES_MAX = delaysMs.length + 1

/**
 * How long to wait after the `tries`th try has failed, null when it was the last. Jitter is ±20 %, `chance` in [0, 1); a receiver's
 * Retry-After is taken as it is, but never below the delay nor above twice the delay.
 */
export const retryDelayMs = (tries: number, chance: number, retryAfterMs: number | null): number | null => {
  const baseMs = delaysMs[tries - 1]
  if (baseMs === undefined) return null
  if (retryAfterMs !== null) return Math.min(Math.max(retryAfterMs, baseMs), 2 * baseMs)
  return Math.round(baseMs * (1 - JITTER + 2 * JITTER * chance))
}
