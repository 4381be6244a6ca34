/** What POST /jobs is measured against, a process of its own: one Elysia route and one INSERT, on disk in a group before it answers, and nothing else. */
import { Database } from 'bun:sqlite'
import { Elysia } from 'elysia'
import { ulid } from 'ulid'

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

const app = new Elysia({ serve: { development: false, idleTimeout: 0 } })
  .post(
    '/jobs',
    async ({ request }) => {
      const body = new Uint8Array(await request.arrayBuffer())
      const id = ulid()
      await new Promise<void>((resolve) => {
        waiting.push({ id, body, resolve })
        if (waiting.length === 1) setImmediate(flush)
      })
      return Response.json({ job_id: id, state: 'queued' }, { status: 202 })
    },
    { parse: 'none' },
  )
  .listen({ hostname: '127.0.0.1', port: 0 })
process.send?.({ ready: true, port: app.server?.port })
