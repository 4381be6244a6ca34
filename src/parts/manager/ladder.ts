/** When the next restart may be: at once, after 5 s, after 30 s, then one try every ten minutes, and never more in an hour than is allowed; it must never restart anything. */

export interface LadderLimits {
  /** From the trouble to the try: the first, the second, ... */
  readonly stepsMs: readonly number[]
  /** Between tries when the steps are used up. */
  readonly quarantineMs: number
  /** In a window: tries for one cause on the steps, and tries in all. */
  readonly perCause: number
  readonly inAll: number
  readonly windowMs: number
  /** After so long in good health the steps begin anew. */
  readonly clearMs: number
}

export const ladderLimits: LadderLimits = {
  stepsMs: [0, 5_000, 30_000],
  quarantineMs: 10 * 60_000,
  perCause: 3,
  inAll: 6,
  windowMs: 3_600_000,
  clearMs: 10 * 60_000,
}

export interface NextTry {
  readonly atMs: number
  /** The steps are used up, or the hour's tries are. */
  readonly isQuarantined: boolean
}

export interface Ladder {
  /** When the next try for this cause may be, if the trouble was noticed at `sinceMs`. */
  next(cause: string, sinceMs: number): NextTry
  /** A try begins; its number on the ladder, from 1. */
  tried(cause: string, nowMs: number): number
  /** It has been healthy since `sinceMs`. */
  healthy(sinceMs: number, nowMs: number): void
  /** Tries within the window. */
  lately(nowMs: number): number
}

interface Try {
  readonly cause: string
  readonly atMs: number
  readonly isOfQuarantine: boolean
}

/** A ladder nobody has stepped on. */
export const createLadder = (limits: LadderLimits = ladderLimits): Ladder => {
  const { stepsMs, quarantineMs, perCause, inAll, windowMs, clearMs } = limits
  let tries: readonly Try[] = []
  let rung = 0
  /** When one more of these is allowed, given that no more than `most` may lie within a window. */
  const allowedAtMs = (some: readonly Try[], most: number): number => {
    const oldest = some[some.length - most]
    return oldest === undefined ? Number.NEGATIVE_INFINITY : oldest.atMs + windowMs
  }
  return {
    next(cause, sinceMs) {
      const stepMs = stepsMs[rung]
      // A try out of quarantine has its own pace, and counts for the whole alone.
      const ofCause = tries.filter((one) => one.cause === cause && !one.isOfQuarantine)
      const capMs = Math.max(
        allowedAtMs(tries, inAll),
        stepMs === undefined ? Number.NEGATIVE_INFINITY : allowedAtMs(ofCause, perCause),
      )
      const ownMs = stepMs === undefined ? (tries.at(-1)?.atMs ?? sinceMs) + quarantineMs : sinceMs + stepMs
      return { atMs: Math.max(ownMs, capMs), isQuarantined: stepMs === undefined || capMs > ownMs }
    },
    tried(cause, nowMs) {
      const isOfQuarantine = rung >= stepsMs.length
      tries = [...tries.filter(({ atMs }) => nowMs - atMs < windowMs), { cause, atMs: nowMs, isOfQuarantine }]
      rung++
      return rung
    },
    healthy(sinceMs, nowMs) {
      if (nowMs - sinceMs >= clearMs) rung = 0
    },
    lately: (nowMs) => tries.filter(({ atMs }) => nowMs - atMs < windowMs).length,
  }
}
