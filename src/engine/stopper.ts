/** Ends an attempt from outside; only the first cause counts. */
import type { Outcome } from '../domain/job/outcome.ts'
import { Stop, type StopSignal } from '../domain/stop-signal.ts'

export interface Stopper {
  readonly signal: StopSignal
  /** The first cause given, or null while the attempt may go on. */
  readonly why: Outcome | null
  stop(why: Outcome): void
}

/** A stopper that has not been used. */
export const createStopper = (): Stopper => {
  const signal = new Stop()
  let why: Outcome | null = null
  return {
    signal,
    get why() {
      return why
    },
    stop(cause) {
      if (why !== null) return
      why = cause
      signal.abort()
    },
  }
}

/** What `work` comes to, or `stopped` when the attempt is stopped before; nothing stays behind on the signal, however often it is asked. */
export const unlessStopped = <T>({ signal }: Stopper, work: Promise<T>): Promise<T | 'stopped'> =>
  new Promise((resolve, reject) => {
    const stop = () => resolve('stopped')
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop)
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
