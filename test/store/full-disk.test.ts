/** D3 in the store: SQLite says "full" at each of the next 200 pages, and every write is then there as a whole or not at all. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { noUsage } from '../../src/domain/job/job.ts'
import { figure } from '../support/figures.ts'
import { createTestStore, newJob, plainClaim, type TestStore } from '../support/store.ts'

const PAGES = 200
const NO_LIMIT = 1_000_000

let store: TestStore
beforeAll(() => {
  store = createTestStore({ fast: true })
})
afterAll(() => store.close())

const pages = () => store.db.query<{ page_count: number }, []>('PRAGMA page_count').get()?.page_count ?? 0
const limitTo = (count: number) => store.db.run(`PRAGMA max_page_count = ${count}`)
const body = new Uint8Array(2_000)

const halves = () =>
  store.db
    .query(
      `SELECT id FROM jobs WHERE (SELECT count(*) FROM requests WHERE job_seq = seq) <> 1
         OR (SELECT count(*) FROM webhooks w WHERE w.job_seq = jobs.seq AND (w.due_at IS NULL) =
           (w.sequence > (SELECT max(t.sequence) FROM transitions t WHERE t.job_seq = jobs.seq))) <> 1
         OR (SELECT state FROM transitions WHERE job_seq = seq ORDER BY sequence DESC LIMIT 1) <> state
         OR (SELECT count(*) FROM artifacts WHERE job_seq = seq) <> (state = 'done')`,
    )
    .all()

const hook = { request: body, webhookUrl: 'http://127.0.0.1:9/' }

/** Two submits in one transaction; the ids that were taken, and whether one was refused. */
const submitTwo = async (id: string, now: number) => {
  const ids = [id, `${id}b`]
  const results = await Promise.allSettled(ids.map((one) => store.queue.submit(newJob(one, hook), now)))
  const taken = ids.filter((_, i) => results[i]?.status === 'fulfilled')
  return { taken, isFull: taken.length < ids.length }
}

/** A claim and its result are writes like any other; what the full disk refused is written once there is room. */
const workOne = async (now: number) => {
  const claimed = await store.queue.claim(plainClaim(now)).catch(() => null)
  if (claimed?.kind !== 'job') return
  const artifacts = [{ name: 'completion', contentType: 'application/json', body }]
  const settle = () => store.queue.settle(claimed.job, { to: 'done', usage: noUsage }, now, artifacts)
  // `working` comes first, as the worker does it; a job that the disk keeps in `loading` is put back.
  const isWorking = await store.queue.advance(claimed.job, now).catch(() => false)
  if (isWorking && (await settle().catch(() => false))) return
  const limit = pages()
  limitTo(NO_LIMIT)
  expect(await store.queue.settle(claimed.job, { to: 'cancelled' }, now)).toBe(true)
  limitTo(limit)
}

test(`a database that is full after 1 to ${PAGES} more pages holds every write whole or not at all`, async () => {
  let submits = 0
  for (let room = 1; room <= PAGES; room++) {
    store.clear()
    store.db.run('PRAGMA incremental_vacuum')
    limitTo(pages() + room)
    const known = new Set<string>()
    for (let i = 0, isFull = false; !isFull; i++) {
      const two = await submitTwo(`${room}-${i}`, room)
      for (const id of two.taken) known.add(id)
      isFull = two.isFull
      if (i % 3 === 0) await workOne(room)
    }
    limitTo(NO_LIMIT)
    expect(halves()).toEqual([])
    expect(new Set(store.rows().map(({ id }) => id))).toEqual(known)
    submits += known.size
    expect((await submitTwo('after', room)).isFull).toBe(false)
  }
  expect(store.db.query('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
  figure('D3', `SQLite full at each of ${PAGES} pages: ${submits} submits taken, 0 half-written`)
}, 120_000)
