/** One thing done again and again: started, nudged and stopped; its body may fail, the loop may not, and no nudge is ever lost. */
import type { Clock } from '../domain/clock.ts'

export interface LoopDeps {
  /** How the loop is called where it is watched. */
  readonly name: string
  readonly clock: Clock
  /**
   * Does what there is to do and says in how many milliseconds it wants to run again; null = when it is nudged, 0 = at once, which only
   * a body that waited for something may say. The signal is aborted by a stop: whatever the body waits for must end with it.
   */
  readonly body: (signal: AbortSignal) => Promise<number | null>
  /** The body threw; it runs again after `pauseMs`, however often it is nudged meanwhile. */
  readonly failed: (error: unknown) => void
  /** 1 s by default. */
  readonly pauseMs?: number
}

export interface Loop {
  readonly name: string
  /** Runs the body now, or as soon as a stop that is under way is over; a loop that runs already goes on. */
  start(): void
  /** Aborts the body's signal and resolves when the body is over; every caller waits for that. */
  stop(): Promise<void>
  /** The body is run once more, from its beginning, after this call. */
  nudge(): void
}

/** One life of the loop, from a start to its stop. */
interface Life {
  readonly halt: AbortController
  readonly over: Promise<void>
}

const PAUSE_MS = 1_000

/** A loop that has not been started. */
export const createLoop = ({ name, clock, body, failed, pauseMs = PAUSE_MS }: LoopDeps): Loop => {
  let life: Life | null = null
  let nudged = false
  /** Ends the sleep in progress: `nudge` may wake a loop that waits for its time, only a stop one that has failed. */
  let sleeper: { readonly wake: () => void; readonly isDeaf: boolean } | null = null

  const sleep = (delayMs: number | null, { isDeaf }: { isDeaf: boolean }): Promise<void> =>
    new Promise((resolve) => {
      let cancelTimer = () => {}
      const wake = () => {
        sleeper = null
        cancelTimer()
        resolve()
      }
      sleeper = { wake, isDeaf }
      if (delayMs !== null) cancelTimer = clock.after(delayMs, wake)
    })

  const turn = async (signal: AbortSignal): Promise<void> => {
    // Whoever nudged before this line is served by this run of the body.
    nudged = false
    let delayMs: number | null
    try {
      delayMs = await body(signal)
    } catch (error) {
      tell(failed, error)
      if (!signal.aborted) await sleep(pauseMs, { isDeaf: true })
      return
    }
    if (!signal.aborted && !nudged && delayMs !== 0) await sleep(delayMs, { isDeaf: false })
  }

  const live = async (before: Promise<void> | null, signal: AbortSignal): Promise<void> => {
    if (before !== null) await before
    while (!signal.aborted) await turn(signal)
  }

  return {
    name,
    start() {
      if (life !== null && !life.halt.signal.aborted) return
      const before = life === null ? null : life.over
      const halt = new AbortController()
      const { promise: over, resolve } = Promise.withResolvers<void>()
      life = { halt, over }
      void live(before, halt.signal).then(resolve)
    },
    async stop() {
      if (life === null) return
      const stopped = life
      stopped.halt.abort()
      sleeper?.wake()
      await stopped.over
      if (life === stopped) life = null
    },
    nudge() {
      nudged = true
      if (sleeper !== null && !sleeper.isDeaf) sleeper.wake()
    },
  }
}

/** Whoever is told must not end what he is told about. */
const tell = (failed: LoopDeps['failed'], error: unknown): void => {
  try {
    failed(error)
  } catch {
    // He cannot be told that he threw either.
  }
}
