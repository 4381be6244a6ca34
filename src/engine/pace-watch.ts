/** Times loads and jobs from the engine's own events, so that the dispatcher need not know that anybody asks how long it takes. */
import type { Clock } from '../domain/clock.ts'
import { createPaces, type Paces, type Running } from '../domain/job/eta.ts'
import type { EngineEvent } from '../domain/job/events.ts'

export interface PaceWatch {
  readonly paces: Paces
  observe(event: EngineEvent): void
  /** The jobs on the slots, the oldest phase first. */
  running(): readonly Running[]
}

interface Phase {
  readonly key: string
  readonly sinceMs: number
  readonly isLoading: boolean
}

/** A watch that has seen nothing yet. */
export const createPaceWatch = (clock: Pick<Clock, 'monotonicMs'>): PaceWatch => {
  const paces = createPaces()
  const phases = new Map<string, Phase>()

  const began = ({ jobId, residencyKey: key }: { jobId: string; residencyKey: string }, isLoading: boolean) =>
    void phases.set(jobId, { key, sinceMs: clock.monotonicMs(), isLoading })
  const elapsedMs = ({ sinceMs }: Phase) => clock.monotonicMs() - sinceMs

  return {
    paces,
    observe(e) {
      switch (e.event) {
        case 'job_loading':
          return began(e, true)
        case 'job_working': {
          const phase = phases.get(e.jobId)
          if (phase?.isLoading) paces.loadTook(e.residencyKey, elapsedMs(phase))
          return began(e, false)
        }
        case 'job_done':
        case 'job_failed':
        case 'job_cancelled':
        case 'job_requeued': {
          const phase = phases.get(e.jobId)
          if (phase === undefined) return
          if (e.event === 'job_done' && !phase.isLoading) paces.jobTook(e.residencyKey, elapsedMs(phase))
          phases.delete(e.jobId)
        }
      }
    },
    running: () =>
      [...phases].map(([jobId, phase]) => ({
        jobId,
        key: phase.key,
        isLoading: phase.isLoading,
        elapsedMs: elapsedMs(phase),
      })),
  }
}
