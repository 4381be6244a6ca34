/** Writes down what came of a try until the database takes it; it must never let a disk that is full turn into a second delivery. */
import type { Clock } from '../domain/clock.ts'

export interface SettleDeps {
  readonly clock: Clock
  readonly emit: (event: { readonly event: 'settle_retried'; readonly jobId: string; readonly error: unknown }) => void
}

/** True once `write` has worked; false when the signal came first. */
export type Settle = (jobId: string, signal: AbortSignal, write: () => unknown) => Promise<boolean>

const PAUSE_FIRST_MS = 100
// A full disk has space again without saying so; from then on everything must go on within 5 s.
const PAUSE_MAX_MS = 2_000

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
  ({ clock, emit }: SettleDeps): Settle =>
  async (jobId, signal, write) => {
    for (let tries = 0; ; tries++) {
      try {
        await write()
        return true
      } catch (error) {
        emit({ event: 'settle_retried', jobId, error })
        const pauseMs = Math.min(PAUSE_FIRST_MS * 2 ** tries, PAUSE_MAX_MS)
        if (!signal.aborted) await pause(clock, pauseMs, signal)
        if (signal.aborted) return false
      }
    }
  }
