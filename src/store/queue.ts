/** The queue as prepared statements: submit, claim, advance, settle, recover; every change is guarded by state and attempt. */
import type { Database } from 'bun:sqlite'
import { type Failure, failure } from '../domain/failure.ts'
import type { ActiveJob, JobKind, NewJob } from '../domain/job.ts'
import type { Verdict } from '../domain/outcome.ts'
import type { Durability, Ledger } from './ledger.ts'

/** A named result of a job, stored with the transition that owes it. */
export interface Artifact {
  readonly name: string
  readonly contentType: string
  readonly body: Uint8Array
}

export type Submitted = { readonly kind: 'accepted'; readonly seq: number } | { readonly kind: 'full' }

export type Claimed =
  | { readonly kind: 'job'; readonly job: ActiveJob }
  /** Nothing is ready; `nextDueAt` (wall ms) is when the first backoff ends. */
  | { readonly kind: 'idle'; readonly nextDueAt: number | null }

export interface ClaimQuery {
  readonly now: number
  /** The key that is loaded: its jobs need no load and are `working` at once. */
  readonly loadedKey: string | null
  /** Jobs with this key go first: the loaded one, or the one being loaded. */
  readonly preferredKey: string | null
  /** Jobs created at or before this wall time go before everything else; null = no age bound. */
  readonly agedBefore: number | null
}

export interface QueueCounts {
  readonly queued: number
  readonly oldestCreatedAt: number | null
}

export interface Queue {
  submit(job: NewJob, now: number): Promise<Submitted>
  claim(query: ClaimQuery): Promise<Claimed>
  /** loading → working. False: the job is no longer this attempt's. */
  advance(job: ActiveJob, now: number): Promise<boolean>
  /** Ends this attempt. False: the job is no longer this attempt's. */
  settle(job: ActiveJob, verdict: Verdict, now: number, artifacts?: readonly Artifact[]): Promise<boolean>
  /** Takes a waiting job out. False: it is not waiting. */
  withdraw(id: string, reason: 'cancelled' | Failure, now: number): Promise<boolean>
  /** At start nothing runs: async jobs go back, sync ones are failed as abandoned. */
  recover(now: number): { requeued: number; abandoned: number; exhausted: number }
  /** Whether another job with this key is ready to run. */
  hasReady(residencyKey: string): boolean
  /** Whether nothing waits, submits on their way included. */
  isEmpty(): boolean
  requestBody(seq: number): Uint8Array | null
  counts(): QueueCounts
}

interface Row {
  seq: number
  id: string
  kind: JobKind
  endpoint: string
  model: string
  residency_key: string
  state: 'loading' | 'working'
  attempt: number
  max_attempts: number
  deferrals: number
  created_at: number
}

const READY = `state = 'queued' AND not_before IS NULL`
// INDEXED BY keeps the planner on the partial indexes: after an ANALYZE it would scan the table for 800 ms.
// The plus in `+?1` keeps a statement prepared: a bare parameter that a partial index is matched against makes SQLite
// plan it anew at every call (a claim: 82 instead of 13 us).
const OLDEST = `FROM jobs INDEXED BY jobs_ready WHERE ${READY} ORDER BY seq LIMIT 1`

