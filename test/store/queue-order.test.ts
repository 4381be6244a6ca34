/** Which job is next: aged, then the preferred key, then the oldest; and what a claim costs. */
import { afterAll, beforeEach, expect, spyOn, test } from 'bun:test'
import type { ClaimQuery } from '../../src/domain/job/claim.ts'
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

type Preferences = Partial<Pick<ClaimQuery, 'residentKeys' | 'agedBefore'>>

/** Claims one job after the other until none is ready, and takes each out again. */
const order = async (now: number, preferences: Preferences = {}) => {
  const ids: string[] = []
  for (;;) {
    const claimed = await store.queue.claim({ ...plainClaim(now), ...preferences })
    if (claimed.kind !== 'job') return ids
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
  expect(await order(1, { residentKeys: ['a'] })).toEqual(['2', '4', '1', '3', '5'])
})

test('an aged job goes before the preferred key', async () => {
  await submit('old', 'b', 100)
  await submit('young', 'a', 200)
  expect(await order(1_000, { residentKeys: ['a'], agedBefore: 99 })).toEqual(['young', 'old'])
  await submit('old2', 'b', 100)
  await submit('young2', 'a', 200)
  expect(await order(1_000, { residentKeys: ['a'], agedBefore: 100 })).toEqual(['old2', 'young2'])
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
  const loading = await store.queue.claim({ ...plainClaim(1), residentKeys: ['b'], loadedKeys: ['b'] })
  expect(loading).toMatchObject({ job: { id: '1', state: 'loading', attempt: 1 } })
  if (loading.kind === 'job') await store.queue.settle(loading.job, backOff(null), 2)
  const working = await store.queue.claim({ ...plainClaim(3), residentKeys: ['a'], loadedKeys: ['b', 'a'] })
  expect(working).toMatchObject({ job: { id: '1', state: 'working', attempt: 2 } })
  expect(store.row('1')).toMatchObject({ state: 'working', attempt: 2, started_at: 1 })
})

test('of several resident keys the oldest job of the first one goes first', async () => {
  for (const [id, key] of [
    ['1', 'a'],
    ['2', 'c'],
    ['3', 'b'],
    ['4', 'd'],
    ['5', 'b'],
  ] as const)
    await submit(id, key)
  expect(await order(1, { residentKeys: ['b', 'c'] })).toEqual(['3', '5', '2', '1', '4'])
  for (const key of ['a', 'b', 'c', 'd']) await submit(`again-${key}`, key)
  expect(await order(1, { residentKeys: ['d', 'x', 'b'] })).toEqual(['again-d', 'again-b', 'again-a', 'again-c'])
  await submit('last', 'z')
  const many = Array.from({ length: 50 }, (_, i) => `k${i}`)
  expect(await order(1, { residentKeys: many })).toEqual(['last'])
})

test('beside running jobs only their key is claimed, and only when it is next', async () => {
  store.queue.recover(0, 3)
  for (const [id, key] of [
    ['1', 'a'],
    ['2', 'a'],
    ['3', 'b'],
    ['4', 'a'],
  ] as const)
    await submit(id, key)
  const join = (slot: number, more: Preferences = {}) =>
    store.queue.claim({ ...plainClaim(1), slot, activeKey: 'a', ...more })
  expect(await store.queue.claim(plainClaim(1))).toMatchObject({ kind: 'job', job: { id: '1', slot: 0 } })
  expect(await join(1)).toMatchObject({ kind: 'job', job: { id: '2', slot: 1 } })
  expect(await join(2)).toEqual({ kind: 'held' })
  expect(await join(2, { residentKeys: ['b'] })).toEqual({ kind: 'held' })
  expect(await join(2, { residentKeys: ['a'], agedBefore: 0 })).toEqual({ kind: 'held' })
  expect(store.row('4')).toMatchObject({ state: 'queued', attempt: 0 })
  expect(await join(2, { residentKeys: ['a'] })).toMatchObject({ kind: 'job', job: { id: '4', slot: 2 } })
  expect(store.queue.counts().queued).toBe(1)
  await store.queue.withdraw('3', 'cancelled', 2)
  expect(await join(2)).toEqual({ kind: 'idle', nextDueAt: null })
  store.clear()
  store.queue.recover(0, 1)
})

test('nothing is claimed into a slot that a job is in', async () => {
  await submit('1', 'a')
  await submit('2', 'a')
  await store.queue.claim(plainClaim(1))
  await expect(store.queue.claim(plainClaim(2))).rejects.toThrow('UNIQUE constraint failed')
  expect(store.row('2')).toMatchObject({ state: 'queued', attempt: 0 })
  expect(store.queue.counts().queued).toBe(1)
})

/** The statements that a claim runs, as the queue prepares them, and the plan of each. */
const claimPlans = async (): Promise<string[]> => {
  const spy = spyOn(store.db, 'query')
  const queue = createQueue({ db: store.db, ledger: store.ledger, maxQueue: 1 })
  await queue.claim({ ...plainClaim(0), residentKeys: ['x', 'y', 'z'] })
  const texts = spy.mock.calls.map(([sql]) => sql)
  spy.mockRestore()
  const claims = texts.filter(
    (sql) =>
      /^UPDATE jobs SET\s+state = 'loading'/.test(sql) ||
      /^(?!SELECT \(SELECT count).*(jobs_backing_off|LIMIT 1$)/s.test(sql),
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
  const check = async () => {
    const plans = (await claimPlans()).join('\n')
    for (const step of plans.split('\n')) expect(step).toMatch(/USING .*(INDEX|PRIMARY KEY)|SCALAR SUBQUERY/)
    for (const index of ['jobs_ready', 'jobs_ready_by_key', 'jobs_backing_off']) expect(plans).toContain(index)
  }
  await check()
  store.db.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
    SELECT 'j' || i, 'async', '/api/chat', 'm', 'k' || (i % 5), 3, i, i FROM n`)
  store.db.run(`UPDATE jobs SET state = 'cancelled', completed_at = 1 WHERE seq % 3 = 0`)
  store.db.run('ANALYZE')
  await check()
  store.db.run('DELETE FROM sqlite_stat1')
})

/** The median of 200 claims, microseconds, with this many jobs waiting. */
const claimMicroseconds = async (waiting: number, residentKeys: readonly string[]) => {
  store.clear()
  store.db.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${waiting})
    INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
    SELECT 'j' || i, 'sync', '/api/chat', 'm', 'k' || (i % 5), 3, i, i FROM n`)
  store.restart()
  const times: number[] = []
  for (let i = 0; i < 200; i++) {
    const began = performance.now()
    const claimed = await store.queue.claim({ ...plainClaim(i), residentKeys, agedBefore: 0 })
    times.push((performance.now() - began) * 1_000)
    if (claimed.kind === 'job') await store.queue.settle(claimed.job, { to: 'cancelled' }, i)
  }
  return times.sort((a, b) => a - b)[100] ?? 0
}

test.each([1, 4])('a claim with %d resident keys costs with 100,000 waiting what it costs with 1,000', async (keys) => {
  // Two that wait and, of four, two that nobody waits for.
  const resident = ['k4', 'nobody', 'k3', 'nothing'].slice(0, keys)
  const few = await claimMicroseconds(1_000, resident)
  const many = await claimMicroseconds(100_000, resident)
  const figures = `with 1,000 waiting ${few.toFixed(0)} µs, with 100,000 waiting ${many.toFixed(0)} µs`
  figure('O3', `claim p50, ${keys} resident: ${figures}`)
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
