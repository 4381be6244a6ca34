/** Who is served elsewhere at the moment, so many at once, and who is next; a place must never be lost. */
import { LANES_MAX } from '../domain/job/job.ts'
import type { StopSignal } from '../domain/stop-signal.ts'

export interface Lanes {
  /** Resolves with the function that gives the place back, or with null when `until` fires or there is none to be had. */
  enter(placesMax: number, until: StopSignal): Promise<(() => void) | null>
  /** A number that the database knows; null when all are taken. */
  number(): { readonly lane: number; free(): void } | null
  /** Resolves when nobody is in a lane; nobody enters any more. */
  close(): Promise<void>
  readonly inside: number
  readonly waiting: number
}

interface Waiting {
  readonly placesMax: number
  admit(): void
  turnAway(): void
}

/** Nobody is served elsewhere. */
export const createLanes = (): Lanes => {
  const line = new Set<Waiting>()
  const numbers = new Set<number>()
  const emptied = Promise.withResolvers<void>()
  let inside = 0
  let isClosed = false

  const advance = () => {
    for (const next of line) {
      if (inside >= next.placesMax) break
      line.delete(next)
      next.admit()
    }
    if (isClosed && inside === 0) emptied.resolve()
  }
  const leaver = () => {
    inside++
    let isInside = true
    return () => {
      if (isInside) inside--
      isInside = false
      advance()
    }
  }

  return {
    enter: (placesMax, until) =>
      new Promise((resolve) => {
        if (until.aborted || isClosed) return resolve(null)
        if (line.size === 0 && inside < placesMax) return resolve(leaver())
        const giveUp = () => {
          line.delete(waiting)
          resolve(null)
        }
        const waiting: Waiting = {
          placesMax,
          admit() {
            until.removeEventListener('abort', giveUp)
            resolve(leaver())
          },
          turnAway() {
            until.removeEventListener('abort', giveUp)
            giveUp()
          },
        }
        until.addEventListener('abort', giveUp)
        line.add(waiting)
      }),
    number() {
      for (let lane = 0; lane < LANES_MAX; lane++) {
        if (numbers.has(lane)) continue
        numbers.add(lane)
        return { lane, free: () => void numbers.delete(lane) }
      }
      return null
    },
    close() {
      isClosed = true
      for (const waiting of [...line]) waiting.turnAway()
      advance()
      return emptied.promise
    },
    get inside() {
      return inside
    },
    get waiting() {
      return line.size
    },
  }
}