const statements = (db: Database) => ({
  insert: db.query<unknown, (string | number | null)[]>(`INSERT INTO jobs
    (id, kind, endpoint, model, residency_key, max_attempts, webhook_url, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)`),
  insertRequest: db.query('INSERT INTO requests (job_seq, body) VALUES (?1, ?2)'),
  insertArtifact: db.query('INSERT INTO artifacts (job_seq, name, content_type, body) VALUES (?1, ?2, ?3, ?4)'),
  // A backoff that is over makes its job ready again, at its old place.
  ripen: db.query(`UPDATE jobs INDEXED BY jobs_backing_off SET not_before = NULL
    WHERE state = 'queued' AND not_before IS NOT NULL AND not_before <= +?1`),
  claim: db.query<Row, [number, number, string]>(`UPDATE jobs SET
      state = 'loading', attempt = attempt + 1, started_at = coalesce(started_at, ?1), updated_at = ?1
    WHERE seq = coalesce(
      (SELECT CASE WHEN created_at <= ?2 THEN seq END ${OLDEST}),
      (SELECT seq FROM jobs INDEXED BY jobs_ready_by_key WHERE ${READY} AND residency_key = +?3 ORDER BY seq LIMIT 1),
      (SELECT seq ${OLDEST}))
    RETURNING seq, id, kind, endpoint, model, residency_key, state, attempt, max_attempts, deferrals, created_at`),
  nextDue: db.query<{ at: number | null }, []>(`SELECT min(not_before) AS at FROM jobs INDEXED BY jobs_backing_off
    WHERE state = 'queued' AND not_before IS NOT NULL`),
  advance: db.query(`UPDATE jobs SET state = 'working', updated_at = ?3
    WHERE seq = ?1 AND attempt = ?2 AND state = 'loading'`),
  requeue: db.query(`UPDATE jobs SET state = 'queued', attempt = attempt - ?4, deferrals = deferrals + ?5,
      not_before = ?6, updated_at = ?3
    WHERE seq = ?1 AND attempt = ?2 AND state IN ('loading', 'working')`),
  finish: db.query(`UPDATE jobs SET state = ?4, error_code = ?5, error_message = ?6, prompt_tokens = ?7,
      completion_tokens = ?8, total_duration_ms = ?9, completed_at = ?3, updated_at = ?3
    WHERE seq = ?1 AND attempt = ?2 AND state IN ('loading', 'working')`),
  withdraw: db.query(`UPDATE jobs SET state = ?2, error_code = ?3, error_message = ?4, not_before = NULL,
      completed_at = ?5, updated_at = ?5
    WHERE id = ?1 AND state = 'queued'`),
  abandonSync: db.query(`UPDATE jobs SET state = 'failed', error_code = 'abandoned', error_message = ?2,
      not_before = NULL, completed_at = ?1, updated_at = ?1
    WHERE kind = 'sync' AND completed_at IS NULL`),
  exhaust: db.query(`UPDATE jobs SET state = 'failed', error_code = 'attempts_exhausted', error_message = ?2,
      completed_at = ?1, updated_at = ?1
    WHERE state IN ('loading', 'working') AND attempt >= max_attempts`),
  requeueInterrupted: db.query(
    `UPDATE jobs SET state = 'queued', updated_at = ?1 WHERE state IN ('loading', 'working')`,
  ),
  hasReady: db.query(`SELECT 1 FROM jobs INDEXED BY jobs_ready_by_key WHERE ${READY} AND residency_key = +?1 LIMIT 1`),
  requestBody: db.query<{ body: Uint8Array }, [number]>('SELECT body FROM requests WHERE job_seq = ?1'),
  queued: db.query<{ n: number }, []>(`SELECT count(*) AS n FROM jobs WHERE state = 'queued'`),
  oldest: db.query<{ created_at: number }, []>(`SELECT created_at ${OLDEST}`),
})

const activeJob = (row: Row): ActiveJob => ({
  seq: row.seq,
  id: row.id,
  kind: row.kind,
  endpoint: row.endpoint,
  model: row.model,
  residencyKey: row.residency_key,
  state: row.state,
  attempt: row.attempt,
  maxAttempts: row.max_attempts,
  deferrals: row.deferrals,
  createdAt: row.created_at,
})

/** Only what somebody was promised pays for an fsync: nothing of a sync call outlives its client. */
const durabilityOf = (kind: JobKind): Durability => (kind === 'async' ? 'durable' : 'quick')

type Statements = ReturnType<typeof statements>

