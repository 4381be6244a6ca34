/** The line is what a fresh count would say, whatever happened in between. */
import { afterAll, expect, test } from 'bun:test'
import { createCalls } from '../../src/store/calls.ts'
import { createLedger } from '../../src/store/ledger.ts'
import { createLine } from '../../src/store/line.ts'
import { createQueue } from '../../src/store/queue.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createTestStore, newJob, plainClaim } from '../support/store.ts'

const store = createTestStore({ fast: true })
afterAll(() => store.close())

const counted = (seq: number) =>
  store.db
    .query<{ k: string; n: number }, [number]>(
      `SELECT residency_key AS k, count(*) AS n FROM jobs
       WHERE state = 'queued' AND not_before IS NULL AND seq < ?1 GROUP BY residency_key`,
    )
    .all(seq)

test('after every step of 2,000 random ones the line says what counting says', async () => {
  const { db } = store
  const calls = createCalls()
  const line = createLine(db, calls)
  const queue = createQueue({ db, ledger: createLedger(db), maxQueue: 10_000, line, calls })
  const dice = createDice(seedOf('line'))
  const ids: string[] = []
  let now = 1
  const step = async () => {
    now += dice.between(0, 50)
    const what = dice.between(0, 9)
    if (what < 5) {
      const id = `job-${ids.length}`
      ids.push(id)
      await queue.submit(newJob(id, { residencyKey: `k${dice.between(0, 3)}` }), now)
    } else if (what < 8) {
      const claimed = await queue.claim(plainClaim(now))
      if (claimed.kind !== 'job') return
      const notBefore = dice.pick([null, now + 100])
      if (dice.chance(0.4)) await queue.settle(claimed.job, { to: 'cancelled' }, now)
      else await queue.settle(claimed.job, { to: 'queued', attemptReturned: true, deferred: true, notBefore }, now)
    } else if (ids.length > 0) await queue.withdraw(dice.pick(ids), 'cancelled', now)
  }
  for (let i = 0; i < 2_000; i++) {
    await step()
    if (ids.length === 0) continue
    const seq = store.row(dice.pick(ids))?.seq ?? 0
    const ahead = line.ahead(dice.chance(0.5) ? seq : ids.length + 1)
    const wanted = counted(ahead === null ? 0 : seq)
    const again = line.ahead(seq)
    expect([...(again?.byKey ?? [])].sort()).toEqual(wanted.map(({ k, n }): [string, number] => [k, n]).sort())
    expect(again?.total).toBe(wanted.reduce((sum, { n }) => sum + n, 0))
  }
})

test('a line of more than 50,000 is not counted, and a submitter behind it pays nothing', () => {
  const { db } = store
  store.clear()
  const line = createLine(db, createCalls())
  const insert = db.query(
    `INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
     VALUES (?1, 'sync', '/api/chat', 'm', 'm', 3, 1, 1)`,
  )
  db.transaction(() => {
    for (let i = 0; i < 50_100; i++) insert.run(`long-${i}`)
  })()
  const last = db.query<{ seq: number }, []>('SELECT max(seq) AS seq FROM jobs').get()?.seq ?? 0
  const first = db.query<{ seq: number }, []>('SELECT min(seq) AS seq FROM jobs').get()?.seq ?? 0
  expect(line.ahead(last)).toBeNull()
  const started = performance.now()
  for (let i = 0; i < 1_000; i++) line.ahead(last)
  figure('Q', `1,000 looks behind a line that is too long: ${(performance.now() - started).toFixed(1)} ms`)
  expect(line.ahead(first + 10)?.total).toBe(10)
})
