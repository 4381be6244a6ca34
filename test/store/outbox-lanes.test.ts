/** Proves that a long backlog for one receiver costs the others nothing. */
import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../../src/store/database.ts'
import { createLedger } from '../../src/store/ledger.ts'
import { createOutbox } from '../../src/store/outbox.ts'

test('with 10,000 owed to a receiver that hangs, what is owed to another is found in a few milliseconds', () => {
  const folder = mkdtempSync(join(tmpdir(), 'foreman-outbox-'))
  const opened = openDatabase(join(folder, 'foreman.db'))
  if (opened.kind === 'refused') throw new Error(opened.message)
  const { db } = opened
  const outbox = createOutbox({ db, ledger: createLedger(db) })
  const insert = db.query(
    `INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, webhook_url, created_at, updated_at)
     VALUES (?1, 'async', '/api/chat', 'm', 'm', 3, ?2, 1, 1)`,
  )
  db.transaction(() => {
    for (let i = 0; i < 10_000; i++) insert.run(`hung${i}`, 'https://hanging.test:9/hook?a=/b')
    insert.run('good', 'http://g/')
  })()
  const busy = new Set([1])
  const full = new Set(['https://hanging.test:9'])
  const startedMs = performance.now()
  for (let i = 0; i < 20; i++) expect(outbox.due(2, 255, busy, full).map(({ jobId }) => jobId)).toEqual(['good'])
  expect((performance.now() - startedMs) / 20).toBeLessThan(5)
  expect(outbox.due(2, 3, busy, new Set(['http://other'])).map(({ jobId }) => jobId)).toEqual([
    'hung1',
    'hung2',
    'hung3',
  ])
  expect(outbox.due(2, 3, busy, new Set()).map(({ jobId }) => jobId)).toEqual(['hung1', 'hung2', 'hung3'])
  db.close()
  rmSync(folder, { recursive: true })
})