const applyVerdict = (sql: Statements, job: ActiveJob, verdict: Verdict, now: number): boolean => {
  const { seq, attempt } = job
  switch (verdict.to) {
    case 'queued': {
      const returned = verdict.attemptReturned ? 1 : 0
      return sql.requeue.run(seq, attempt, now, returned, verdict.deferred ? 1 : 0, verdict.notBefore).changes > 0
    }
    case 'done': {
      const { promptTokens, completionTokens, totalDurationMs } = verdict.usage
      return (
        sql.finish.run(seq, attempt, now, 'done', null, null, promptTokens, completionTokens, totalDurationMs).changes >
        0
      )
    }
    case 'failed': {
      const { code, message } = verdict.failure
      return sql.finish.run(seq, attempt, now, 'failed', code, message, null, null, null).changes > 0
    }
    case 'cancelled':
      return sql.finish.run(seq, attempt, now, 'cancelled', null, null, null, null, null).changes > 0
    default:
      return verdict satisfies never
  }
}

/** The queue of one database. `maxQueue` bounds the waiting jobs. */
export const createQueue = ({ db, ledger, maxQueue }: { db: Database; ledger: Ledger; maxQueue: number }): Queue => {
  const sql = statements(db)
  // Kept beside the table because counting 10,000 rows at every submit would cost 0.5 ms.
  let queued = sql.queued.get()?.n ?? 0

  const insert = (job: NewJob, now: number): number => {
    const { id, kind, endpoint, model, residencyKey, maxAttempts, webhookUrl } = job
    const { lastInsertRowid } = sql.insert.run(id, kind, endpoint, model, residencyKey, maxAttempts, webhookUrl, now)
    const seq = Number(lastInsertRowid)
    if (job.request !== null) sql.insertRequest.run(seq, job.request)
    return seq
  }

  const claim = ({ now, loadedKey, preferredKey, agedBefore }: ClaimQuery): Claimed => {
    sql.ripen.run(now)
    const row = sql.claim.get(now, agedBefore ?? -1, preferredKey ?? '')
    if (row === null) return { kind: 'idle', nextDueAt: sql.nextDue.get()?.at ?? null }
    if (row.residency_key !== loadedKey) return { kind: 'job', job: activeJob(row) }
    // Every job passes `loading`, even for no time at all.
    sql.advance.run(row.seq, row.attempt, now)
    return { kind: 'job', job: activeJob({ ...row, state: 'working' }) }
  }

  return {
    async submit(job, now) {
      if (queued >= maxQueue) return { kind: 'full' }
      queued++
      try {
        return { kind: 'accepted', seq: await ledger.write(durabilityOf(job.kind), () => insert(job, now)) }
      } catch (error) {
        queued--
        throw error
      }
    },
    async claim(query) {
      const claimed = await ledger.write('quick', () => claim(query))
      if (claimed.kind === 'job') queued--
      return claimed
    },
    advance: (job, now) => ledger.write('quick', () => sql.advance.run(job.seq, job.attempt, now).changes > 0),
    async settle(job, verdict, now, artifacts = []) {
      const settled = await ledger.write(durabilityOf(job.kind), () => {
        if (!applyVerdict(sql, job, verdict, now)) return false
        for (const { name, contentType, body } of artifacts) sql.insertArtifact.run(job.seq, name, contentType, body)
        return true
      })
      if (settled && verdict.to === 'queued') queued++
      return settled
    },
    async withdraw(id, reason, now) {
      const state = reason === 'cancelled' ? reason : 'failed'
      const [code, message] = reason === 'cancelled' ? [null, null] : [reason.code, reason.message]
      const taken = await ledger.write('quick', () => sql.withdraw.run(id, state, code, message, now).changes > 0)
      if (taken) queued--
      return taken
    },
    recover(now) {
      const recovered = db
        .transaction(() => ({
          abandoned: sql.abandonSync.run(now, failure('abandoned').message).changes,
          exhausted: sql.exhaust.run(now, failure('attempts_exhausted').message).changes,
          requeued: sql.requeueInterrupted.run(now).changes,
        }))
        .immediate()
      queued = sql.queued.get()?.n ?? 0
      return recovered
    },
    hasReady: (residencyKey) => sql.hasReady.get(residencyKey) !== null,
    isEmpty: () => queued === 0,
    requestBody: (seq) => sql.requestBody.get(seq)?.body ?? null,
    counts: () => ({ queued, oldestCreatedAt: sql.oldest.get()?.created_at ?? null }),
  }
}
