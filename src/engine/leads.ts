/** Leads jobs that nobody waits for, and that may be done elsewhere, out of the line while the target is away; without a rescuer it does nothing. */
import type { Clock } from '../domain/clock.ts'
import { failure } from '../domain/job/failure.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import type { Aside } from './aside.ts'
import type { Bus } from './bus.ts'
import type { Caller } from './caller.ts'
import type { EngineQueue } from './ports.ts'
import type { Rescuers } from './rescue.ts'
import type { TargetState } from './state.ts'

export interface LeadsDeps {
  readonly queue: Pick<EngineQueue, 'forFallback'>
  readonly aside: Pick<Aside, 'fromLine' | 'wants'>
  readonly rescuers: Pick<Rescuers, 'afterMs' | 'rescuer'>
  readonly state: Pick<TargetState, 'absenceWords' | 'onReachability' | 'view'>
  readonly callerOf: (job: ActiveJob) => Caller | undefined | Promise<Caller | undefined>
  readonly bus: Pick<Bus, 'emit' | 'on'>
  readonly clock: Pick<Clock, 'after'>
}

// A fallback that could not help may be able to by then.
const AGAIN_MS = 30_000

/** Begins to look; the returned function ends that. */
export const startLeads = ({ queue, aside, rescuers, state, callerOf, bus, clock }: LeadsDeps): (() => void) => {
  let cancel = () => {}
  let isOver = false

  const lead = async (lanes: number) => {
    const why = failure('unreachable', state.absenceWords(''))
    for (const job of queue.forFallback(lanes)) {
      const caller = await callerOf(job)
      if (isOver || caller === undefined || !aside.wants(caller, why)) return
      void aside.fromLine(job.id, caller, why, true)
    }
  }
  const look = () => {
    cancel()
    const { rescuer } = rescuers
    const afterMs = rescuers.afterMs()
    if (isOver || rescuer === null || afterMs === null || state.view.reachable) return
    cancel = clock.after(afterMs > 0 ? afterMs : AGAIN_MS, look)
    if (afterMs > 0) return
    void lead(rescuer.lanes).catch((error: unknown) => bus.emit({ event: 'loop_failed', loop: 'leads', error }))
  }

  const ends = [
    state.onReachability(look),
    bus.on('job_submitted', 'leads', ({ kind }) => {
      if (kind === 'async') look()
    }),
    // A lane is free: the next one.
    bus.on('job_done', 'leads', ({ kind, servedBy }) => {
      if (kind === 'async' && servedBy !== undefined) look()
    }),
  ]
  return () => {
    isOver = true
    cancel()
    for (const end of ends) end()
  }
}
