/** A stored job as its readers see it: every member always present, times in ISO 8601; it reads, and must never wait or write. */
import { isFinal, jobStates } from '../../domain/job/job.ts'
import type { JobReader, StoredJob } from '../../domain/job/reading.ts'
import { artifactView, errorView, resultOf, type Showing } from '../../domain/job/webhook-event.ts'
import { createPlaces, type PlaceDeps } from '../place.ts'
import type { AcceptedJson, JobJson } from './schemas.ts'

export interface JobViewDeps extends Showing, PlaceDeps {
  readonly reader: Pick<JobReader, 'listedArtifacts' | 'webhook'>
}

export interface JobViews {
  show(job: StoredJob): JobJson
  /** Jobs as a page shows them, newest first: results and artifacts by link only, or 500 of them could be 256 MiB. */
  page(jobs: readonly StoredJob[]): JobJson[]
  accepted(job: StoredJob): AcceptedJson
  /** A job that was written this moment: it need not be read to be known. */
  fresh(jobId: string, waiting: Pick<StoredJob, 'seq' | 'residencyKey'>): AcceptedJson
}

// No artifact is this small: all are shown by link.
const NOTHING_INLINE = -1

const iso = (ms: number) => new Date(ms).toISOString()
const isoOrNull = (ms: number | null) => (ms === null ? null : iso(ms))

/** How the job's webhook stands; null without one. */
const webhookOf = (reader: JobViewDeps['reader'], { seq, webhookUrl }: StoredJob): JobJson['webhook'] => {
  const stored = webhookUrl === null ? null : reader.webhook(seq)
  if (webhookUrl === null || stored === null) return null
  return {
    url: webhookUrl,
    events: [...(stored.states ?? jobStates)],
    next_sequence: stored.sequence,
    tries: stored.tries,
    next_try_at: isoOrNull(stored.dueAt),
    last_problem: stored.lastProblem,
    given_up: stored.givenUp,
  }
}

/** The views of one foreman's jobs. */
export const createJobViews = (deps: JobViewDeps): JobViews => {
  const { reader } = deps
  const places = createPlaces(deps)

  const viewOf = (job: StoredJob, showing: Showing): JobJson => {
    // What a call was answered went to its client.
    const hasArtifacts = isFinal(job.state) && job.kind === 'async'
    const artifacts = hasArtifacts ? reader.listedArtifacts(job.seq, showing.inlineMaxBytes) : []
    const views = artifacts.map((artifact) => artifactView(job.id, artifact, showing))
    return {
      job_id: job.id,
      id: job.id,
      model: job.model,
      state: job.state,
      attempt: job.attempt,
      max_attempts: job.maxAttempts,
      deferrals: job.deferrals,
      served_by: job.servedBy,
      served_model: job.servedBy === null ? null : (job.servedModel ?? job.model),
      // Written by foreman itself.
      relief: job.relief === null ? null : (JSON.parse(job.relief) as string[]),
      error: errorView(job.errorCode, job.errorMessage),
      result: resultOf(views),
      artifacts: views,
      state_webhook_url: job.webhookUrl,
      webhook: webhookOf(reader, job),
      ...places.of(job),
      created_at: iso(job.createdAt),
      updated_at: iso(job.updatedAt),
      started_at: isoOrNull(job.startedAt),
      completed_at: isoOrNull(job.completedAt),
      usage: {
        prompt_tokens: job.promptTokens,
        completion_tokens: job.completionTokens,
        total_duration_ms: job.totalDurationMs,
      },
    }
  }

  const byLink: Showing = { inlineMaxBytes: NOTHING_INLINE, publicUrl: deps.publicUrl }
  return {
    show: (job) => viewOf(job, deps),
    // From the oldest on, so that the line is counted once and not from its head for each.
    page: (jobs) => jobs.map((_, i) => viewOf(jobs[jobs.length - 1 - i]!, byLink)).reverse(),
    accepted: (job) => ({ job_id: job.id, id: job.id, state: job.state, ...places.of(job) }),
    fresh: (jobId, waiting) => ({ job_id: jobId, id: jobId, state: 'queued', ...places.waiting(waiting) }),
  }
}
