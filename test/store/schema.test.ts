/** The database refuses every illegal state by itself, whatever the code does. */
import { afterAll, beforeEach, describe, expect, test } from 'bun:test'
import { type JobState, jobStates, LANES_FROM, LANES_MAX, transitions } from '../../src/domain/job/job.ts'
import { createTestStore } from '../support/store.ts'

const store = createTestStore({ fast: true })
const { db } = store
afterAll(store.close)
beforeEach(store.clear)

const columns = '(id, kind, endpoint, model, residency_key, max_attempts, created_at, updated_at'
const insert = (id: string, more = '', values = '') =>
  db.run(`INSERT INTO jobs ${columns}${more}) VALUES ('${id}', 'async', '/api/chat', 'm', 'm', 3, 1, 1${values})`)

const isFinal = (state: JobState) => transitions[state].length === 0

const bit = (value: string | boolean) => (typeof value === 'boolean' ? Number(value) : value)

const isActive = (state: JobState) => state === 'loading' || state === 'working'

const move = (id: string, to: JobState, slot = 0) =>
  db.run(
    `UPDATE jobs SET state = '${to}', slot = ${isActive(to) ? slot : 'NULL'}, completed_at = ${isFinal(to) ? 2 : 'NULL'},
       error_code = ${to === 'failed' ? "'refused'" : 'NULL'} WHERE id = '${id}'`,
  )

const pathTo: Record<JobState, JobState[]> = {
  queued: [],
  loading: ['loading'],
  working: ['loading', 'working'],
  done: ['loading', 'working', 'done'],
  failed: ['failed'],
  cancelled: ['cancelled'],
}

const pairs = jobStates.flatMap((from) => jobStates.map((to) => ({ from, to })))

