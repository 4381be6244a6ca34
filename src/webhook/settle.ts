/** Writes down what came of a try until the database takes it; it must never let a disk that is full turn into a second delivery. */
import { backoffMs } from '../domain/backoff.ts'
import type { Clock, Random } from '../domain/clock.ts'

export interface SettleDeps {
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: { readonly event: 'settle_retried'; readonly jobId: string; readonly error: unknown }) => void
}

/** True once `write` has worked; false when the signal came first. */
export type Settle = (jobId: string, signal: AbortSignal, write: () => unknown) => Promise<boolean>

const pause = (clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = () => {
      cancelTimer()
      signal.removeEventListener('abort', end)
      resolve()
    }
    const cancelTimer = clock.after(delayMs, end)
    signal.addEventListener('abort', end)
  })

/** A settle that backs off between writes. */
export const createSettle =
  ({ clock, random, emit }: SettleDeps): Settle =>
  async (jobId, signal, write) => {
    for (let tries = 1; ; tries++) {
      try {
        await write()
        return true
      } catch (error) {
        emit({ event: 'settle_retried', jobId, error })
        if (!signal.aborted) await pause(clock, backoffMs(tries, random()), signal)
        if (signal.aborted) return false
      }
    }
  }
