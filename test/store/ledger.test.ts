/** Group commit: writes share transactions, a bad one harms nobody else, and nothing is told before it is committed. */
import type { Database } from 'bun:sqlite'
import { afterAll, beforeEach, expect, test } from 'bun:test'
import { createLedger } from '../../src/store/ledger.ts'
import { createTestStore, newJob, opened, plainClaim } from '../support/store.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'

const store = createTestStore()
afterAll(store.close)
beforeEach(store.clear)

const synchronousOf = (db: Database) => db.query<{ synchronous: number }, []>('PRAGMA synchronous').get()?.synchronous

const ids = () => store.rows().map(({ id }) => id)

const insert = (id: string) =>
  store.db.run(
    `INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
     VALUES (?1, 'async', '/api/chat', 'm', 'm', 3, 1, 1)`,
    [id],
  )

test('64 submitters at once share one transaction', async () => {
  await Promise.all(Array.from({ length: 64 }, (_, i) => store.queue.submit(newJob(`j${i}`), i)))
  expect(store.ledger.totals).toEqual({ transactions: 1, writes: 64 })
  expect(ids()).toEqual(Array.from({ length: 64 }, (_, i) => `j${i}`))
})

test('a long queue of writes is cut into transactions of 100, in order', async () => {
  await Promise.all(Array.from({ length: 250 }, (_, i) => store.queue.submit(newJob(`j${i}`), i)))
  expect(store.ledger.totals).toEqual({ transactions: 3, writes: 250 })
  expect(ids()).toEqual(Array.from({ length: 250 }, (_, i) => `j${i}`))
})

test('writes that arrive one after the other each have their own transaction', async () => {
  for (let i = 0; i < 5; i++) await store.queue.submit(newJob(`j${i}`), i)
  expect(store.ledger.totals).toEqual({ transactions: 5, writes: 5 })
})

test('one failing write fails alone: its neighbours are committed and it is told why', async () => {
  const outcomes = await Promise.allSettled([
    store.ledger.write('durable', () => insert('a')),
    store.ledger.write('durable', () => insert('a')),
    store.ledger.write('quick', () => {
      throw new Error('a bug')
    }),
    store.ledger.write('quick', () => insert('b')),
  ])
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
  expect(outcomes.map((o) => (o.status === 'rejected' ? String(o.reason.message) : ''))).toEqual([
    '',
    'UNIQUE constraint failed: jobs.id',
    'a bug',
    '',
  ])
  expect(ids()).toEqual(['a', 'b'])
})

test('what a failing write did before it failed is undone', async () => {
  const failing = store.ledger.write('durable', () => {
    insert('half')
    throw new Error('half way')
  })
  await expect(failing).rejects.toThrow('half way')
  expect(ids()).toEqual([])
  expect(store.db.inTransaction).toBe(false)
})

test('a durable write is committed with synchronous FULL, a quick one with NORMAL', async () => {
  const seen = (durability: 'durable' | 'quick') => store.ledger.write(durability, () => synchronousOf(store.db))
  expect([await seen('quick'), await seen('durable'), await seen('quick')]).toEqual([1, 2, 1])
  expect(await Promise.all([seen('quick'), seen('durable'), seen('quick')])).toEqual([2, 2, 2])
})

test('an async submit and its settle pay for an fsync, a sync call never does', async () => {
  const levels: (number | undefined)[] = []
  const look = () => store.ledger.write('quick', () => synchronousOf(store.db)).then((level) => levels.push(level))
  const usage = { promptTokens: null, completionTokens: null, totalDurationMs: null }
  for (const kind of ['async', 'sync'] as const) {
    await Promise.all([store.queue.submit(newJob(kind, { kind }), 1), look()])
    const [claimed] = await Promise.all([store.queue.claim({ ...plainClaim(2), loadedKeys: ['m-a'] }), look()])
    if (claimed.kind !== 'job') throw new Error('nothing was claimed')
    await Promise.all([store.queue.settle(claimed.job, { to: 'done', usage }, 3), look()])
  }
  expect(levels).toEqual([2, 1, 2, 1, 1, 1])
})

test('a write is told only when another connection can read it', async () => {
  const other = opened(store.path)
  const readable = () => other.query<{ n: number }, []>('SELECT count(*) AS n FROM jobs').get()?.n
  let told = false
  const write = store.queue.submit(newJob('a'), 1).then(() => {
    told = true
    expect(readable()).toBe(1)
  })
  expect([told, readable()]).toEqual([false, 0])
  await write
  expect(told).toBe(true)
  other.close()
})

test('a commit that another writer holds up fails, and the next one is taken', async () => {
  const other = opened(store.path)
  other.run('BEGIN IMMEDIATE')
  await expect(store.queue.submit(newJob('a'), 1)).rejects.toThrow('database is locked')
  expect(store.queue.counts().queued).toBe(0)
  other.run('ROLLBACK')
  other.close()
  expect(await store.queue.submit(newJob('a'), 2)).toMatchObject({ kind: 'accepted' })
  expect(store.queue.counts().queued).toBe(1)
})

test('a write issued from inside another belongs to the next transaction', async () => {
  let inner: Promise<unknown> = Promise.resolve()
  await store.ledger.write('quick', () => {
    inner = store.ledger.write('quick', () => insert('inner'))
    insert('outer')
  })
  expect(ids()).toEqual(['outer'])
  await inner
  await settled()
  expect(ids()).toEqual(['outer', 'inner'])
})

test('a lazy write goes with the next transaction, and alone it waits 2 ms', async () => {
  const clock = createVirtualClock()
  const ledger = createLedger(store.db, clock)
  const writes = [ledger.write('lazy', () => insert('a')), ledger.write('lazy', () => insert('b'))]
  await settled()
  expect(ids()).toEqual([])
  await Promise.all([...writes, ledger.write('quick', () => insert('c'))])
  expect([ids(), ledger.totals.transactions]).toEqual([['a', 'b', 'c'], 1])
  // Its timer finds nothing left to do.
  await clock.advance(2)
  expect([clock.pending, ledger.totals.transactions]).toEqual([0, 1])
  const alone = ledger.write('lazy', () => insert('d'))
  await clock.advance(1)
  expect(ids()).toEqual(['a', 'b', 'c'])
  await clock.advance(1)
  await alone
  expect(ids()).toEqual(['a', 'b', 'c', 'd'])
})
