/** What is tried instead when a model does not fit into the target's memory: the same call with less, in the same attempt; each step once, and never without being told. */
import type { Draft } from './admission.ts'

/** One step: the call with less than it asked for. */
export interface Relief extends Draft {
  /** As the caller is told: `num_ctx=4096`, `num_gpu=0`. */
  readonly words: string
}

export interface Reliever {
  /** The step after those taken; null = there is no further one. `asked` is the call as it was. */
  next(asked: Draft, taken: readonly Relief[]): Relief | null
  /** A step with which such a call fitted lately: it is taken at once. */
  known(asked: Draft): Relief | null
  /** The call fitted with this step. */
  fitted(asked: Draft, relief: Relief): void
}

export interface ReliefPort {
  use(reliever: Reliever): void
}

/** Nobody yet. The first that has a step is asked alone; `failed` hears of one that throws, which has no step then. */
export const createRelief = (failed: (error: unknown) => void): Reliever & ReliefPort => {
  const relievers: Reliever[] = []
  const harmless = <T>(ask: () => T): T | null => {
    try {
      return ask()
    } catch (error) {
      failed(error)
      return null
    }
  }
  const first = (ask: (one: Reliever) => Relief | null): Relief | null => {
    for (const one of relievers) {
      const relief = harmless(() => ask(one))
      if (relief !== null) return relief
    }
    return null
  }
  return {
    use: (reliever) => void relievers.push(reliever),
    next: (asked, taken) => first((one) => one.next(asked, taken)),
    known: (asked) => first((one) => one.known(asked)),
    fitted(asked, relief) {
      for (const one of relievers) harmless(() => one.fitted(asked, relief))
    },
  }
}
