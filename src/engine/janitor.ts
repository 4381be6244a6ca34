/** Sweeps what is past its time to live, in small steps between which everything else runs. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { createNudge } from '../loop/nudge.ts'

export interface JanitorDeps {
  readonly sweep: {
    deleteFinished(completedBefore: number): Promise<number>
    shrink(): Promise<boolean>
    checkpoint(): void
  }
  readonly clock: Clock
  readonly emit: Emit
  readonly jobTtlMs: number
  readonly isBusy: () => boolean
}

export interface Janitor {
  start(): void
  stop(): Promise<void>
}

const IDLE_MS = 60_000
// A step takes 2 to 4 ms; this pause keeps the sweep below a tenth of the event loop.
const STEP_PAUSE_MS = 40
// The end of a file with a million free pages takes hours to give back; what comes to its time meanwhile goes first.
const SHRINKS_MAX = 1_000

/** The janitor of one database. */
export const createJanitor = ({ sweep, clock, emit, jobTtlMs, isBusy }: JanitorDeps): Janitor => {
  const nudge = createNudge(clock.after)
  let running = false
  let looping: Promise<void> = Promise.resolve()

  const deleteDue = async (): Promise<number> => {
    let deleted = 0
    for (let step = 1; running && step > 0; ) {
      step = await sweep.deleteFinished(clock.now() - jobTtlMs)
      deleted += step
      if (step > 0) await nudge.wait(STEP_PAUSE_MS)
    }
    return deleted
  }

  /** False when there is nothing left to give back. */
  const shrinkSome = async (): Promise<boolean> => {
    for (let step = 0; step < SHRINKS_MAX; step++) {
      if (!running || !(await sweep.shrink())) return false
      await nudge.wait(STEP_PAUSE_MS)
    }
    return true
  }

  const round = async () => {
    let deleted = await deleteDue()
    while (await shrinkSome()) deleted += await deleteDue()
    if (deleted > 0) emit({ event: 'swept', deleted })
    if (running && !isBusy()) sweep.checkpoint()
  }

  const loop = async () => {
    while (running) {
      try {
        await round()
      } catch (error) {
        emit({ event: 'loop_failed', loop: 'janitor', error })
      }
      // A stop in the middle of a round has already used up its nudge.
      if (running) await nudge.wait(IDLE_MS)
    }
  }

  return {
    start() {
      running = true
      looping = loop()
    },
    async stop() {
      running = false
      nudge.raise()
      await looping
    },
  }
}
