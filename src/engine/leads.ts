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
  readonly clock: Pick<Clock, 'after' | 'monotonicMs'>
}

// A fallback that could not help may be able to by then.
const AGAIN_MS = 30_000
// One that was not helped lets those behind it go first for so long.
const STEPS_BACK_MS = 90_000
// Whose bodies are read to find one that can be helped.
const AHEAD = 20

/** Begins to look; the returned function ends that. */
export const startLeads = ({ queue, aside, rescuers, state, callerOf, bus, clock }: LeadsDeps): (() => void) => {
  let cancel = () => {}
  let isOver = false
  /** On their way out of the line, each with its body. */
  let waiting = 0
  const triedAtMs = new Map<string, number>()

  /** The oldest first, but those that were tried a short while ago only where there are no others. */
  const inTurn = (lanes: number) => {
    const nowMs = clock.monotonicMs()
    for (const [id, atMs] of triedAtMs) if (nowMs - atMs >= STEPS_BACK_MS) triedAtMs.delete(id)
    const line = queue.forFallback(lanes + AHEAD)
    const fresh = line.filter(({ id }) => !triedAtMs.has(id))
    return fresh.length > 0 ? fresh : line
  }
  const lead = async (lanes: number) => {
    const why = failure('unreachable', state.absenceWords(''))
    for (const job of inTurn(lanes)) {
      if (waiting >= lanes) return
      const caller = await callerOf(job)
      if (isOver) return
      triedAtMs.set(job.id, clock.monotonicMs())
      if (caller === undefined || !aside.wants(caller, why)) continue
      waiting++
      void aside.fromLine(job.id, caller, why, true).finally(() => waiting--)
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
