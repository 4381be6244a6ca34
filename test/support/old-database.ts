/** Databases as earlier schemas left them, with a row of every kind; and a look at what a migration must keep. */
import { Database } from 'bun:sqlite'
import { migrations } from '../../src/store/migrate.ts'

/** Schemas that a foreman in the field may have. */
export const oldSchemas = [1, 2, 3] as const
export type OldSchema = (typeof oldSchemas)[number]

const HOOK = 'http://receiver.lan:9000/hook'

/** How a job was left: the states it went through, and what else it has. */
interface Story {
  readonly name: string
  readonly path: readonly string[]
  readonly kind?: 'sync'
  readonly notBefore?: number
  readonly hook?: boolean
}

const stories: readonly Story[] = [
  { name: 'waits', path: [], hook: true },
  { name: 'waits-quietly', path: [] },
  { name: 'call-waits', path: [], kind: 'sync' },
  { name: 'backs-off', path: ['loading', 'queued'], notBefore: 9_000, hook: true },
  { name: 'call-backs-off', path: ['loading', 'queued'], notBefore: 9_000, kind: 'sync' },
  { name: 'done', path: ['loading', 'working', 'done'], hook: true },
  { name: 'call-done', path: ['loading', 'working', 'done'], kind: 'sync' },
  { name: 'failed', path: ['loading', 'failed'], hook: true },
  { name: 'cancelled', path: ['cancelled'] },
]

const insertSql = `INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, webhook_url, created_at, updated_at)
  VALUES (?1, ?2, '/api/chat', 'm', 'registry.ollama.ai/library/m:latest', 3, ?3, ?4, ?4)`

const statementsOf = (db: Database) => ({
  insert: db.query<unknown, [string, string, string | null, number]>(insertSql),
  move: db.query<unknown, [string, string, number]>(`UPDATE jobs SET state = ?2, updated_at = ?3,
      attempt = attempt + (?2 = 'loading'), started_at = CASE ?2 WHEN 'loading' THEN ?3 ELSE started_at END,
      completed_at = CASE WHEN ?2 IN ('done', 'failed', 'cancelled') THEN ?3 END,
      error_code = CASE ?2 WHEN 'failed' THEN 'broke_off' END, error_message = CASE ?2 WHEN 'failed' THEN 'it broke off' END,
      completion_tokens = CASE ?2 WHEN 'done' THEN 7 END
    WHERE id = ?1`),
  backOff: db.query<unknown, [string, number]>('UPDATE jobs SET not_before = ?2 WHERE id = ?1'),
  request: db.query(`INSERT INTO requests SELECT seq, CAST('{"id":"' || id || '"}' AS BLOB) FROM jobs WHERE id = ?1`),
  artifact: db.query(
    `INSERT INTO artifacts SELECT seq, 'completion', 'application/json', zeroblob(200) FROM jobs WHERE id = ?1`,
  ),
})

const tell = (db: Database, statements: ReturnType<typeof statementsOf>, { name, ...story }: Story, at: number) => {
  const { path, kind = 'async', notBefore, hook = false } = story
  statements.insert.run(name, kind, hook ? HOOK : null, at)
  for (const [i, state] of path.entries()) statements.move.run(name, state, at + i + 1)
  if (notBefore !== undefined) statements.backOff.run(name, notBefore)
  if (kind === 'async') statements.request.run(name)
  if (path.at(-1) === 'done' && kind === 'async') statements.artifact.run(name)
  return db
}

/** What receivers have been told: of every third job nothing, of the others one transition, of some all. */
const deliver = (db: Database, schema: OldSchema) => {
  if (schema === 2) {
    db.run(`UPDATE deliveries SET state = 'accepted', due_at = NULL WHERE sequence = 1 AND job_seq % 3 > 0`)
    db.run(`UPDATE deliveries SET state = 'given_up', due_at = NULL WHERE job_seq % 3 = 2 AND state = 'owed'`)
    db.run('UPDATE deliveries SET tries = 2, due_at = 77 WHERE due_at = 0')
  }
  if (schema === 3) {
    db.run('UPDATE webhooks SET sequence = 2, tries = 2, due_at = 77 WHERE job_seq % 3 = 1')
    db.run(`UPDATE webhooks SET due_at = NULL,
      sequence = (SELECT max(sequence) + 1 FROM transitions t WHERE t.job_seq = webhooks.job_seq) WHERE job_seq % 3 = 2`)
  }
}

/** Writes `rounds` times every story, and one job that is `active`; the file is closed again. */
export const createOldDatabase = (path: string, schema: OldSchema, active: 'loading' | 'working', rounds = 1): void => {
  const db = new Database(path, { create: true, strict: true })
  db.run('PRAGMA page_size = 2048')
  db.run('PRAGMA auto_vacuum = INCREMENTAL')
  db.run('PRAGMA journal_mode = WAL')
  db.run('PRAGMA foreign_keys = ON')
  for (const sql of migrations.slice(0, schema)) db.run(sql)
  db.run(`PRAGMA user_version = ${schema}`)
  db.transaction(() => {
    const statements = statementsOf(db)
    for (let round = 0; round < rounds; round++)
      for (const [i, story] of stories.entries())
        tell(db, statements, { ...story, name: `${story.name}-${round}` }, 1_000 + round * 100 + i * 10)
    const path = active === 'loading' ? ['loading'] : ['loading', 'working']
    tell(db, statements, { name: 'active', path, hook: true }, 500)
    if (schema > 1)
      db.run(
        `INSERT INTO idempotency_keys SELECT 'key of ' || id, x'0102', seq FROM jobs WHERE kind = 'async' AND seq % 2 = 0`,
      )
    deliver(db, schema)
  })()
  db.close()
}

const KEPT = `seq, id, kind, endpoint, model, residency_key, state, attempt, max_attempts, deferrals, not_before, webhook_url, error_code,
  error_message, prompt_tokens, completion_tokens, total_duration_ms, created_at, started_at, completed_at, updated_at`

/** Every row that a migration must leave as it is, by table; tables that a schema has not are left out. */
export const keptRows = (db: Database): Record<string, unknown[]> => {
  const has = (table: string) => db.query('SELECT 1 FROM sqlite_schema WHERE name = ?1').get(table) !== null
  const tables = ['requests', 'artifacts', 'transitions', 'idempotency_keys'].filter(has)
  return {
    jobs: db.query(`SELECT ${KEPT} FROM jobs ORDER BY seq`).values(),
    ...Object.fromEntries(tables.map((table) => [table, db.query(`SELECT * FROM ${table} ORDER BY 1, 2`).all()])),
  }
}

/** What each receiver is owed next, as schema 1 (everything), 2 or 3 and later say it: job, sequence, tries, due time. */
export const owedRows = (db: Database): unknown[][] => {
  const has = (table: string) => db.query('SELECT 1 FROM sqlite_schema WHERE name = ?1').get(table) !== null
  if (has('webhooks'))
    return db
      .query('SELECT job_seq, sequence, tries, due_at FROM webhooks WHERE due_at IS NOT NULL ORDER BY 1')
      .values()
  if (has('deliveries'))
    return db
      .query('SELECT job_seq, sequence, tries, due_at FROM deliveries WHERE due_at IS NOT NULL ORDER BY 1')
      .values()
  return db.query('SELECT seq, 1, 0, updated_at FROM jobs WHERE webhook_url IS NOT NULL ORDER BY 1').values()
}
