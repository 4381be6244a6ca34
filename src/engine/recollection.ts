/** What a person asks of the work that is done: how much, and what went wrong last; it must never be asked to decide. */
import type { Clock } from '../domain/clock.ts'
import type { Failure } from '../domain/job/failure.ts'
import type { Bus } from './bus.ts'

export interface Recollection {
  /** Jobs and calls that ended well since the start. */
  readonly completions: number
  readonly lastFailure: (Failure & { readonly jobId: string; readonly model: string; readonly at: number }) | null
}

/** Begins to listen. */
export const createRecollection = (bus: Pick<Bus, 'on'>, clock: Pick<Clock, 'now'>): Recollection => {
  let completions = 0
  let lastFailure: Recollection['lastFailure'] = null
  bus.on('job_done', 'recollection', () => {
    completions++
  })
  bus.on('job_failed', 'recollection', ({ jobId, model, failure }) => {
    lastFailure = { ...failure, jobId, model, at: clock.now() }
  })
  return {
    get completions() {
      return completions
    },
    get lastFailure() {
      return lastFailure
    },
  }
}
