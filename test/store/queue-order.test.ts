/** Which job is next: aged, then the preferred key, then the oldest; and what a claim costs. */
import { afterAll, beforeEach, expect, spyOn, test } from 'bun:test'
import type { Verdict } from '../../src/domain/job/outcome.ts'
import { createQueue } from '../../src/store/queue.ts'
import { figure } from '../support/figures.ts'
import { createTestStore, newJob, opened, plainClaim } from '../support/store.ts'

const store = createTestStore({ fast: true })
afterAll(store.close)
beforeEach(store.clear)

const submit = (id: string, key: string, now = 0) => store.queue.submit(newJob(id, { residencyKey: key }), now)

const backOff = (notBefore: number | null): Verdict => ({
  to: 'queued',
  attemptReturned: false,
  deferred: false,
  notBefore,
})

interface Preferences {
  preferredKey?: string | null
  agedBefore?: number | null
}

/** Claims one job after the other until none is ready, and takes each out again. */
const order = async (now: number, { preferredKey = null, agedBefore = null }: Preferences = {}) => {
  const ids: string[] = []
  for (;;) {
    const claimed = await store.queue.claim({ now, loadedKey: null, preferredKey, agedBefore })
    if (claimed.kind === 'idle') return ids
    ids.push(claimed.job.id)
    await store.queue.settle(claimed.job, { to: 'cancelled' }, now)
  }
}

test('with nothing loaded the oldest is next', async () => {
  for (const [id, key] of [
    ['1', 'a'],
    ['2', 'b'],
    ['3', 'a'],
  ] as const)
    await submit(id, key)
  expect(await order(1)).toEqual(['1', '2', '3'])
})

test('jobs for the preferred key go before older ones, first in first out among themselves', async () => {
  for (const [id, key] of [
    ['1', 'b'],
    ['2', 'a'],
    ['3', 'b'],
    ['4', 'a'],
    ['5', 'c'],
  ] as const)
    await submit(id, key)
  expect(await order(1, { preferredKey: 'a' })).toEqual(['2', '4', '1', '3', '5'])
})

test('an aged job goes before the preferred key', async () => {
  await submit('old', 'b', 100)
  await submit('young', 'a', 200)
  expect(await order(1_000, { preferredKey: 'a', agedBefore: 99 })).toEqual(['young', 'old'])
  await submit('old2', 'b', 100)
  await submit('young2', 'a', 200)
  expect(await order(1_000, { preferredKey: 'a', agedBefore: 100 })).toEqual(['old2', 'young2'])
})

test('a job that backs off blocks nobody and comes back to its old place', async () => {
  for (const id of ['1', '2', '3']) await submit(id, 'a')
  const first = await store.queue.claim(plainClaim(10))
  if (first.kind !== 'job') throw new Error('nothing was claimed')
  await store.queue.settle(first.job, backOff(1_000), 10)
  const second = await store.queue.claim(plainClaim(999))
  expect(second).toMatchObject({ kind: 'job', job: { id: '2' } })
  if (second.kind === 'job') await store.queue.settle(second.job, { to: 'cancelled' }, 999)
  expect(await order(1_000)).toEqual(['1', '3'])
})

test('an idle claim says when the first backoff ends', async () => {
  expect(await store.queue.claim(plainClaim(1))).toEqual({ kind: 'idle', nextDueAt: null })
  for (const [id, due] of [
    ['1', 5_000],
    ['2', 3_000],
  ] as const) {
    await submit(id, 'a')
    const claimed = await store.queue.claim(plainClaim(10))
    if (claimed.kind === 'job') await store.queue.settle(claimed.job, backOff(due), 10)
  }
  expect(await store.queue.claim(plainClaim(2_999))).toEqual({ kind: 'idle', nextDueAt: 3_000 })
  expect(await store.queue.claim(plainClaim(3_000))).toMatchObject({ kind: 'job', job: { id: '2' } })
})

test('a job whose key is loaded is working at once, any other is loading first', async () => {
  await submit('1', 'a')
  const loading = await store.queue.claim({ now: 1, loadedKey: 'b', preferredKey: 'b', agedBefore: null })
  expect(loading).toMatchObject({ job: { id: '1', state: 'loading', attempt: 1 } })
  if (loading.kind === 'job') await store.queue.settle(loading.job, backOff(null), 2)
  const working = await store.queue.claim({ now: 3, loadedKey: 'a', preferredKey: 'a', agedBefore: null })
  expect(working).toMatchObject({ job: { id: '1', state: 'working', attempt: 2 } })
  expect(store.row('1')).toMatchObject({ state: 'working', attempt: 2, started_at: 1 })
})

