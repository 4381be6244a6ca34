/** What POST /jobs is measured against, a process of its own: one Elysia route and one INSERT, on disk before it answers, and nothing else. */
import { Database } from 'bun:sqlite'
import { Elysia } from 'elysia'
import { ulid } from 'ulid'
import { openDatabase } from '../src/store/database.ts'
import { queueStatements } from '../src/store/queue-statements.ts'

const path = process.argv[2] ?? ''
const db = new Database(path, { create: true, strict: true })
db.run('PRAGMA journal_mode = WAL')
db.run('PRAGMA synchronous = FULL')
db.run('PRAGMA wal_autocheckpoint = 8000')
db.run('CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL, created_at INTEGER)')
const begin = db.query('BEGIN IMMEDIATE')
const insert = db.query('INSERT INTO jobs (id, body, created_at) VALUES (?1, ?2, ?3)')
const commit = db.query('COMMIT')

interface Waiting {
  readonly id: string
  readonly body: Uint8Array
  readonly resolve: () => void
}
let waiting: Waiting[] = []

const flush = () => {
  const batch = waiting
  waiting = []
  begin.run()
  for (const { id, body } of batch) insert.run(id, body, Date.now())
  commit.run()
  for (const { resolve } of batch) resolve()
}

/** What a job is in a foreman's database, inserted directly. */
const createSameRows = () => {
  const opened = openDatabase(`${path}-foreman`)
  if (opened.kind === 'refused') throw new Error(opened.message)
  const sql = queueStatements(opened.db)
  return opened.db.transaction((id: string, body: Uint8Array) => {
    const now = Date.now()
    const { lastInsertRowid } = sql.insert.run(id, 'async', '/api/chat', 'bench', 'bench', 3, null, null, now)
    sql.insertRequest.run(Number(lastInsertRowid), body)
  })
}
const insertSameRows = createSameRows()

const bytesOf = async (request: Request) => new Uint8Array(await request.arrayBuffer())
const accepted = (id: string) => Response.json({ job_id: id, state: 'queued' }, { status: 202 })

const app = new Elysia({ serve: { development: false, idleTimeout: 0 } })
  .post(
    '/jobs',
    async ({ request }) => {
      const body = await bytesOf(request)
      const id = ulid()
      await new Promise<void>((resolve) => {
        waiting.push({ id, body, resolve })
        if (waiting.length === 1) setImmediate(flush)
      })
      return accepted(id)
    },
    { parse: 'none' },
  )
  .post(
    '/direct',
    async ({ request }) => {
      const id = ulid()
      // A transaction of its own, as every single statement is.
      insert.run(id, await bytesOf(request), Date.now())
      return accepted(id)
    },
    { parse: 'none' },
  )
  .post(
    '/same-rows',
    async ({ request }) => {
      const id = ulid()
      insertSameRows.immediate(id, await bytesOf(request))
      return accepted(id)
    },
    { parse: 'none' },
  )
  .listen({ hostname: '127.0.0.1', port: 0 })
process.send?.({ ready: true, port: app.server?.port })
