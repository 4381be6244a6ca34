/** Sweeps what is past its time to live, in small steps between which everything else runs. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { createLoop, type Loop } from '../loop/loop.ts'
import { pause } from '../loop/pause.ts'

export interface JanitorDeps {
  readonly sweep: {
    deleteFinished(completedBefore: number): Promise<number>
    shrink(): Promise<boolean>
    /** There is nothing else to do. */
    rest(): Promise<void>
  }
  readonly clock: Clock
  readonly emit: Emit
  readonly jobTtlMs: number
  readonly isBusy: () => boolean
}

export type Janitor = Pick<Loop, 'start' | 'stop'>

// With the longest round below, what is past its time is gone within a minute.
const IDLE_MS = 15_000
// A step takes 2 to 4 ms; this pause keeps the sweep below a tenth of the event loop.
const STEP_PAUSE_MS = 40
// The end of a file with a million free pages takes hours to give back; what comes to its time meanwhile goes first.
const SHRINKS_MAX = 1_000

/** The janitor of one database. */
export const createJanitor = ({ sweep, clock, emit, jobTtlMs, isBusy }: JanitorDeps): Janitor => {
  const deleteDue = async (signal: AbortSignal): Promise<number> => {
    let deleted = 0
    for (let step = 1; step > 0 && !signal.aborted; ) {
      step = await sweep.deleteFinished(clock.now() - jobTtlMs)
      deleted += step
      if (step > 0) await pause(clock, STEP_PAUSE_MS, signal)
    }
    return deleted
  }

  /** False when there is nothing left to give back. */
  const shrinkSome = async (signal: AbortSignal): Promise<boolean> => {
    for (let step = 0; step < SHRINKS_MAX; step++) {
      if (signal.aborted || !(await sweep.shrink())) return false
      await pause(clock, STEP_PAUSE_MS, signal)
    }
    return true
  }

  const round = async (signal: AbortSignal): Promise<number> => {
    let deleted = await deleteDue(signal)
    while (await shrinkSome(signal)) deleted += await deleteDue(signal)
    if (deleted > 0) emit({ event: 'swept', deleted })
    if (!signal.aborted && !isBusy()) await sweep.rest()
    return IDLE_MS
  }

  const failed = (error: unknown) => emit({ event: 'loop_failed', loop: 'janitor', error })
  return createLoop({ name: 'janitor', clock, body: round, failed, pauseMs: IDLE_MS })
}
