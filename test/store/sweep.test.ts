/** Sweeping: only what is past its time goes, in steps of at most 200, and the space comes back. */
import { afterAll, beforeEach, expect, test } from 'bun:test'
import { statSync } from 'node:fs'
import { systemClock } from '../../src/clock.ts'
import { createOutbox } from '../../src/store/outbox.ts'
import { figure } from '../support/figures.ts'
import { dueNow } from '../support/owed.ts'
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

/** Steps until a step deletes nothing. */
const sweepAll = async (completedBefore = 100_000): Promise<number[]> => {
  const steps: number[] = []
  for (let step = 1; step > 0; ) {
    step = await store.sweep.deleteFinished(completedBefore)
    if (step > 0) steps.push(step)
  }
  return steps
}
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)

test('at most 200 jobs go per step, the oldest first, with everything that belongs to them', async () => {
  addFinished(500)
  const first = await store.sweep.deleteFinished(10_000)
  expect(first).toBeGreaterThan(0)
  expect(store.rows()[0]?.id).toBe(`j${first + 1}`)
  const steps = [first, ...(await sweepAll())]
  expect(Math.max(...steps)).toBeLessThanOrEqual(200)
  expect(sum(steps)).toBe(500)
  expect([count('jobs'), count('requests'), count('artifacts')]).toEqual([0, 0, 0])
})

test('large artifacts make a step smaller, not longer', async () => {
  addFinished(100, 512 * 1024)
  const steps: { n: number; ms: number }[] = []
  while (count('jobs') !== 0) {
    const startedMs = performance.now()
    const n = await store.sweep.deleteFinished(10_000)
    steps.push({ n, ms: performance.now() - startedMs })
  }
  const longestMs = Math.max(...steps.map(({ ms }) => ms))
  figure('sweep', `100 jobs of 1 MiB: ${steps.length} steps, longest ${longestMs.toFixed(1)} ms`)
  expect(steps.length).toBeGreaterThan(1)
  expect(longestMs).toBeLessThan(50)
})

test('what is not past its time stays, and so does everything unfinished', async () => {
  addFinished(10)
  store.restart()
  await store.queue.submit(newJob('waiting'), 0)
  expect(await store.sweep.deleteFinished(4)).toBe(4)
  expect(store.rows().map(({ id }) => id)).toEqual(['j5', 'j6', 'j7', 'j8', 'j9', 'j10', 'waiting'])
})

test('a job that owes a webhook stays until it is told or given up, and hides nothing behind it', async () => {
  const outbox = createOutbox({ db: store.db, ledger: store.ledger, clock: systemClock })
  for (let i = 0; i < 900; i++) {
    // The first 450 owe theirs.
    const job = newJob(`h${i}`, { webhookUrl: i < 450 ? 'http://127.0.0.1:9/' : null })
    await store.queue.submit(job, i)
    await store.queue.withdraw(job.id, 'cancelled', i)
  }
  expect(sum(await sweepAll())).toBe(450)
  expect([count('jobs'), outbox.owed()]).toEqual([450, 450])
  for (const [i, owed] of dueNow(outbox, 10_000, 450).entries())
    await (i % 2 === 0 ? outbox.giveUp(owed, 'nobody there') : outbox.accepted(owed))
  // Each of them owes its second webhook still.
  expect(await sweepAll()).toEqual([])
  for (const owed of dueNow(outbox, 10_000, 450)) await outbox.accepted(owed)
  expect(sum(await sweepAll())).toBe(450)
  expect([count('jobs'), count('transitions'), count('webhooks')]).toEqual([0, 0, 0])
})

test('a step that finds nothing but jobs that owe does not hold the event loop', async () => {
  store.db.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, webhook_url, created_at, updated_at)
    SELECT 'o' || i, 'async', '/api/chat', 'm', 'm', 3, 'http://127.0.0.1:9/', i, i FROM n`)
  store.db.run(`UPDATE jobs SET state = 'cancelled', completed_at = created_at WHERE state = 'queued'`)
  let longestMs = 0
  let lookedMs = performance.now()
  let isOver = false
  const look = () => {
    longestMs = Math.max(longestMs, performance.now() - lookedMs)
    lookedMs = performance.now()
    if (!isOver) setImmediate(look)
  }
  look()
  for (let i = 0; i < 12; i++) expect(await store.sweep.deleteFinished(100_000)).toBe(0)
  isOver = true
  figure('sweep', `longest turn over 20,000 jobs that owe: ${longestMs.toFixed(1)} ms`)
  expect(longestMs).toBeLessThan(20)
})

test('the key of a job goes with it, and may then name another', async () => {
  const idempotency = { key: 'k', fingerprint: new Uint8Array(32) }
  await store.queue.submit(newJob('first', { idempotency }), 0)
  expect(await store.queue.submit(newJob('twin', { idempotency }), 0)).toEqual({ kind: 'known', jobId: 'first' })
  await store.queue.withdraw('first', 'cancelled', 1)
  expect(await store.sweep.deleteFinished(1)).toBe(1)
  expect(await store.queue.submit(newJob('second', { idempotency }), 2)).toMatchObject({ kind: 'accepted' })
})

test('the space of what was deleted goes back to the file system in small steps', async () => {
  addFinished(400, 8_192)
  store.db.run('PRAGMA wal_checkpoint(TRUNCATE)')
  const before = statSync(store.path).size
  await sweepAll()
  let steps = 0
  while (await store.sweep.shrink()) steps++
  store.db.run('PRAGMA wal_checkpoint(TRUNCATE)')
  expect(steps).toBeGreaterThan(5)
  expect(statSync(store.path).size).toBeLessThan(before / 4)
})
