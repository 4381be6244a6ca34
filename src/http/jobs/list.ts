/** GET /jobs: one page, the newest first. */
import type { JobKind, JobState } from '../../domain/job/job.ts'
import type { JobReader } from '../../domain/job/reading.ts'
import { LIMIT_DEFAULT, type PageJson } from './schemas.ts'
import type { JobViews } from './view.ts'

export interface ListQuery {
  readonly state?: JobState
  readonly model?: string
  readonly kind?: JobKind
  readonly limit?: number
  readonly after?: string
}

/** The page that was asked for. */
export const listJobs = (
  reader: Pick<JobReader, 'top' | 'list'>,
  views: Pick<JobViews, 'page'>,
  { state, model, kind, after, limit = LIMIT_DEFAULT }: ListQuery,
): PageJson => {
  const filter = { state: state ?? null, model: model ?? null, kind: kind ?? null }
  // One more than is shown tells whether there is a next page.
  const rows = reader.list({ ...filter, limit: limit + 1 }, reader.top(after ?? null))
  const page = rows.slice(0, limit)
  return { jobs: views.page(page), next: rows.length > limit ? (page.at(-1)?.id ?? null) : null }
}
