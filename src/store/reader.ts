/** What may be read of jobs: one, a page of them, their transitions and artifacts; it must never write. */
import type { Database } from 'bun:sqlite'
import type { JobKind, JobState } from '../domain/job/job.ts'

/** A job as it is stored. Times are wall milliseconds. */
export interface StoredJob {
  readonly seq: number
  readonly id: string
  readonly kind: JobKind
  readonly endpoint: string
  readonly model: string
  readonly residencyKey: string
  readonly state: JobState
  readonly attempt: number
  readonly maxAttempts: number
  readonly deferrals: number
  /** Waiting until then; null = ready, running or final. */
  readonly notBefore: number | null
  readonly webhookUrl: string | null
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly promptTokens: number | null
  readonly completionTokens: number | null
  readonly totalDurationMs: number | null
  readonly createdAt: number
  readonly startedAt: number | null
  readonly completedAt: number | null
  readonly updatedAt: number
}

export interface StoredTransition {
  readonly sequence: number
  readonly previousState: JobState | null
  readonly state: JobState
  readonly attempt: number
  readonly at: number
  readonly errorCode: string | null
  readonly errorMessage: string | null
}

export interface StoredArtifact {
  readonly name: string
  readonly contentType: string
  readonly body: Uint8Array
}

/** An artifact as it stands in a list: the bytes only when they are few. */
export interface ListedArtifact {
  readonly name: string
  readonly contentType: string
  readonly size: number
  readonly body: Uint8Array | null
}

export interface JobFilter {
  readonly state: JobState | null
  readonly model: string | null
  readonly kind: JobKind | null
  readonly limit: number
}

/** Some jobs, newest first. */
export interface JobSlice {
  readonly jobs: StoredJob[]
  /** Where to go on looking; null when there is nothing older. */
  readonly below: number | null
}

export interface JobReader {
  find(id: string): StoredJob | null
  /** Above the newest job, or above those older than `after`, whether that one is still there or swept: where a list begins. */
  top(after: string | null): number
  /** Up to `limit` of the jobs below that match. It looks at 10,000 of them, 1 ms, so that a rare state does not hold the event loop. */
  list(filter: JobFilter, below: number): JobSlice
  /** Transitions with a sequence above `after`. */
  transitions(seq: number, after: number): StoredTransition[]
  /** Every artifact with its size, and with its bytes when they are at most `maxBytes`; a large one is not read. */
  listedArtifacts(seq: number, maxBytes: number): ListedArtifact[]
  artifact(seq: number, name: string): StoredArtifact | null
}

const SLICE = 10_000

const COLUMNS = `seq, id, kind, endpoint, model, residency_key AS residencyKey, state, attempt, max_attempts AS maxAttempts, deferrals,
  not_before AS notBefore, webhook_url AS webhookUrl, error_code AS errorCode, error_message AS errorMessage, prompt_tokens AS promptTokens,
  completion_tokens AS completionTokens, total_duration_ms AS totalDurationMs, created_at AS createdAt, started_at AS startedAt,
  completed_at AS completedAt, updated_at AS updatedAt`

/** The reader of one database. */
export const createReader = (db: Database): JobReader => {
  const find = db.query<StoredJob, [string]>(`SELECT ${COLUMNS} FROM jobs WHERE id = ?1`)
  const list = db.query<
    StoredJob,
    [number, number, string | null, string | null, string | null, number]
  >(`SELECT ${COLUMNS} FROM jobs WHERE seq < ?1 AND seq >= ?2
      AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR model = ?4) AND (?5 IS NULL OR kind = ?5)
    ORDER BY seq DESC LIMIT ?6`)
  const top = db.query<
    { seq: number },
    [string | null]
  >(`SELECT CASE WHEN ?1 IS NULL THEN (SELECT max(seq) + 1 FROM jobs)
      ELSE coalesce((SELECT seq FROM jobs WHERE id = ?1), (SELECT seq + 1 FROM jobs WHERE id < ?1 ORDER BY id DESC LIMIT 1)) END AS seq`)
  const nextBelow = db.query<{ seq: number | null }, [number]>('SELECT max(seq) + 1 AS seq FROM jobs WHERE seq < ?1')
  const transitions = db.query<
    StoredTransition,
    [number, number]
  >(`SELECT sequence, previous_state AS previousState, state, attempt,
      at, error_code AS errorCode, error_message AS errorMessage
    FROM transitions WHERE job_seq = ?1 AND sequence > ?2 ORDER BY sequence`)
  const listed = db.query<ListedArtifact, [number, number]>(
    `SELECT name, content_type AS contentType, length(body) AS size, CASE WHEN length(body) <= ?2 THEN body END AS body
     FROM artifacts WHERE job_seq = ?1 ORDER BY name`,
  )
  const artifact = db.query<StoredArtifact, [number, string]>(
    'SELECT name, content_type AS contentType, body FROM artifacts WHERE job_seq = ?1 AND name = ?2',
  )
  return {
    find: (id) => find.get(id),
    top: (after) => top.get(after)?.seq ?? 0,
    list({ state, model, kind, limit }, below) {
      const from = below - SLICE
      const jobs = list.all(below, from, state, model, kind, limit)
      const last = jobs.length === limit ? (jobs.at(-1)?.seq ?? from) : from
      // Past what was swept: numbers have gaps of millions.
      return { jobs, below: nextBelow.get(last)?.seq ?? null }
    },
    transitions: (seq, after) => transitions.all(seq, after),
    listedArtifacts: (seq, maxBytes) => listed.all(seq, maxBytes),
    artifact: (seq, name) => artifact.get(seq, name),
  }
}
