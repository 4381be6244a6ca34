/** Notes what has happened: the write is repeated until the database takes it, and what happened is never done again. */
import type { Clock } from '../domain/clock.ts'
import { pause } from './pause.ts'

const PAUSE_FIRST_MS = 100
// A full disk has space again without saying so; from then on everything must go on within 5 s.
const PAUSE_MAX_MS = 2_000

type Write<T> = () => Promise<T>
type Refused = (error: unknown) => void

/** For what may be left unwritten at a stop: what `write` says once it is taken, null when the signal came first. */
export const persistUntil = async <T>(
  signal: AbortSignal | null,
  clock: Clock,
  write: Write<T>,
  refused: Refused,
): Promise<{ readonly said: T } | null> => {
  for (let tries = 0; ; tries++) {
    try {
      return { said: await write() }
    } catch (error) {
      refused(error)
      await pause(clock, Math.min(PAUSE_FIRST_MS * 2 ** tries, PAUSE_MAX_MS), signal)
      if (signal?.aborted) return null
    }
  }
}

/** Resolves with what `write` says once it is taken; `refused` hears of every try that was not. */
export const persist = async <T>(clock: Clock, write: Write<T>, refused: Refused): Promise<T> => {
  const taken = await persistUntil(null, clock, write, refused)
  if (taken === null) throw new Error('a write without a signal cannot be given up')
  return taken.said
}
