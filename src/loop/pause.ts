/** Waits for a time or for an end, whichever comes first; it must leave neither a timer nor a listener behind. */
import type { Clock } from '../domain/clock.ts'

/** Resolves after `delayMs`, or as soon as the signal is aborted. */
export const pause = (clock: Clock, delayMs: number, signal: AbortSignal | null = null): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      cancelTimer()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const cancelTimer = clock.after(delayMs, end)
    signal?.addEventListener('abort', end)
  })
