/** Proves that a long backlog for one receiver costs the others nothing, and that one look is bounded however many there are. */
import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/domain/clock.ts'
import { openDatabase } from '../../src/store/database.ts'
import { createLedger } from '../../src/store/ledger.ts'
import { createOutbox } from '../../src/store/outbox.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const createRig = (clock: Pick<Clock, 'monotonicMs'> = systemClock) => {
  const folder = mkdtempSync(join(tmpdir(), 'foreman-outbox-'))
  const opened = openDatabase(join(folder, 'foreman.db'))
  if (opened.kind === 'refused') throw new Error(opened.message)
  const { db } = opened
  cleanups.push(() => {
    db.close()
    rmSync(folder, { recursive: true })
  })
  const insert = db.query(
    `INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, webhook_url, created_at, updated_at)
     VALUES (?1, 'async', '/api/chat', 'm', 'm', 3, ?2, ?3, ?3)`,
  )
  const owe = (jobs: readonly (readonly [id: string, url: string, at?: number])[]) =>
    db.transaction(() => {
      for (const [id, url, at = 1] of jobs) insert.run(id, url, at)
    })()
  return { outbox: createOutbox({ db, ledger: createLedger(db), clock }), owe }
}

const many = (count: number, url: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => [`hung${i}`, url(i)] as const)

test('with 10,000 owed to a receiver that hangs, what is owed to another is found in a moment', () => {
  // A clock that stands still: a busy machine must not cut a look in two.
  const { outbox, owe } = createRig({ monotonicMs: () => 0 })
  owe([...many(10_000, () => 'https://hanging.test:9/hook?a=/b'), ['good', 'http://g/']])
  const room = (origin: string) => (origin === 'https://hanging.test:9' ? 0 : 255)
  const startedMs = performance.now()
  for (let i = 0; i < 100; i++) {
    const { lanes, nextDueAt, isPartial } = outbox.look({ now: 2, room, busy: new Set([1]) })
    expect(lanes.map(({ origin, due, hasMore }) => [origin, due.map(({ jobId }) => jobId), hasMore])).toEqual([
      ['http://g', ['good'], false],
    ])
    expect([nextDueAt, isPartial]).toEqual([null, false])
  }
  expect((performance.now() - startedMs) / 100).toBeLessThan(1)
})

test('a receiver gives as many as there is room for, without those that are known, and says that it has more', () => {
  const { outbox, owe } = createRig()
  owe(many(10, () => 'http://r/'))
  const found = (count: number, busy: number[]) => {
    const { lanes } = outbox.look({ now: 2, room: () => count, busy: new Set(busy) })
    return lanes.map(({ due, hasMore }) => [due.map(({ jobId }) => jobId), hasMore])
  }
  expect(found(3, [1])).toEqual([[['hung1', 'hung2', 'hung3'], true]])
  expect(found(9, [1])).toEqual([
    [['hung1', 'hung2', 'hung3', 'hung4', 'hung5', 'hung6', 'hung7', 'hung8', 'hung9'], false],
  ])
  expect(
    found(
      3,
      Array.from({ length: 10 }, (_, i) => i + 1),
    ),
  ).toEqual([])
})

test('what is due later is told with its time, behind what is due now too', () => {
  const { outbox, owe } = createRig()
  owe([
    ['now', 'http://both/'],
    ['later', 'http://both/', 50],
    ['much later', 'http://other/', 70],
    ['resting', 'http://rests/', 20],
  ])
  const look = (now: number) =>
    outbox.look({ now, room: (origin) => (origin === 'http://rests' ? 0 : 5), busy: new Set() })
  expect(look(2)).toMatchObject({ lanes: [{ due: [{ jobId: 'now' }], hasMore: false }], nextDueAt: 50 })
  expect(look(0)).toMatchObject({ lanes: [], nextDueAt: 1 })
  expect(look(60)).toMatchObject({ lanes: [{ due: [{ jobId: 'now' }, { jobId: 'later' }] }], nextDueAt: 70 })
  expect(look(70).nextDueAt).toBeNull()
})

test('of 3,000 receivers one look visits a part, the next ones the rest, and what is due later is not forgotten', () => {
  // Each receiver takes a hundredth of a millisecond.
  let nowMs = 0
  const { outbox, owe } = createRig({ monotonicMs: () => (nowMs += 0.01) })
  owe([['later', 'http://a/', 9], ...many(3_000, (i) => `http://r${i}/`)])
  const seen = new Set<string>()
  let looks = 0
  for (let isPartial = true; isPartial; looks++) {
    const found = outbox.look({ now: 2, room: (origin) => (seen.has(origin) ? 0 : 4), busy: new Set() })
    expect(found.lanes.length).toBeLessThanOrEqual(401)
    for (const { origin } of found.lanes) seen.add(origin)
    isPartial = found.isPartial
    if (!isPartial) expect(found.nextDueAt).toBe(9)
  }
  expect(seen.size).toBe(3_000)
  expect(looks).toBe(8)
})
