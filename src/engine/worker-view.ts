/** What the slots are doing, as health and people see it; it must never be read to decide anything. */
import type { DispatcherPhase } from './dispatcher.ts'
import type { Seat } from './roster.ts'

/** One job on its slot. */
export interface SlotView {
  readonly slot: number
  readonly state: 'loading' | 'working'
  readonly jobId: string
  readonly model: string
}

/** All slots; `state`, `jobId` and `model` are those of the first job. */
export interface WorkerView {
  readonly state: 'idle' | 'parked' | 'loading' | 'working' | 'stopped'
  readonly jobId: string | null
  readonly model: string | null
  readonly slots: readonly SlotView[]
}

/** The view at this moment. `isReachable`: the target can be reached, so that an idle worker is not parked. */
export const workerView = (seats: readonly Seat[], phase: DispatcherPhase, isReachable: boolean): WorkerView => {
  const slots = seats.map(({ job, phase: state }) => ({ slot: job.slot, state, jobId: job.id, model: job.model }))
  const [first] = slots
  if (first !== undefined) return { state: first.state, jobId: first.jobId, model: first.model, slots }
  const idle = isReachable ? 'idle' : 'parked'
  return { state: phase === 'stopped' ? 'stopped' : idle, jobId: null, model: null, slots }
}
