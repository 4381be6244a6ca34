/** Lists of jobs are whole and in order, however rare what is asked for, and no look at the table is long. */
import { afterAll, beforeEach, expect, test } from 'bun:test'
import type { JobFilter } from '../../src/domain/job/reading.ts'
import { createReader } from '../../src/store/reader.ts'
import { figure } from '../support/figures.ts'
import { createTestStore } from '../support/store.ts'

const store = createTestStore({ fast: true })
afterAll(store.close)
beforeEach(store.clear)

const JOBS = 60_000
const every: JobFilter = { state: null, model: null, kind: null, limit: 50 }

/** Jobs `j00001` and so on, every 20,000th of them of model `rare`. */
const fill = () =>
  store.db.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${JOBS})
    INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
    SELECT printf('j%05d', i), 'sync', '/api/chat', iif(i % 20000 = 1, 'rare', 'm'), 'm', 3, i, i FROM n`)

/** Everything that matches, slice by slice, with the time of the longest. */
const collect = (filter: JobFilter, after: string | null) => {
  const reader = createReader(store.db)
  const ids: string[] = []
  let slices = 0
  let longestMs = 0
  for (let below: number | null = reader.top(after); below !== null; slices++) {
    const startedMs = performance.now()
    const slice = reader.list(filter, below)
    longestMs = Math.max(longestMs, performance.now() - startedMs)
    ids.push(...slice.jobs.map(({ id }) => id))
    below = slice.below
  }
  return { ids, slices, longestMs }
}

test('a rare model is found whole, in slices that do not hold the event loop', () => {
  fill()
  const { ids, slices, longestMs } = collect({ ...every, model: 'rare' }, null)
  expect(ids).toEqual(['j40001', 'j20001', 'j00001'])
  expect(slices).toBe(6)
  figure('list', `a rare model among ${JOBS} jobs: longest slice ${longestMs.toFixed(1)} ms`)
  expect(longestMs).toBeLessThan(50)
  expect(collect({ ...every, model: 'rare', limit: 1 }, null).ids).toEqual(ids)
})

test('a list goes on below its cursor, be that job there, swept or older than all', () => {
  fill()
  store.db.run(`DELETE FROM jobs WHERE seq BETWEEN 11 AND 59990`)
  const all = collect(every, null).ids
  expect([all.length, all[0], all[9], all[10], all.at(-1)]).toEqual([20, 'j60000', 'j59991', 'j00010', 'j00001'])
  expect(collect(every, 'j59995').ids).toEqual(all.slice(6))
  expect(collect(every, 'j30000').ids).toEqual(all.slice(10))
  expect(collect(every, 'j00001').ids).toEqual([])
  expect(collect(every, 'a').ids).toEqual([])
})

test('an empty table gives one empty slice', () => {
  expect(collect(every, null)).toMatchObject({ ids: [], slices: 1 })
})
