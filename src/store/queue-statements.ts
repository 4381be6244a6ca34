/** The queue's SQL, one statement an action; it decides nothing. */
import type { Database } from 'bun:sqlite'
import type { JobKind } from '../domain/job/job.ts'

/** What a claim returns. */
export interface JobRow {
  seq: number
  id: string
  kind: JobKind
  endpoint: string
  model: string
  residency_key: string
  state: 'loading' | 'working'
  slot: number
  attempt: number
  max_attempts: number
  deferrals: number
  has_webhook: 0 | 1
  fallback: 'auto' | null
  created_at: number
}

const READY = `state = 'queued' AND not_before IS NULL`
// INDEXED BY keeps the planner on the partial indexes: after an ANALYZE it would scan the table for 800 ms.
// The plus in `+?1` keeps a statement prepared: a bare parameter that a partial index is matched against makes SQLite
// plan it anew at every call (a claim: 82 instead of 13 us).
const OLDEST = `FROM jobs INDEXED BY jobs_ready WHERE ${READY} ORDER BY seq LIMIT 1`
const RETURNING = `RETURNING seq, id, kind, endpoint, model, residency_key, state, slot, attempt, max_attempts, deferrals,
    webhook_url IS NOT NULL AS has_webhook, fallback, created_at`
const PLACE = 'seq, created_at AS createdAt, residency_key AS residencyKey'

/** Where a waiting job stands. */
export interface Place {
  readonly seq: number
  readonly createdAt: number
  readonly residencyKey: string
}

