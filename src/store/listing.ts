/** Finds which jobs a list shows, by index alone: whatever is asked for, it must look at no more of each kind and state than it shows. */
import type { Database } from 'bun:sqlite'
import { isFinal, type JobKind, type JobState, jobStates } from '../domain/job/job.ts'
import type { JobFilter } from '../domain/job/reading.ts'

/** The newest jobs below a number that match, by number. */
export type Listing = (filter: JobFilter, below: number) => number[]

const kinds: readonly JobKind[] = ['sync', 'async']

// The pluses keep a statement prepared, as in the queue's.
const ofKind = '($kind IS NULL OR kind = +$kind)'
const sources = {
  every: 'NOT INDEXED WHERE TRUE',
  final: `INDEXED BY jobs_final WHERE completed_at IS NOT NULL AND model = +$model AND kind = +$kind AND state = +$state`,
  ready: `INDEXED BY jobs_ready WHERE state = 'queued' AND not_before IS NULL AND ${ofKind}`,
  backingOff: `INDEXED BY jobs_backing_off_by_seq WHERE state = 'queued' AND not_before IS NOT NULL AND ${ofKind}`,
  // Few: what waits in memory has no row.
  waitingSync: `INDEXED BY jobs_waiting_sync WHERE state = 'queued' AND kind = 'sync'`,
  waitingOf: `INDEXED BY jobs_waiting_by_model WHERE state = 'queued' AND kind = +$kind AND model = +$model`,
  active: `INDEXED BY jobs_slots WHERE slot IS NOT NULL AND state = +$state AND ${ofKind} AND ($model IS NULL OR model = +$model)`,
} as const

type Source = keyof typeof sources

/** What one look into an index is for. */
type Looked = Pick<JobFilter, 'state' | 'kind' | 'model'> & { readonly source: Source }

/** Where jobs are that are not over; null = of both kinds. */
const unfinished = (state: JobState, model: string | null, kind: JobKind | null): Looked[] => {
  const at = (source: Source, of = kind): Looked => ({ source, state, kind: of, model })
  if (state !== 'queued') return [at('active')]
  if (model !== null) return kinds.filter((one) => kind === null || one === kind).map((one) => at('waitingOf', one))
  return kind === 'sync' ? [at('waitingSync')] : [at('ready'), at('backingOff')]
}

/** The models of finished jobs: a look into the index for each. */
const createModels = (db: Database) => {
  const least = (where: string) =>
    db.query<{ model: string }, string[]>(
      `SELECT model FROM jobs INDEXED BY jobs_final WHERE completed_at IS NOT NULL ${where} ORDER BY model LIMIT 1`,
    )
  const first = least('')
  const next = least('AND model > +?1')
  return (): string[] => {
    const models: string[] = []
    for (let at = first.get(); at !== null; at = next.get(at.model)) models.push(at.model)
    return models
  }
}

/** The listing of one database. */
export const createListing = (db: Database): Listing => {
  const models = createModels(db)
  const statement = (source: Source) =>
    db.query<{ seq: number }, Record<string, string | number | null>>(
      `SELECT seq FROM jobs ${sources[source]} AND seq < $below AND seq > $above ORDER BY seq DESC LIMIT $limit`,
    )
  const looks = ({ state, model, kind }: JobFilter): Looked[] => {
    if (state === null && model === null && kind === null) return [{ source: 'every', state, model, kind }]
    const states = state === null ? jobStates : [state]
    const finals = states.filter(isFinal)
    const named = model === null && finals.length > 0 ? models() : [model]
    const both = kinds.filter((one) => kind === null || one === kind)
    const over = named.flatMap((of) =>
      both.flatMap((one) => finals.map((final): Looked => ({ source: 'final', state: final, kind: one, model: of }))),
    )
    return [...states.filter((one) => !isFinal(one)).flatMap((one) => unfinished(one, model, kind)), ...over]
  }
  return (filter, below) => {
    const { limit } = filter
    let found: number[] = []
    for (const { source, ...asked } of looks(filter)) {
      // Once there are enough, only what is newer than the oldest of them counts.
      const above = found.length < limit ? -1 : (found.at(-1) ?? -1)
      const more = statement(source).all({ ...asked, below, above, limit })
      if (more.length === 0) continue
      found = [...found, ...more.map(({ seq }) => seq)].sort((a, b) => b - a).slice(0, limit)
    }
    return found
  }
}
