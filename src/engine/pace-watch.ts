/** Times loads and jobs from the engine's own events, so that the worker need not know that anybody asks how long it takes. */
import type { Clock } from '../domain/clock.ts'
import { createPaces, type Paces } from '../domain/job/eta.ts'
import type { EngineEvent } from '../domain/job/events.ts'

export interface PaceWatch {
  readonly paces: Paces
  observe(event: EngineEvent): void
  /** The key on the worker and how long its load or its work has lasted; null = the worker is idle. */
  running(): { readonly key: string; readonly elapsedMs: number } | null
}

interface Phase {
  readonly jobId: string
  readonly key: string
  readonly sinceMs: number
  readonly isLoading: boolean
}

/** A watch that has seen nothing yet. */
export const createPaceWatch = (clock: Pick<Clock, 'monotonicMs'>): PaceWatch => {
  const paces = createPaces()
  let phase: Phase | null = null

  const began = ({ jobId, residencyKey }: { jobId: string; residencyKey: string }, isLoading: boolean) => {
    phase = { jobId, key: residencyKey, sinceMs: clock.monotonicMs(), isLoading }
  }
  const elapsedMs = ({ sinceMs }: Phase) => clock.monotonicMs() - sinceMs

  return {
    paces,
    observe(e) {
      switch (e.event) {
        case 'job_loading':
          return began(e, true)
        case 'job_working':
          if (phase?.jobId === e.jobId && phase.isLoading) paces.loadTook(e.residencyKey, elapsedMs(phase))
          return began(e, false)
        case 'job_done':
        case 'job_failed':
        case 'job_cancelled':
        case 'job_requeued':
          if (phase?.jobId !== e.jobId) return
          if (e.event === 'job_done' && !phase.isLoading) paces.jobTook(e.residencyKey, elapsedMs(phase))
          phase = null
      }
    },
    running: () => (phase === null ? null : { key: phase.key, elapsedMs: elapsedMs(phase) }),
  }
}