test('nothing is claimed beside a job that is on the worker', async () => {
  await submit('1', 'a')
  await submit('2', 'a')
  await store.queue.claim(plainClaim(1))
  await expect(store.queue.claim(plainClaim(2))).rejects.toThrow('UNIQUE constraint failed')
  expect(store.row('2')).toMatchObject({ state: 'queued', attempt: 0 })
  expect(store.queue.counts().queued).toBe(1)
})

/** The statements that a claim runs, as the queue prepares them, and the plan of each. */
const claimPlans = (): string[] => {
  const spy = spyOn(store.db, 'query')
  createQueue({ db: store.db, ledger: store.ledger, maxQueue: 1 })
  const texts = spy.mock.calls.map(([sql]) => sql)
  spy.mockRestore()
  const claims = texts.filter(
    (sql) => /^UPDATE jobs SET\s+state = 'loading'/.test(sql) || /jobs_backing_off|hasReady|LIMIT 1$/.test(sql),
  )
  expect(claims.length).toBe(5)
  // On a connection of its own: an explained UPDATE counts as a statement in progress and would block the next commit.
  const reader = opened(store.path)
  const plans = claims.map((sql) =>
    reader
      .query<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map(({ detail }) => detail)
      .join('\n'),
  )
  reader.close()
  return plans
}

test('a claim reads the partial indexes alone, also after ANALYZE on a full table', async () => {
  const check = () => {
    const plans = claimPlans().join('\n')
    for (const step of plans.split('\n')) expect(step).toMatch(/USING .*(INDEX|PRIMARY KEY)|SCALAR SUBQUERY/)
    for (const index of ['jobs_ready', 'jobs_ready_by_key', 'jobs_backing_off']) expect(plans).toContain(index)
  }
  check()
  store.db.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
    SELECT 'j' || i, 'async', '/api/chat', 'm', 'k' || (i % 5), 3, i, i FROM n`)
  store.db.run(`UPDATE jobs SET state = 'cancelled', completed_at = 1 WHERE seq % 3 = 0`)
  store.db.run('ANALYZE')
  check()
  store.db.run('DELETE FROM sqlite_stat1')
})

/** The median of 200 claims, microseconds, with this many jobs waiting. */
const claimMicroseconds = async (waiting: number) => {
  store.clear()
  store.db.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${waiting})
    INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
    SELECT 'j' || i, 'sync', '/api/chat', 'm', 'k' || (i % 5), 3, i, i FROM n`)
  store.restart()
  const times: number[] = []
  for (let i = 0; i < 200; i++) {
    const began = performance.now()
    const claimed = await store.queue.claim({ now: i, loadedKey: null, preferredKey: 'k4', agedBefore: 0 })
    times.push((performance.now() - began) * 1_000)
    if (claimed.kind === 'job') await store.queue.settle(claimed.job, { to: 'cancelled' }, i)
  }
  return times.sort((a, b) => a - b)[100] ?? 0
}

test('a claim costs with 100,000 waiting what it costs with 1,000', async () => {
  const few = await claimMicroseconds(1_000)
  const many = await claimMicroseconds(100_000)
  figure('O3', `claim p50 with 1,000 waiting ${few.toFixed(0)} µs, with 100,000 waiting ${many.toFixed(0)} µs`)
  // A scan of 100,000 rows takes 10 ms; the margin is for a busy machine.
  expect(many).toBeLessThan(few * 3 + 500)
})

test('a job whose row is still on its way counts as ready for those who ask', async () => {
  const submitted = store.queue.submit(newJob('on-its-way', { residencyKey: 'k-arriving' }), 1)
  expect([store.row('on-its-way'), store.queue.hasReady('k-arriving')]).toEqual([null, true])
  await submitted
  expect(store.queue.hasReady('k-arriving')).toBe(true)
  await store.queue.withdraw('on-its-way', 'cancelled', 2)
  expect(store.queue.hasReady('k-arriving')).toBe(false)
})