describe('the schema', () => {
  test('holds the same transitions as the code, and no others', () => {
    const inSql = db
      .query<{ edge: string }, []>(`SELECT from_state || '>' || to_state AS edge FROM job_transitions`)
      .all()
      .map(({ edge }) => edge)
    const inCode = jobStates.flatMap((from) => transitions[from].map((to) => `${from}>${to}`))
    expect(inSql.sort()).toEqual(inCode.sort())
  })

  test('holds the same states as the code, and what each of them means', () => {
    const inSql = db.query('SELECT name, is_active, is_final, is_failure FROM job_states ORDER BY name').values()
    const inCode = jobStates.map((state) => [state, isActive(state), isFinal(state), state === 'failed'].map(bit))
    expect(inSql).toEqual(inCode.sort())
  })

  test.each(pairs)('takes the edge $from to $to only if the table has it', ({ from, to }) => {
    insert('j')
    for (const state of pathTo[from]) move('j', state)
    const isLegal = from === to || transitions[from].some((next) => next === to)
    if (isLegal) {
      move('j', to)
      expect(store.row('j')?.state).toBe(to)
    } else {
      expect(() => move('j', to)).toThrow('illegal job transition')
      expect(store.row('j')?.state).toBe(from)
    }
  })

  test.each(jobStates.filter((s) => s !== 'queued'))('refuses a job born %s', (state) => {
    const completed = isFinal(state) ? '2' : 'NULL'
    const code = state === 'failed' ? `'refused'` : 'NULL'
    const born = () => insert('j', ', state, completed_at, error_code', `, '${state}', ${completed}, ${code}`)
    expect(born).toThrow('a job is born queued')
  })

  test('refuses a second job in a slot, in any mix of loading and working', () => {
    for (const first of ['loading', 'working'] as const) {
      store.clear()
      insert('a')
      insert('b')
      for (const state of pathTo[first]) move('a', state)
      expect(() => move('b', 'loading')).toThrow('UNIQUE constraint failed')
      expect(store.row('b')?.state).toBe('queued')
    }
  })

  test('refuses a slot beyond those that there are', () => {
    insert('a')
    expect(() => move('a', 'loading', 1)).toThrow('FOREIGN KEY constraint failed')
    store.queue.recover(0, 2)
    move('a', 'loading', 1)
    expect(() => db.run('DELETE FROM slots WHERE slot = 1')).toThrow('FOREIGN KEY constraint failed')
    store.queue.recover(0, 1)
    expect(db.query(`SELECT slot FROM slots WHERE slot < ${LANES_FROM}`).values()).toEqual([[0]])
  })

  test('has as many lanes as the code counts on, where other keys are in nobody’s way', () => {
    const [lanes] = db.query(`SELECT min(slot), count(*) FROM slots WHERE slot >= ${LANES_FROM}`).values()
    expect(lanes).toEqual([LANES_FROM, LANES_MAX])
    insert('a')
    insert('b')
    db.run(`UPDATE jobs SET residency_key = 'other' WHERE id = 'b'`)
    move('a', 'loading')
    move('b', 'loading', LANES_FROM)
    // From its slot into a lane, and never back.
    move('a', 'loading', LANES_FROM + 1)
    expect(() => move('a', 'loading', 0)).toThrow('one residency key over all slots')
    expect(() => move('a', 'loading', LANES_FROM)).toThrow('UNIQUE constraint failed')
  })

  test('refuses a second residency key beside the first, and a change of either', () => {
    store.queue.recover(0, 2)
    insert('a')
    insert('b')
    db.run(`UPDATE jobs SET residency_key = 'other' WHERE id = 'b'`)
    move('a', 'loading', 0)
    expect(() => move('b', 'loading', 1)).toThrow('one residency key over all slots')
    expect(() => db.run(`UPDATE jobs SET residency_key = 'other' WHERE id = 'a'`)).toThrow('one residency key')
    expect(() => db.run(`UPDATE jobs SET slot = 1 WHERE id = 'a'`)).toThrow('one residency key over all slots')
    db.run(`UPDATE jobs SET residency_key = 'm' WHERE id = 'b'`)
    move('b', 'loading', 1)
    store.queue.recover(0, 1)
  })

  const misfit = 'slot, not_before, error_code and completed_at must fit the state of a job'

  test('refuses an active job without a slot and any other with one', () => {
    insert('a')
    expect(() => db.run(`UPDATE jobs SET state = 'loading' WHERE id = 'a'`)).toThrow(misfit)
    expect(() => db.run(`UPDATE jobs SET slot = 0 WHERE id = 'a'`)).toThrow(misfit)
    expect(() => db.run(`UPDATE jobs SET state = 'cancelled', completed_at = 1, slot = 0 WHERE id = 'a'`)).toThrow(
      misfit,
    )
    move('a', 'loading')
    expect(() => db.run(`UPDATE jobs SET slot = NULL WHERE id = 'a'`)).toThrow(misfit)
  })

  test('refuses a final job without its time and an unfinished one with it', () => {
    insert('a')
    expect(() => db.run(`UPDATE jobs SET state = 'cancelled' WHERE id = 'a'`)).toThrow(misfit)
    expect(() => db.run(`UPDATE jobs SET completed_at = 5 WHERE id = 'a'`)).toThrow(misfit)
    move('a', 'cancelled')
    expect(() => db.run(`UPDATE jobs SET completed_at = NULL WHERE id = 'a'`)).toThrow(misfit)
  })

  test('refuses a failed job without a code and a code on any other', () => {
    insert('a')
    const fail = () => db.run(`UPDATE jobs SET state = 'failed', completed_at = 5 WHERE id = 'a'`)
    expect(fail).toThrow(misfit)
    expect(() => db.run(`UPDATE jobs SET error_code = 'refused' WHERE id = 'a'`)).toThrow(misfit)
  })

  test('refuses a backoff on a job that is not queued', () => {
    insert('a')
    move('a', 'loading')
    expect(() => db.run(`UPDATE jobs SET not_before = 9 WHERE id = 'a'`)).toThrow(misfit)
  })

  test('takes a new state as one row and its edges', () => {
    db.run('BEGIN')
    db.run(`INSERT INTO job_states VALUES ('paused', 0, 0, 0)`)
    db.run(`INSERT INTO job_transitions VALUES ('queued', 'paused'), ('paused', 'queued')`)
    insert('a')
    db.run(`UPDATE jobs SET state = 'paused' WHERE id = 'a'`)
    expect(() => db.run(`UPDATE jobs SET state = 'cancelled', completed_at = 1 WHERE id = 'a'`)).toThrow('illegal')
    db.run(`UPDATE jobs SET state = 'queued' WHERE id = 'a'`)
    db.run('ROLLBACK')
  })

  test('names no state in a CHECK', () => {
    const texts = db.query<{ sql: string }, []>(`SELECT sql FROM sqlite_schema WHERE type = 'table'`).all()
    const checks = texts.flatMap(({ sql }) => sql.match(/CHECK \(.*\)/g) ?? [])
    expect(checks.length).toBeGreaterThan(5)
    for (const state of jobStates) expect(checks.join()).not.toContain(`'${state}'`)
  })

  test.each([
    ['a kind that does not exist', `kind = 'later'`],
    ['a state that does not exist', `state = 'paused'`],
    ['a negative attempt', 'attempt = -1'],
    ['negative deferrals', 'deferrals = -1'],
    ['no attempts at all', 'max_attempts = 0'],
    ['a text where a number belongs', `created_at = 'yesterday'`],
    ['an endpoint that is missing', 'endpoint = NULL'],
  ])('refuses %s', (_, change) => {
    insert('a')
    expect(() => db.run(`UPDATE jobs SET ${change} WHERE id = 'a'`)).toThrow()
  })

  test('refuses two jobs with one id', () => {
    insert('a')
    expect(() => insert('a')).toThrow('UNIQUE constraint failed: jobs.id')
  })

  test('deletes requests and artifacts with their job, and takes none without one', () => {
    insert('a')
    const seq = store.row('a')?.seq ?? 0
    db.run(`INSERT INTO requests VALUES (${seq}, x'01')`)
    db.run(`INSERT INTO artifacts VALUES (${seq}, 'completion', 'text/plain', x'02')`)
    expect(() => db.run(`INSERT INTO requests VALUES (999999, x'01')`)).toThrow('FOREIGN KEY constraint failed')
    db.run(`DELETE FROM jobs WHERE id = 'a'`)
    const left = (table: string) => db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n
    expect([left('requests'), left('artifacts')]).toEqual([0, 0])
  })
})
