/** What may be read of jobs: one, a page of them, their transitions and artifacts; it must never write. */
import type { Database } from 'bun:sqlite'
import type {
  JobReader,
  ListedArtifact,
  StoredArtifact,
  StoredJob,
  StoredTransition,
  StoredWebhook,
} from '../domain/job/reading.ts'
import { createBodyReader } from './bodies.ts'
import { createListing } from './listing.ts'

const COLUMNS = `seq, id, kind, endpoint, model, residency_key AS residencyKey, state, attempt, max_attempts AS maxAttempts, deferrals,
  not_before AS notBefore, webhook_url AS webhookUrl, error_code AS errorCode, error_message AS errorMessage, prompt_tokens AS promptTokens,
  completion_tokens AS completionTokens, total_duration_ms AS totalDurationMs,
  served_by AS servedBy, served_model AS servedModel, created_at AS createdAt, started_at AS startedAt,
  completed_at AS completedAt, updated_at AS updatedAt, relief`

/** The reader of one database; `wallAt` says what the wall clock showed at a stored time. */
export const createReader = (db: Database, wallAt: (storedMs: number) => number = (ms) => ms): JobReader => {
  const bodies = createBodyReader(db)
  const find = db.query<StoredJob, [string]>(`SELECT ${COLUMNS} FROM jobs WHERE id = ?1`)
  const listing = createListing(db)
  const at = db.query<StoredJob, [number]>(`SELECT ${COLUMNS} FROM jobs WHERE seq = ?1`)
  const top = db.query<
    { seq: number },
    [string | null]
  >(`SELECT CASE WHEN ?1 IS NULL THEN (SELECT max(seq) + 1 FROM jobs)
      ELSE coalesce((SELECT seq FROM jobs WHERE id = ?1), (SELECT seq + 1 FROM jobs WHERE id < ?1 ORDER BY id DESC LIMIT 1)) END AS seq`)
  const webhook = db.query<
    Omit<StoredWebhook, 'states'> & { readonly states: string | null },
    [number]
  >(`SELECT j.webhook_states AS states, CASE WHEN w.due_at IS NOT NULL THEN w.sequence END AS sequence, w.tries AS tries,
      w.due_at AS dueAt, w.last_problem AS lastProblem, w.given_up AS givenUp
    FROM webhooks w JOIN jobs j ON j.seq = w.job_seq WHERE w.job_seq = ?1`)
  const transitions = db.query<
    StoredTransition,
    [number, number]
  >(`SELECT sequence, previous_state AS previousState, state, attempt,
      at, error_code AS errorCode, error_message AS errorMessage, served_by AS servedBy, served_model AS servedModel
    FROM transitions WHERE job_seq = ?1 AND sequence > ?2 ORDER BY sequence`)
  const listed = db.query<ListedArtifact, [number, number]>(
    `SELECT name, content_type AS contentType, length(body) AS size, CASE WHEN length(body) <= ?2 THEN body END AS body
     FROM artifacts WHERE job_seq = ?1 ORDER BY name`,
  )
  const artifact = db.query<StoredArtifact, [number, string]>(
    'SELECT name, content_type AS contentType, body FROM artifacts WHERE job_seq = ?1 AND name = ?2',
  )
  const shown = (job: StoredJob): StoredJob => ({
    ...job,
    notBefore: job.notBefore === null ? null : wallAt(job.notBefore),
    createdAt: wallAt(job.createdAt),
    startedAt: job.startedAt === null ? null : wallAt(job.startedAt),
    completedAt: job.completedAt === null ? null : wallAt(job.completedAt),
    updatedAt: wallAt(job.updatedAt),
  })
  return {
    find(id) {
      const job = find.get(id)
      return job === null ? null : shown(job)
    },
    top: (after) => top.get(after)?.seq ?? 0,
    list: (filter, below) =>
      listing(filter, below).flatMap((seq) => {
        const job = at.get(seq)
        return job === null ? [] : [shown(job)]
      }),
    webhook(seq) {
      const found = webhook.get(seq)
      // Written by a submit, which has checked every word of it.
      if (found === null) return null
      const { states, dueAt } = found
      return {
        ...found,
        states: states === null ? null : JSON.parse(states),
        dueAt: dueAt === null ? null : wallAt(dueAt),
      }
    },
    transitions: (seq, after) => transitions.all(seq, after).map((one) => ({ ...one, at: wallAt(one.at) })),
    listedArtifacts: (seq, maxBytes) =>
      listed.all(seq, maxBytes).map((one) => {
        // What is large has an empty row.
        const size = one.size === 0 ? bodies.sizeOf(seq, one.name) : null
        return size === null ? one : { ...one, size, body: size <= maxBytes ? bodies.readNow(seq, one.name) : null }
      }),
    async artifact(seq, name) {
      const stored = artifact.get(seq, name)
      if (stored === null || stored.body.length > 0) return stored
      return { ...stored, body: (await bodies.read(seq, name)) ?? stored.body }
    },
  }
}
