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

/** What `work` comes to, or `stopped` when the attempt is stopped before; nothing stays behind on the signal, however often it is asked. */
export const unlessStopped = <T>({ signal }: Stopper, work: Promise<T>): Promise<T | 'stopped'> =>
  new Promise((resolve, reject) => {
    const stop = () => resolve('stopped')
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    const end = () => signal.removeEventListener('abort', stop)
    work.then(
      (value) => {
        end()
        resolve(value)
      },
      (error) => {
        end()
        reject(error)
      },
    )
  })
