/** Where a job stands in the queue and how long it may take; it reads, and must never guess or write. */
import { etaSeconds, leftMs } from '../domain/job/eta.ts'
import { isFinal } from '../domain/job/job.ts'
import type { JobReader, LineReader, StoredJob } from '../domain/job/reading.ts'
import type { Engine } from '../engine/engine.ts'

export interface Place {
  /** 1 is the next one, 0 has a slot; null: it is not known, or not waiting for its turn. */
  readonly position: number | null
  /** Until it is done. */
  readonly eta_seconds: number | null
}

export interface PlaceDeps {
  readonly line: LineReader
  readonly engine: Pick<Engine, 'paces' | 'running' | 'slotsOf' | 'state'>
}

export interface Places {
  of(job: StoredJob): Place
  waiting(job: Pick<StoredJob, 'seq' | 'residencyKey'>): Place
}

export const nowhere: Place = { position: null, eta_seconds: null }

/** The places in one foreman's queue. */
export const createPlaces = ({ line, engine }: PlaceDeps): Places => {
  const { paces, running, slotsOf, state: target } = engine

  const waiting: Places['waiting'] = ({ seq, residencyKey: key }) => {
    const ahead = line.ahead(seq)
    if (ahead === null) return nowhere
    const position = ahead.total + 1
    // A job that waits for a target that sleeps has no ETA.
    if (!target.view.reachable) return { position, eta_seconds: null }
    const others = [...ahead.byKey].map(([residencyKey, jobs]) => ({ residencyKey, jobs }))
    const { residentKeys } = target.residency
    const circumstances = { key, residentKeys, waiting: others, running: running(), slotsOf }
    return { position, eta_seconds: etaSeconds(circumstances, paces.of) }
  }

  return {
    waiting,
    of(job) {
      const { state, notBefore, residencyKey } = job
      if (isFinal(state) || notBefore !== null) return nowhere
      if (state !== 'loading' && state !== 'working') return waiting(job)
      const onSlot = running().find(({ jobId }) => jobId === job.id) ?? {
        isLoading: state === 'loading',
        elapsedMs: 0,
      }
      const ms = leftMs(onSlot, paces.of(residencyKey))
      return { position: 0, eta_seconds: ms === null ? null : Math.ceil(ms / 1_000) }
    },
  }
}

/** The place of a job that is known by its id alone. */
export const createPlaceOf =
  (reader: Pick<JobReader, 'find'>, places: Places) =>
  (jobId: string): Place => {
    const job = reader.find(jobId)
    return job === null ? nowhere : places.of(job)
  }
