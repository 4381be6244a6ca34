/** Lists of jobs are whole and in order, and each is found by index, however rare what is asked for. */
import { afterAll, beforeEach, expect, test } from 'bun:test'
import { isFinal, type JobKind, type JobState, jobStates } from '../../src/domain/job/job.ts'
import type { JobFilter } from '../../src/domain/job/reading.ts'
import { createReader } from '../../src/store/reader.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createTestStore } from '../support/store.ts'

const store = createTestStore({ fast: true })
afterAll(store.close)
beforeEach(store.clear)

const every: JobFilter = { state: null, model: null, kind: null, limit: 50 }
const kinds = ['sync', 'async'] as const
const models = ['', 'm', 'rare', 'none'] as const
const filters = [null, ...jobStates].flatMap((state) =>
  [null, ...kinds].flatMap((kind) => [null, ...models].map((model) => ({ state, kind, model }))),
)

/** Every page below a job, one after the other. */
const collect = (filter: JobFilter, after: string | null) => {
  const reader = createReader(store.db)
  const ids: string[] = []
  for (let cursor = after; ; ) {
    const page = reader.list(filter, reader.top(cursor)).map(({ id }) => id)
    ids.push(...page)
    cursor = page.at(-1) ?? null
    if (page.length < filter.limit) return ids
  }
}

const insert = (id: string, kind: JobKind, model: string) =>
  store.db.run(
    `INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
      VALUES (?1, ?2, '/api/chat', ?3, 'k', 3, 1, 1)`,
    [id, kind, model],
  )

const move = (id: string, to: JobState, slot: number | null) =>
  store.db.run('UPDATE jobs SET state = ?2, slot = ?3, completed_at = ?4, error_code = ?5 WHERE id = ?1', [
    id,
    to,
    slot,
    isFinal(to) ? 2 : null,
    to === 'failed' ? 'internal' : null,
  ])

const paths: Partial<Record<JobState, readonly JobState[]>> = {
  queued: [],
  working: ['loading', 'working'],
  done: ['loading', 'working', 'done'],
}

/** Leads a new job to a state on a way that the table allows; an active one keeps its slot. */
const lead = (id: string, state: JobState, slot: number) => {
  for (const to of paths[state] ?? [state]) move(id, to, isFinal(to) ? null : slot)
}

test('whatever is asked for, its pages are what a look at every row finds', () => {
  const dice = createDice(seedOf('lists'))
  store.queue.recover(0, 5)
  const jobs: { id: string; state: JobState; kind: JobKind; model: string }[] = []
  for (let i = 0; i < 400; i++) {
    const job = { id: `j${String(i).padStart(5, '0')}`, kind: dice.pick(kinds), model: dice.pick(['', 'm', 'm', 'n']) }
    const free = jobs.filter(({ state }) => state === 'loading' || state === 'working').length
    const state = dice.pick(free < 4 ? jobStates : jobStates.filter((one) => isFinal(one) || one === 'queued'))
    insert(job.id, job.kind, i % 150 === 7 ? 'rare' : job.model)
    lead(job.id, state, free)
    if (state === 'queued' && dice.chance(0.3)) store.db.run('UPDATE jobs SET not_before = 9 WHERE id = ?1', [job.id])
    jobs.unshift({ ...job, state, model: i % 150 === 7 ? 'rare' : job.model })
  }
  for (const { state, kind, model } of filters) {
    const wanted = jobs.filter(
      (job) =>
        (state ?? job.state) === job.state && (kind ?? job.kind) === job.kind && (model ?? job.model) === job.model,
    )
    for (const [limit, after] of [
      [50, null],
      [7, 'j00250'],
    ] as const) {
      const ids = wanted.map(({ id }) => id).filter((id) => after === null || id < after)
      expect(collect({ state, kind, model, limit }, after)).toEqual(ids)
    }
  }
})

test('what matches nothing among 60,000 jobs is found by index', () => {
  store.db.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
    INSERT INTO jobs (id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at)
    SELECT printf('j%05d', i), 'sync', '/api/chat', 'm', 'm', 3, i, i FROM n`)
  store.db.run(`UPDATE jobs SET state = 'cancelled', completed_at = 2 WHERE seq % 2 = 0`)
  const reader = createReader(store.db)
  const looks = filters.map((filter) => {
    const startedMs = performance.now()
    reader.list({ ...filter, limit: 51 }, reader.top(null))
    return performance.now() - startedMs
  })
  const total = looks.reduce((sum, ms) => sum + ms, 0)
  figure('list', `${looks.length} filters over 60,000 jobs: ${(total / looks.length).toFixed(2)} ms each`)
  // One look at every row takes 6.
  expect(total / looks.length).toBeLessThan(3)
})

test('a list goes on below its cursor, be that job there, swept or older than all', () => {
  for (let i = 1; i <= 40; i++) insert(`j${String(i).padStart(5, '0')}`, 'sync', 'm')
  store.db.run(`DELETE FROM jobs WHERE id BETWEEN 'j00011' AND 'j00030'`)
  const all = collect(every, null)
  expect([all.length, all[0], all[9], all[10], all.at(-1)]).toEqual([20, 'j00040', 'j00031', 'j00010', 'j00001'])
  expect(collect(every, 'j00035')).toEqual(all.slice(6))
  expect(collect(every, 'j00020')).toEqual(all.slice(10))
  expect(collect(every, 'j00001')).toEqual([])
  expect(collect(every, 'a')).toEqual([])
})
