/** Ends an attempt from outside; only the first cause counts. */
import type { Outcome } from '../domain/job/outcome.ts'

export interface Stopper {
  readonly signal: AbortSignal
  /** The first cause given, or null while the attempt may go on. */
  readonly why: Outcome | null
  stop(why: Outcome): void
}

/** A stopper that has not been used. */
export const createStopper = (): Stopper => {
  const controller = new AbortController()
  let why: Outcome | null = null
  return {
    signal: controller.signal,
    get why() {
      return why
    },
    stop(cause) {
      if (why !== null) return
      why = cause
      controller.abort()
    },
  }
}

/** Resolves when the attempt is stopped from outside. */
export const stopped = ({ signal }: Stopper): Promise<'stopped'> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve('stopped')
    else signal.addEventListener('abort', () => resolve('stopped'), { once: true })
  })