/** Every statement that changes the queue, prepared. */
export const queueStatements = (db: Database) => ({
  insert: db.query<unknown, (string | number | null)[]>(`INSERT INTO jobs
    (seq, id, kind, endpoint, model, residency_key, max_attempts, webhook_url, webhook_states, created_at, updated_at, fallback)
    VALUES (?1, ?2, 'async', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)`),
  /** A call is born on its slot. */
  bear: db.query<unknown, (string | number)[]>(`INSERT INTO jobs
    (seq, id, kind, endpoint, model, residency_key, state, slot, attempt, max_attempts, created_at, started_at, updated_at)
    VALUES (?1, ?2, 'sync', ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, ?10, ?10)`),
  lastSeq: db.query<{ seq: number | null }, []>('SELECT max(seq) AS seq FROM jobs'),
  knownKey: db.query<{ fingerprint: Uint8Array; id: string }, [string]>(`SELECT k.fingerprint AS fingerprint, j.id AS id
    FROM idempotency_keys k JOIN jobs j ON j.seq = k.job_seq WHERE k.key = ?1`),
  insertKey: db.query('INSERT INTO idempotency_keys (key, fingerprint, job_seq) VALUES (?1, ?2, ?3)'),
  insertRequest: db.query('INSERT INTO requests (job_seq, body) VALUES (?1, ?2)'),
  insertArtifact: db.query('INSERT INTO artifacts (job_seq, name, content_type, body) VALUES (?1, ?2, ?3, ?4)'),
  // A backoff that is over makes its job ready again, at its old place.
  ripen: db.query(`UPDATE jobs INDEXED BY jobs_backing_off SET not_before = NULL
    WHERE state = 'queued' AND not_before IS NOT NULL AND not_before <= +?1`),
  oldest: db.query<Place, []>(`SELECT ${PLACE} ${OLDEST}`),
  oldestOf: db.query<Place, [string]>(`SELECT ${PLACE} FROM jobs INDEXED BY jobs_ready_by_key
    WHERE ${READY} AND residency_key = +?1 ORDER BY seq LIMIT 1`),
  claim: db.query<JobRow, [number, number, number]>(`UPDATE jobs SET
      state = 'loading', slot = ?3, attempt = attempt + 1, started_at = coalesce(started_at, ?2), updated_at = ?2
    WHERE seq = ?1
    ${RETURNING}`),
  nextDue: db.query<{ at: number | null }, []>(`SELECT min(not_before) AS at FROM jobs INDEXED BY jobs_backing_off
    WHERE state = 'queued' AND not_before IS NOT NULL`),
  advance: db.query(`UPDATE jobs SET state = 'working', updated_at = ?3
    WHERE seq = ?1 AND attempt = ?2 AND state = 'loading'`),
  requeue: db.query(`UPDATE jobs SET state = 'queued', slot = NULL, attempt = attempt - ?4, deferrals = deferrals + ?5,
      not_before = ?6, updated_at = ?3
    WHERE seq = ?1 AND attempt = ?2 AND slot IS NOT NULL`),
  finish: db.query(`UPDATE jobs SET state = ?4, slot = NULL, error_code = ?5, error_message = ?6, prompt_tokens = ?7,
      completion_tokens = ?8, total_duration_ms = ?9, served_by = ?10, served_model = ?11, completed_at = ?3, updated_at = ?3
    WHERE seq = ?1 AND attempt = ?2 AND slot IS NOT NULL`),
  relieve: db.query('UPDATE jobs SET relief = ?2 WHERE seq = ?1'),
  withdraw: db.query(`UPDATE jobs SET state = ?2, error_code = ?3, error_message = ?4, not_before = NULL,
      completed_at = ?5, updated_at = ?5
    WHERE id = ?1 AND state = 'queued'`),
  // By index each: the table may hold a million that are over.
  abandonWaiting: db.query(`UPDATE jobs INDEXED BY jobs_waiting_sync SET state = 'failed', error_code = 'abandoned',
      error_message = ?2, not_before = NULL, completed_at = ?1, updated_at = ?1
    WHERE state = 'queued' AND kind = 'sync'`),
  abandonActive: db.query(`UPDATE jobs INDEXED BY jobs_slots SET state = 'failed', error_code = 'abandoned',
      error_message = ?2, slot = NULL, completed_at = ?1, updated_at = ?1
    WHERE slot IS NOT NULL AND kind = 'sync'`),
  exhaust: db.query(`UPDATE jobs SET state = 'failed', error_code = 'attempts_exhausted', error_message = ?2,
      slot = NULL, completed_at = ?1, updated_at = ?1
    WHERE slot IS NOT NULL AND attempt >= max_attempts`),
  requeueInterrupted: db.query(`UPDATE jobs SET state = 'queued', slot = NULL, updated_at = ?1 WHERE slot IS NOT NULL`),
  // Out of the line, or off its slot, into a lane (1000 and above): what runs there is in no key's way.
  takeAside: db.query<
    JobRow,
    [string, number, number]
  >(`UPDATE jobs SET slot = ?2, state = 'loading', attempt = attempt + 1, not_before = NULL,
      started_at = coalesce(started_at, ?3), updated_at = ?3
    WHERE id = ?1 AND state = 'queued' ${RETURNING}`),
  moveAside: db.query(
    `UPDATE jobs SET slot = ?3, state = 'working', updated_at = ?4 WHERE seq = ?1 AND attempt = ?2 AND slot < 1000`,
  ),
  forFallback: db.query<
    JobRow,
    [number]
  >(`SELECT seq, id, kind, endpoint, model, residency_key, state, 0 AS slot, attempt, max_attempts,
      deferrals, webhook_url IS NOT NULL AS has_webhook, fallback, created_at FROM jobs INDEXED BY jobs_fallback
    WHERE state = 'queued' AND fallback IS NOT NULL ORDER BY seq LIMIT ?1`),
  // Jobs that hold a slot although nobody runs them; `?1` is a JSON list of the ids that somebody does run.
  strandedSync: db.query(`UPDATE jobs SET state = 'failed', error_code = 'abandoned', error_message = ?3,
      slot = NULL, completed_at = ?2, updated_at = ?2
    WHERE slot < 1000 AND kind = 'sync' AND id NOT IN (SELECT value FROM json_each(?1))`),
  strandedSpent: db.query(`UPDATE jobs SET state = 'failed', error_code = 'attempts_exhausted', error_message = ?3,
      slot = NULL, completed_at = ?2, updated_at = ?2
    WHERE slot < 1000 AND attempt >= max_attempts AND id NOT IN (SELECT value FROM json_each(?1))`),
  stranded: db.query(`UPDATE jobs SET state = 'queued', slot = NULL, updated_at = ?2
    WHERE slot < 1000 AND id NOT IN (SELECT value FROM json_each(?1))`),
  dropSlots: db.query('DELETE FROM slots WHERE slot >= ?1 AND slot < 1000'),
  addSlot: db.query('INSERT OR IGNORE INTO slots (slot) VALUES (?1)'),
  requestBody: db.query<{ body: Uint8Array }, [number]>('SELECT body FROM requests WHERE job_seq = ?1'),
  // Two small indexes instead of the table: 15 ms of 1,000,000 jobs instead of 300.
  queued: db.query<{ n: number }, []>(`SELECT (SELECT count(*) FROM jobs INDEXED BY jobs_ready WHERE ${READY})
    + (SELECT count(*) FROM jobs INDEXED BY jobs_backing_off WHERE state = 'queued' AND not_before IS NOT NULL) AS n`),
})

export type QueueStatements = ReturnType<typeof queueStatements>
