/** The outbox owes each transition once and in order, whatever came of the one before, and says so after an upgrade too. */

import { Database } from 'bun:sqlite'
import { afterAll, afterEach, beforeEach, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import { noUsage } from '../../src/domain/job/job.ts'
import { migrations } from '../../src/store/migrate.ts'
import { createOutbox } from '../../src/store/outbox.ts'
import { createReader } from '../../src/store/reader.ts'
import { dueNow, nextDueAt } from '../support/owed.ts'
import { createTestStore, newJob, opened, plainClaim, temporaryDirectory } from '../support/store.ts'

const store = createTestStore({ fast: true })
afterAll(store.close)
beforeEach(store.clear)
// What is owed is counted as it changes; whatever a test did, that is what a count of the rows says.
afterEach(() => {
  const counted = store.db.query('SELECT count(*) AS jobs FROM webhooks WHERE due_at IS NOT NULL').get()
  expect(store.db.query('SELECT jobs FROM webhooks_owed').get()).toEqual(counted)
})

const hook = { webhookUrl: 'https://receiver.test:9/hook?a=/b' }

const createRig = () => {
  const outbox = createOutbox({ db: store.db, ledger: store.ledger, clock: systemClock })
  const due = (now = 100) => dueNow(outbox, now)
  const shown = (now?: number) =>
    due(now).map(({ jobId, sequence, state, tries }) => `${jobId} ${sequence} ${state} ${tries}`)
  return { outbox, due, shown }
}

test('a transition is due when the one before is taken or given up, and at once when nothing is behind', async () => {
  const { outbox, due, shown } = createRig()
  await store.queue.submit(newJob('a', hook), 1)
  const claimed = await store.queue.claim({ ...plainClaim(2), loadedKeys: ['m-a'] })
  if (claimed.kind !== 'job') throw new Error('nothing to claim')
  expect(claimed.job.hasWebhook).toBe(true)
  expect(shown()).toEqual(['a 1 queued 0'])
  await outbox.accepted(due()[0]!)
  expect(shown()).toEqual(['a 2 loading 0'])
  await outbox.retryAt(due()[0]!, 50, 'it answered 500')
  expect([shown(49), shown(50)]).toEqual([[], ['a 2 loading 1']])
  await outbox.giveUp(due()[0]!, 'enough')
  expect(shown()).toEqual(['a 3 working 0'])
  await outbox.accepted(due()[0]!)
  expect([shown(), outbox.owed(), nextDueAt(outbox)]).toEqual([[], 0, null])
  await store.queue.settle(claimed.job, { to: 'done', usage: noUsage }, 7)
  expect([shown(6), shown(7), outbox.owed(), nextDueAt(outbox)]).toEqual([[], ['a 4 done 0'], 1, 7])
  await outbox.accepted(due()[0]!)
  expect([shown(), outbox.owed()]).toEqual([[], 0])
})

test('what came of a delivery is told once: the second word about it changes nothing', async () => {
  const { outbox, due, shown } = createRig()
  await store.queue.submit(newJob('a', hook), 1)
  await store.queue.withdraw('a', 'cancelled', 2)
  const [first] = due()
  await outbox.accepted(first!)
  await outbox.accepted(first!)
  await outbox.retryAt(first!, 9_999, 'late')
  expect(shown()).toEqual(['a 2 cancelled 0'])
})

test('of a list of states only those are owed, in their order and with the numbers they have among all', async () => {
  const { outbox, due, shown } = createRig()
  await store.queue.submit(newJob('a', { ...hook, webhookStates: ['working', 'done'] }), 1)
  expect([shown(), outbox.owed(), nextDueAt(outbox)]).toEqual([[], 0, null])
  const claimed = await store.queue.claim({ ...plainClaim(2), loadedKeys: [] })
  if (claimed.kind !== 'job') throw new Error('nothing to claim')
  expect(shown()).toEqual([])
  await store.queue.advance(claimed.job, 3)
  expect([shown(2), shown(3)]).toEqual([[], ['a 3 working 0']])
  await outbox.retryAt(due()[0]!, 50, 'it answered 500')
  await store.queue.settle(claimed.job, { to: 'done', usage: noUsage }, 7)
  expect(shown()).toEqual(['a 3 working 1'])
  expect(await outbox.accepted(due()[0]!)).toMatchObject({
    sequence: 4,
    state: 'done',
    previousState: 'working',
    tries: 0,
  })
  expect(shown()).toEqual(['a 4 done 0'])
  expect(await outbox.accepted(due()[0]!)).toBeNull()
  expect([shown(), outbox.owed()]).toEqual([[], 0])
})

test('what is not asked for and has happened meanwhile is passed over', async () => {
  const { outbox, due, shown } = createRig()
  await store.queue.submit(newJob('a', { ...hook, webhookStates: ['queued', 'failed'] }), 1)
  const claimed = await store.queue.claim(plainClaim(2))
  if (claimed.kind !== 'job') throw new Error('nothing to claim')
  await store.queue.advance(claimed.job, 3)
  await store.queue.settle(claimed.job, { to: 'done', usage: noUsage }, 7)
  expect(shown()).toEqual(['a 1 queued 0'])
  expect(await outbox.giveUp(due()[0]!, 'it answered 410')).toBeNull()
  expect([shown(), outbox.owed()]).toEqual([[], 0])
})

test('how a webhook stands can be read: what comes next, its tries, the last problem, and what was given up', async () => {
  const { outbox, due } = createRig()
  await store.queue.submit(newJob('a', hook), 1)
  await store.queue.withdraw('a', 'cancelled', 2)
  const reader = createReader(store.db)
  const stands = () => reader.webhook(reader.find('a')?.seq ?? 0)
  expect(stands()).toEqual({ states: null, sequence: 1, tries: 0, dueAt: 1, lastProblem: null, givenUp: 0 })
  await outbox.retryAt(due()[0]!, 50, 'it answered 500')
  expect(stands()).toEqual({
    states: null,
    sequence: 1,
    tries: 1,
    dueAt: 50,
    lastProblem: 'it answered 500',
    givenUp: 0,
  })
  const first = due()[0]!
  await outbox.giveUp(first, 'it answered 410')
  await outbox.giveUp(first, 'told twice')
  expect(stands()).toMatchObject({ sequence: 2, tries: 0, lastProblem: 'it answered 410', givenUp: 1 })
  await outbox.accepted(due()[0]!)
  expect(stands()).toMatchObject({ sequence: null, tries: 0, dueAt: null, lastProblem: 'it answered 410', givenUp: 1 })
})

test('a job without a webhook owes nothing', async () => {
  const { outbox, shown } = createRig()
  await store.queue.submit(newJob('a'), 1)
  await store.queue.submit(newJob('b', { kind: 'sync' }), 1)
  const claimed = await store.queue.claim(plainClaim(2))
  expect(claimed).toMatchObject({ kind: 'job', job: { hasWebhook: false } })
  expect([shown(), outbox.owed()]).toEqual([[], 0])
})

test('a database of schema 2 keeps what it owes: told, half told and not told', () => {
  const folder = temporaryDirectory()
  const path = join(folder, 'foreman.db')
  const old = new Database(path, { create: true, strict: true })
  for (const sql of migrations.slice(0, 2)) old.run(sql)
  old.run('PRAGMA user_version = 2')
  const insert =
    old.query(`INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, webhook_url, created_at, updated_at)
    VALUES (?1, 'async', '/api/chat', 'm', 'm', 3, ?2, 1, 1)`)
  for (const id of ['told', 'half', 'new']) insert.run(id, 'http://r:9/x')
  insert.run('plain', null)
  old.run(`UPDATE jobs SET state = 'cancelled', completed_at = 5, updated_at = 5 WHERE id <> 'new'`)
  const seqOf = (id: string) => `(SELECT seq FROM jobs WHERE id = '${id}')`
  for (const sequence of [1, 2])
    old.run(
      `UPDATE deliveries SET state = 'accepted', due_at = NULL WHERE job_seq = ${seqOf('told')} AND sequence = ${sequence}`,
    )
  old.run(`UPDATE deliveries SET state = 'given_up', due_at = NULL WHERE job_seq = ${seqOf('half')} AND sequence = 1`)
  old.run(`UPDATE deliveries SET tries = 3, due_at = 77 WHERE job_seq = ${seqOf('half')} AND sequence = 2`)
  old.close()
  const db = opened(path)
  const rows = db
    .query(`SELECT id, origin, sequence, tries, due_at FROM webhooks JOIN jobs ON seq = job_seq ORDER BY seq`)
    .all()
  expect(rows).toEqual([
    { id: 'told', origin: 'http://r:9', sequence: 3, tries: 0, due_at: null },
    { id: 'half', origin: 'http://r:9', sequence: 2, tries: 3, due_at: 77 },
    { id: 'new', origin: 'http://r:9', sequence: 1, tries: 0, due_at: 1 },
  ])
  db.run(`UPDATE jobs SET state = 'loading', slot = 0, updated_at = 9 WHERE id = 'new'`)
  expect(db.query('SELECT count(*) AS n FROM transitions').get()).toEqual({ n: 8 })
  db.close()
  rmSync(folder, { recursive: true })
})
