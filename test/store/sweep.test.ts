/** Sweeping: only what is past its time goes, in steps of at most 200, and the space comes back. */
import { afterAll, beforeEach, expect, test } from 'bun:test'
import { statSync } from 'node:fs'
import { createTestStore, newJob } from '../support/store.ts'

const store = createTestStore({ fast: true })
afterAll(store.close)
beforeEach(store.clear)

/** Cancelled jobs with a request each; job `i` was completed at `i`. */
const addFinished = (count: number, bodyBytes = 1) => {
  store.db.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
    INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
    SELECT 'j' || i, 'async', '/api/chat', 'm', 'm', 3, i, i FROM n`)
  store.db.run(`UPDATE jobs SET state = 'cancelled', completed_at = created_at WHERE state = 'queued'`)
  store.db.run(`INSERT INTO requests SELECT seq, zeroblob(${bodyBytes}) FROM jobs`)
  store.db.run(`INSERT INTO artifacts SELECT seq, 'completion', 'text/plain', zeroblob(${bodyBytes}) FROM jobs`)
}

const count = (table: string) => store.db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n

test('at most 200 jobs go per step, the oldest first, with everything that belongs to them', () => {
  addFinished(500)
  const steps: number[] = []
  for (let step = 1; step > 0; ) {
    step = store.sweep.deleteFinished(10_000)
    steps.push(step)
    if (steps.length === 1) expect(store.rows()[0]?.id).toBe('j201')
  }
  expect(steps).toEqual([200, 200, 100, 0])
  expect([count('jobs'), count('requests'), count('artifacts')]).toEqual([0, 0, 0])
})

test('what is not past its time stays, and so does everything unfinished', async () => {
  addFinished(10)
  await store.queue.submit(newJob('waiting'), 0)
  expect(store.sweep.deleteFinished(4)).toBe(4)
  expect(store.rows().map(({ id }) => id)).toEqual(['j5', 'j6', 'j7', 'j8', 'j9', 'j10', 'waiting'])
})

test('the space of what was deleted goes back to the file system in small steps', () => {
  addFinished(400, 8_192)
  store.sweep.checkpoint()
  const before = statSync(store.path).size
  while (store.sweep.deleteFinished(10_000) > 0);
  let steps = 0
  while (store.sweep.shrink()) steps++
  store.sweep.checkpoint()
  expect(steps).toBeGreaterThan(5)
  expect(statSync(store.path).size).toBeLessThan(before / 4)
})

test('a checkpoint empties the write-ahead log', () => {
  addFinished(100)
  expect(statSync(`${store.path}-wal`).size).toBeGreaterThan(0)
  store.sweep.checkpoint()
  expect(statSync(`${store.path}-wal`).size).toBe(0)
})
