/** Notes what has happened: the write is repeated until the database takes it, and what happened is never done again. */
import type { Clock } from '../domain/clock.ts'

const PAUSE_FIRST_MS = 100
// A full disk has space again without saying so; from then on everything must go on within 5 s.
const PAUSE_MAX_MS = 2_000

/** Resolves with what `write` says once it is taken; `refused` hears of every try that was not. */
export const persist = async <T>(
  clock: Clock,
  write: () => Promise<T>,
  refused: (error: unknown) => void,
): Promise<T> => {
  for (let tries = 0; ; tries++) {
    try {
      return await write()
    } catch (error) {
      refused(error)
      const pauseMs = Math.min(PAUSE_FIRST_MS * 2 ** tries, PAUSE_MAX_MS)
      await new Promise<void>((resolve) => void clock.after(pauseMs, resolve))
    }
  }
}
