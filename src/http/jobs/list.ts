/** GET /jobs: one page, gathered in slices, so that a rare state among a million rows holds nobody up. */
import type { Clock } from '../../domain/clock.ts'
import type { JobKind, JobState } from '../../domain/job/job.ts'
import type { JobReader, JobSlice, StoredJob } from '../../domain/job/reading.ts'
import { breathe } from '../../domain/slices.ts'
import { LIMIT_DEFAULT, type PageJson } from './schemas.ts'
import type { JobViews } from './view.ts'

export interface ListQuery {
  readonly state?: JobState
  readonly model?: string
  readonly kind?: JobKind
  readonly limit?: number
  readonly after?: string
}

export interface ListDeps {
  readonly reader: Pick<JobReader, 'top' | 'list'>
  readonly clock: Clock
}

/** The page that was asked for. */
export const listJobs = async (
  { reader, clock }: ListDeps,
  views: Pick<JobViews, 'page'>,
  { state, model, kind, after, limit = LIMIT_DEFAULT }: ListQuery,
): Promise<PageJson> => {
  const filter = { state: state ?? null, model: model ?? null, kind: kind ?? null }
  const rows: StoredJob[] = []
  // One more than is shown tells whether there is a next page.
  for (let below: number | null = reader.top(after ?? null); below !== null && rows.length <= limit; ) {
    const slice: JobSlice = reader.list({ ...filter, limit: limit + 1 - rows.length }, below)
    rows.push(...slice.jobs)
    below = slice.below
    if (below !== null && rows.length <= limit) await breathe(clock)
  }
  const page = rows.slice(0, limit)
  return { jobs: views.page(page), next: rows.length > limit ? (page.at(-1)?.id ?? null) : null }
}
