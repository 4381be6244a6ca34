/** The queue's SQL, one statement an action; it decides nothing. */
import type { Database, Statement } from 'bun:sqlite'
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
  created_at: number
}

const READY = `state = 'queued' AND not_before IS NULL`
// INDEXED BY keeps the planner on the partial indexes: after an ANALYZE it would scan the table for 800 ms.
// The plus in `+?1` keeps a statement prepared: a bare parameter that a partial index is matched against makes SQLite
// plan it anew at every call (a claim: 82 instead of 13 us).
const OLDEST = `FROM jobs INDEXED BY jobs_ready WHERE ${READY} ORDER BY seq LIMIT 1`

/** The oldest ready job of the first of these keys that has one: a look into the index for each. */
const firstOf = (keys: readonly string[]): string[] =>
  keys.map(
    (key) => `(SELECT seq FROM jobs INDEXED BY jobs_ready_by_key WHERE ${READY} AND residency_key = +${key}
      ORDER BY seq LIMIT 1)`,
  )

const RETURNING = `RETURNING seq, id, kind, endpoint, model, residency_key, state, slot, attempt, max_attempts, deferrals,
    webhook_url IS NOT NULL AS has_webhook, created_at`

const claimSql = (residentKeys: number) => `UPDATE jobs SET
    state = 'loading', slot = ?3, attempt = attempt + 1, started_at = coalesce(started_at, ?1), updated_at = ?1
  WHERE seq = coalesce(
      (SELECT CASE WHEN created_at <= ?2 THEN seq END ${OLDEST}),
      ${firstOf(Array.from({ length: residentKeys }, (_, i) => `?${i + 5}`)).join(',\n      ')},
      (SELECT seq ${OLDEST}))
    AND (?4 IS NULL OR residency_key = +?4)
  ${RETURNING}`

// A target holds a handful of models at once.
const RESIDENT_KEYS_MAX = 32

/**
 * Puts the job that is next into `slot`; null when none is ready, or when it has another key than `activeKey`. One statement for 1, 2, 4 ...
 * resident keys, so that few are ever prepared.
 */
const createClaim = (db: Database) => {
  const prepared = new Map<number, Statement<JobRow, (string | number | null)[]>>()
  const statementFor = (keys: number) => {
    const known = prepared.get(keys)
    if (known !== undefined) return known
    const made = db.query<JobRow, (string | number | null)[]>(claimSql(keys))
    prepared.set(keys, made)
    return made
  }
  statementFor(1)
  return (now: number, agedBefore: number, slot: number, activeKey: string | null, residentKeys: readonly string[]) => {
    const keys = residentKeys.slice(0, RESIDENT_KEYS_MAX)
    const places = 2 ** Math.ceil(Math.log2(Math.max(1, keys.length)))
    while (keys.length < places) keys.push(keys[0] ?? '')
    return statementFor(places).get(now, agedBefore, slot, activeKey, ...keys)
  }
}

/** Every statement that changes the queue, prepared. */
export const queueStatements = (db: Database) => ({
  insert: db.query<unknown, (string | number | null)[]>(`INSERT INTO jobs
    (id, kind, endpoint, model, residency_key, max_attempts, webhook_url, webhook_states, created_at, updated_at, fallback)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)`),
  knownKey: db.query<{ fingerprint: Uint8Array; id: string }, [string]>(`SELECT k.fingerprint AS fingerprint, j.id AS id
    FROM idempotency_keys k JOIN jobs j ON j.seq = k.job_seq WHERE k.key = ?1`),
  insertKey: db.query('INSERT INTO idempotency_keys (key, fingerprint, job_seq) VALUES (?1, ?2, ?3)'),
  insertRequest: db.query('INSERT INTO requests (job_seq, body) VALUES (?1, ?2)'),
  insertArtifact: db.query('INSERT INTO artifacts (job_seq, name, content_type, body) VALUES (?1, ?2, ?3, ?4)'),
  // A backoff that is over makes its job ready again, at its old place.
  ripen: db.query(`UPDATE jobs INDEXED BY jobs_backing_off SET not_before = NULL
    WHERE state = 'queued' AND not_before IS NOT NULL AND not_before <= +?1`),
  claim: createClaim(db),
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
  moveAside: db.query(`UPDATE jobs SET slot = ?3, updated_at = ?4 WHERE seq = ?1 AND attempt = ?2 AND slot < 1000`),
  forFallback: db.query<
    JobRow,
    [number]
  >(`SELECT seq, id, kind, endpoint, model, residency_key, state, 0 AS slot, attempt, max_attempts,
      deferrals, webhook_url IS NOT NULL AS has_webhook, created_at FROM jobs INDEXED BY jobs_fallback
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
  hasReady: db.query(`SELECT 1 FROM jobs INDEXED BY jobs_ready_by_key WHERE ${READY} AND residency_key = +?1 LIMIT 1`),
  requestBody: db.query<{ body: Uint8Array }, [number]>('SELECT body FROM requests WHERE job_seq = ?1'),
  // Two small indexes instead of the table: 15 ms of 1,000,000 jobs instead of 300.
  queued: db.query<{ n: number }, []>(`SELECT (SELECT count(*) FROM jobs INDEXED BY jobs_ready WHERE ${READY})
    + (SELECT count(*) FROM jobs INDEXED BY jobs_backing_off WHERE state = 'queued' AND not_before IS NOT NULL) AS n`),
  oldest: db.query<{ created_at: number }, []>(`SELECT created_at ${OLDEST}`),
})

export type QueueStatements = ReturnType<typeof queueStatements>
