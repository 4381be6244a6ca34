/** What is noted is told before its commit: it shares transactions, is seen at once, and what a full disk takes back is done again first. */
import { afterAll, beforeEach, expect, test } from 'bun:test'
import { noUsage } from '../../src/domain/job/job.ts'
import { createLedger } from '../../src/store/ledger.ts'
import { createTestStore, newJob, opened, plainClaim, type TestStore } from '../support/store.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'

const store = createTestStore()
afterAll(store.close)
beforeEach(store.clear)

const call = (id: string, residencyKey = 'm-a') => store.queue.submit(newJob(id, { kind: 'sync', residencyKey }), 1)

const claimOne = async ({ queue }: TestStore = store) => {
  const claimed = await queue.claim({ ...plainClaim(2), loadedKeys: ['m-a'] })
  if (claimed.kind !== 'job') throw new Error(`nothing was claimed: ${claimed.kind}`)
  return claimed.job
}

const serveOne = async () => {
  const job = await claimOne()
  expect(await store.queue.settle(job, { to: 'done', usage: noUsage }, 3)).toBe(true)
  return job.id
}

const states = () => store.rows().map(({ id, state }) => [id, String(state)])

/** The database is another writer's until the returned function is called. */
const lockedBy = (path: string) => {
  const other = opened(path)
  other.run('BEGIN IMMEDIATE')
  return () => {
    other.run('ROLLBACK')
    other.close()
  }
}

test('a call that waits costs the database nothing, and one that leaves the line has cost it nothing', async () => {
  for (const id of ['a', 'b', 'c']) await call(id)
  expect(await store.queue.withdraw('b', 'cancelled', 2)).toBe(true)
  expect(store.queue.counts()).toEqual({ queued: 2, oldestCreatedAt: 1 })
  expect([store.ledger.totals, states()]).toEqual([{ transactions: 0, writes: 0 }, []])
  expect(await store.queue.withdraw('b', 'cancelled', 2)).toBe(false)
})

test('calls that are served one after the other within a moment share one transaction', async () => {
  for (const id of ['a', 'b', 'c']) await call(id)
  for (const id of ['a', 'b', 'c']) expect(await serveOne()).toBe(id)
  // Whoever reads through this connection sees them before they are committed.
  expect(states()).toEqual([
    ['a', 'done'],
    ['b', 'done'],
    ['c', 'done'],
  ])
  store.ledger.commit()
  expect(store.ledger.totals).toEqual({ transactions: 1, writes: 6 })
  expect(store.row('a')).toMatchObject({ attempt: 1, slot: null, created_at: 1, started_at: 2, completed_at: 3 })
})

test('what is noted is committed after 10 ms, and another connection reads it then', async () => {
  const clock = createVirtualClock()
  const ledger = createLedger(store.db, clock)
  const other = opened(store.path)
  const readable = () => other.query<{ n: number }, []>('SELECT count(*) AS n FROM job_states').get()?.n
  ledger.note(() => store.db.run(`INSERT INTO job_states VALUES ('noted', 0, 0, 0)`))
  await clock.advance(9)
  expect(readable()).toBe(6)
  await clock.advance(1)
  expect([readable(), clock.pending]).toEqual([7, 0])
  ledger.note(() => store.db.run(`DELETE FROM job_states WHERE name = 'noted'`))
  ledger.commit()
  expect(readable()).toBe(6)
  other.close()
})

