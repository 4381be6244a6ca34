/** Fills a database with finished jobs beside the queue, in pieces: through it a million would take ten minutes. */
import type { Database } from 'bun:sqlite'

export const KEY = 'registry.ollama.ai/library/bench:latest'

const FILL_AT_ONCE = 50_000
const BODY_BYTES = 300
const AGE_MS = 2 * 3_600_000

/** So many jobs, done within the last two hours: due to a sweep after one, and to no foreman with its own settings. */
export const fillFinished = (db: Database, jobs: number): void => {
  const first = Date.now() - AGE_MS
  const triggers = db
    .query<{ name: string; sql: string }, []>(
      `SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'jobs'`,
    )
    .all()
  const pieces = (sql: string) => {
    for (let from = 1; from <= jobs; from += FILL_AT_ONCE)
      db.run(
        `WITH RECURSIVE i (i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM i WHERE i < ${Math.min(jobs, from + FILL_AT_ONCE - 1)}),
          n (i, at) AS (SELECT i, ${first} + i FROM i) ${sql}`,
      )
  }
  db.run('PRAGMA synchronous = OFF')
  for (const { name } of triggers) db.run(`DROP TRIGGER ${name}`)
  pieces(`INSERT INTO jobs (seq, id, kind, endpoint, model, residency_key, state, attempt, max_attempts, created_at,
      started_at, completed_at, updated_at)
    SELECT i, printf('01BENCH%019d', i), 'async', '/api/chat', 'bench', '${KEY}', 'done', 1, 3, at, at, at, at FROM n`)
  pieces(`INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at)
    SELECT i, s.column1, s.column2, s.column3, 1, at FROM n CROSS JOIN (VALUES (1, NULL, 'queued'), (2, 'queued', 'loading'),
      (3, 'loading', 'working'), (4, 'working', 'done')) AS s`)
  pieces(`INSERT INTO requests (job_seq, body) SELECT i, zeroblob(${BODY_BYTES}) FROM n`)
  pieces(`INSERT INTO artifacts (job_seq, name, content_type, body)
    SELECT i, 'result', 'application/json', zeroblob(${BODY_BYTES}) FROM n`)
  for (const { sql } of triggers) db.run(sql)
  // In this order: the checkpoint puts the whole file on disk, which the sweep's first one would do otherwise, in 90 ms.
  db.run('PRAGMA synchronous = FULL')
  db.run('PRAGMA wal_checkpoint(TRUNCATE)')
}
