/** A stored job as its readers see it: every member always present, times in ISO 8601; it reads, and must never wait or write. */
import { etaSeconds, leftMs } from '../../domain/job/eta.ts'
import { isFinal, jobStates } from '../../domain/job/job.ts'
import type { JobReader, LineReader, StoredJob } from '../../domain/job/reading.ts'
import { artifactView, errorView, resultOf, type Showing } from '../../domain/job/webhook-event.ts'
import type { Engine } from '../../engine/engine.ts'
import type { AcceptedJson, JobJson } from './schemas.ts'

export interface JobViewDeps extends Showing {
  readonly reader: Pick<JobReader, 'listedArtifacts' | 'webhook'>
  readonly line: LineReader
  readonly engine: Pick<Engine, 'paces' | 'running' | 'slotsOf' | 'state'>
}

type Place = Pick<JobJson, 'position' | 'eta_seconds'>

export interface JobViews {
  show(job: StoredJob): JobJson
  /** Jobs as a page shows them, newest first: results and artifacts by link only, or 500 of them could be 256 MiB. */
  page(jobs: readonly StoredJob[]): JobJson[]
  accepted(job: StoredJob): AcceptedJson
  /** A job that was written this moment: it need not be read to be known. */
  fresh(jobId: string, waiting: Pick<StoredJob, 'seq' | 'residencyKey'>): AcceptedJson
}

const nowhere: Place = { position: null, eta_seconds: null }
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
  const { reader, line } = deps
  const { paces, running, slotsOf, state: target } = deps.engine

  const waitingPlace = ({ seq, residencyKey: key }: Pick<StoredJob, 'seq' | 'residencyKey'>): Place => {
    const ahead = line.ahead(seq)
    if (ahead === null) return nowhere
    const position = ahead.total + 1
    // A job that waits for a target that sleeps has no ETA.
    if (!target.view.reachable) return { position, eta_seconds: null }
    const waiting = [...ahead.byKey].map(([residencyKey, jobs]) => ({ residencyKey, jobs }))
    const circumstances = { key, residentKeys: target.residency.residentKeys, waiting, running: running(), slotsOf }
    return { position, eta_seconds: etaSeconds(circumstances, paces.of) }
  }

  const placeOf = (job: StoredJob): Place => {
    const { state, notBefore, residencyKey } = job
    if (isFinal(state) || notBefore !== null) return nowhere
    if (state !== 'loading' && state !== 'working') return waitingPlace(job)
    const onSlot = running().find(({ jobId }) => jobId === job.id) ?? { isLoading: state === 'loading', elapsedMs: 0 }
    const ms = leftMs(onSlot, paces.of(residencyKey))
    return { position: 0, eta_seconds: ms === null ? null : Math.ceil(ms / 1_000) }
  }

  const viewOf = (job: StoredJob, showing: Showing): JobJson => {
    const hasArtifacts = isFinal(job.state)
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
      error: errorView(job.errorCode, job.errorMessage),
      result: resultOf(views),
      artifacts: views,
      state_webhook_url: job.webhookUrl,
      webhook: webhookOf(reader, job),
      ...placeOf(job),
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
    accepted: (job) => ({ job_id: job.id, id: job.id, state: job.state, ...placeOf(job) }),
    fresh: (jobId, waiting) => ({ job_id: jobId, id: jobId, state: 'queued', ...waitingPlace(waiting) }),
  }
}