test('the database refuses a second call in a slot and a second key at once, before anybody is sent anywhere', async () => {
  store.queue.recover(0, 2)
  for (const [id, key] of [
    ['a', 'm-a'],
    ['b', 'm-a'],
    ['c', 'm-c'],
  ] as const)
    await call(id, key)
  await claimOne()
  await expect(store.queue.claim(plainClaim(3))).rejects.toThrow('UNIQUE constraint failed')
  await expect(store.queue.claim({ ...plainClaim(3), slot: 2 })).rejects.toThrow('FOREIGN KEY constraint failed')
  expect(await store.queue.claim({ ...plainClaim(3), slot: 1, activeKey: 'm-a' })).toMatchObject({ job: { id: 'b' } })
  await expect(store.queue.claim({ ...plainClaim(3), slot: 1 })).rejects.toThrow('one residency key over all slots')
  expect(store.queue.counts().queued).toBe(1)
  // What was refused took nothing of the others with it.
  expect(states()).toEqual([
    ['a', 'working'],
    ['b', 'loading'],
  ])
  store.queue.recover(0, 1)
})

test('a call whose row the disk does not take waits no longer, and the next is not taken in until it does', async () => {
  await call('a')
  await call('b')
  const unlock = lockedBy(store.path)
  expect(await store.queue.claim(plainClaim(2))).toMatchObject({ kind: 'refused', jobId: 'a' })
  await expect(call('c')).rejects.toThrow('the database does not take writes')
  unlock()
  await call('d')
  expect([await serveOne(), await serveOne()]).toEqual(['b', 'd'])
  expect(store.queue.isEmpty()).toBe(true)
})

test('what a full disk takes back at the commit is done again before anything else is written', async () => {
  const pages = store.db.query<{ n: number }, []>('SELECT page_count AS n FROM pragma_page_count').get()?.n ?? 0
  const other = store.ledger
  for (let i = 0; i < 3; i++) await call(`a${i}`)
  await serveOne()
  const running = await claimOne()
  // A statement that needs a page more than there is ends the transaction, and with it what was noted before.
  store.db.run(`PRAGMA max_page_count = ${pages}`)
  const big = 'x'.repeat(100_000)
  expect(() => other.note(() => store.db.run(`UPDATE jobs SET error_message = ?1`, [big]))).toThrow('full')
  expect([states(), other.isRefused]).toEqual([[], true])
  store.db.run('PRAGMA max_page_count = 1000000')
  expect(await store.queue.settle(running, { to: 'done', usage: noUsage }, 4)).toBe(true)
  expect(other.isRefused).toBe(false)
  expect([await serveOne(), states()]).toEqual([
    'a2',
    [
      ['a0', 'done'],
      ['a1', 'done'],
      ['a2', 'done'],
    ],
  ])
})

test('a write behind notes that fails takes none of them with it', async () => {
  await call('a')
  const job = await claimOne()
  const failing = store.ledger.write('durable', () => {
    throw new Error('a bug')
  })
  await expect(failing).rejects.toThrow('a bug')
  expect(states()).toEqual([['a', 'working']])
  expect(await store.queue.settle(job, { to: 'cancelled' }, 4)).toBe(true)
  store.ledger.commit()
  expect([states(), store.db.inTransaction]).toEqual([[['a', 'cancelled']], false])
})

test('a call that backs off has a row and waits as rows do, at its old place', async () => {
  for (const id of ['a', 'b']) await call(id)
  const first = await claimOne()
  const verdict = { to: 'queued', attemptReturned: true, deferred: true, notBefore: 50 } as const
  expect(await store.queue.settle(first, verdict, 3)).toBe(true)
  expect(store.row('a')).toMatchObject({ state: 'queued', attempt: 0, deferrals: 1, not_before: 50 })
  expect(store.queue.counts().queued).toBe(2)
  const at = (now: number) => store.queue.claim({ ...plainClaim(now), loadedKeys: ['m-a'] })
  const second = await at(49)
  expect(second).toMatchObject({ kind: 'job', job: { id: 'b' } })
  if (second.kind === 'job') await store.queue.settle(second.job, { to: 'done', usage: noUsage }, 49)
  expect(await at(49)).toEqual({ kind: 'idle', nextDueAt: 50 })
  expect(await at(50)).toMatchObject({ kind: 'job', job: { id: 'a', attempt: 1, deferrals: 1, state: 'working' } })
})
