/** How fast each model makes tokens, and whether the last answers were far slower than its own average; it must never be the judge of a single answer. */

export interface Speeds {
  /** What an answer of this model says: `slow` is the third in a row under a quarter of the average; null says nothing. */
  judge(model: string, tokens: number, tookMs: number): Judged | null
  /** What was slow in a row counts no longer. */
  forgive(model: string): void
}

export interface Judged {
  readonly isSlow: boolean
  readonly perSecond: number
  readonly average: number
}

interface Speed {
  average: number
  jobs: number
  slowInARow: number
}

const SLOW_SHARE = 0.25
// A few jobs say nothing yet, a few tokens nothing at all, and one slow job may have shared the machine.
const JOBS_LEAST = 10
const TOKENS_LEAST = 32
const SLOW_LEAST = 3
const WEIGHT = 0.1
const MODELS_MAX = 200

/** Nothing is known yet. */
export const createSpeeds = (): Speeds => {
  const speeds = new Map<string, Speed>()
  const of = (model: string, perSecond: number): Speed => {
    const known = speeds.get(model)
    if (known !== undefined) return known
    const [oldest] = speeds.keys()
    if (speeds.size >= MODELS_MAX && oldest !== undefined) speeds.delete(oldest)
    const made = { average: perSecond, jobs: 0, slowInARow: 0 }
    speeds.set(model, made)
    return made
  }
  return {
    judge(model, tokens, tookMs) {
      if (tokens < TOKENS_LEAST || tookMs <= 0) return null
      const perSecond = tokens / (tookMs / 1_000)
      const speed = of(model, perSecond)
      if (speed.jobs >= JOBS_LEAST && perSecond < SLOW_SHARE * speed.average) {
        // The average stays what it was: it is what the slow ones are measured by.
        const isSlow = ++speed.slowInARow >= SLOW_LEAST
        return isSlow ? { isSlow, perSecond, average: speed.average } : null
      }
      speed.slowInARow = 0
      speed.jobs++
      speed.average += WEIGHT * (perSecond - speed.average)
      return { isSlow: false, perSecond, average: speed.average }
    },
    forgive(model) {
      const speed = speeds.get(model)
      if (speed !== undefined) speed.slowInARow = 0
    },
  }
}
