/** Runs one claimed job on its slot and tells its caller; what it gives back is the settle that is left to write. It never rejects. */
import { type FailureCode, failure } from '../domain/job/failure.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import type { Caller } from './caller.ts'
import { type ConclusionDeps, createConclusions, type Ran, type Settle } from './conclusion.ts'
import type { Roster, Seat } from './roster.ts'
import { type RunDeps, runJob } from './run.ts'

export interface ServeDeps extends Omit<RunDeps, 'roster'>, Omit<ConclusionDeps, 'roster'> {
  readonly roster: Roster
  /** The caller of a claimed job; undefined when nobody is left to answer. */
  readonly callerOf: (job: ActiveJob) => Caller | undefined | Promise<Caller | undefined>
}

const brokenBy = (code: FailureCode): Ran => ({
  outcome: { kind: 'broken', failure: failure(code), answer: null, told: false },
  artifacts: [],
})

/** A bug or a refusing database on the way costs the job an attempt, never the slot. */
const run = async (deps: ServeDeps, seat: Seat, caller: Caller): Promise<Ran> => {
  try {
    const outcome = await runJob(deps, seat, caller)
    const artifacts = outcome.kind === 'done' ? caller.artifacts() : []
    return artifacts === null ? brokenBy('malformed_answer') : { outcome, artifacts }
  } catch (error) {
    deps.emit({ event: 'loop_failed', loop: 'dispatcher', error })
    return brokenBy('internal')
  } finally {
    deps.roster.leave(seat)
  }
}

/** Whoever serves the jobs of one engine. */
export const createServe = (deps: ServeDeps): ((seat: Seat) => Promise<Settle>) => {
  const { roster, emit } = deps
  const conclusions = createConclusions(deps)
  return async (seat) => {
    const { job } = seat
    let caller: Caller | undefined
    try {
      caller = await deps.callerOf(job)
      if (caller === undefined) return conclusions.cancel(job)
      const ran = await run(deps, seat, caller)
      const told = seat.relief.length === 0 ? job : { ...job, relief: seat.relief }
      return conclusions.conclude(told, caller, ran, seat.stopper.why)
    } catch (error) {
      // Whatever was wrong with this one, the slot must be free for the next.
      emit({ event: 'loop_failed', loop: 'dispatcher', error })
      return conclusions.fail(job, caller)
    } finally {
      roster.leave(seat)
    }
  }
}
