/** A reader sees rows and calls without a row as one list: whatever page is asked for, it is what one table of both would say. */
import { afterAll, expect, test } from 'bun:test'
import type { JobFilter } from '../../src/domain/job/reading.ts'
import { createCalls } from '../../src/store/calls.ts'
import { createQueue } from '../../src/store/queue.ts'
import { createReader } from '../../src/store/reader.ts'
import { withCalls } from '../../src/store/waiting-reader.ts'
import { createDice } from '../support/chance.ts'
import { seedOf } from '../support/figures.ts'
import { createTestStore, newJob, plainClaim } from '../support/store.ts'

const store = createTestStore({ fast: true })
afterAll(store.close)

interface Known {
  readonly id: string
  readonly kind: 'sync' | 'async'
  readonly model: string
  state: string
}

test('300 random lines of rows and calls are listed, found and paged as one', async () => {
  const dice = createDice(seedOf('waiting reader'))
  for (let run = 0; run < 300; run++) {
    store.clear()
    const calls = createCalls()
    const queue = createQueue({ db: store.db, ledger: store.ledger, maxQueue: 1_000, calls })
    const reader = withCalls(createReader(store.db), calls, (ms) => ms + 5)
    const known: Known[] = []
    for (let i = 0; i < dice.between(0, 12); i++) {
      const one = {
        id: `j${String(i).padStart(2, '0')}`,
        kind: dice.pick(['sync', 'async'] as const),
        model: dice.pick(['m-a', 'm-b']),
      }
      await queue.submit(newJob(one.id, one), i)
      known.push({ ...one, state: 'queued' })
    }
    const claimed = dice.chance(0.5) ? await queue.claim(plainClaim(20)) : null
    const [first] = known
    if (claimed?.kind === 'job' && first !== undefined) first.state = 'loading'
    const filter: JobFilter = {
      state: dice.pick([null, 'queued', 'loading', 'done'] as const),
      model: dice.pick([null, 'm-a']),
      kind: dice.pick([null, 'sync', 'async'] as const),
      limit: dice.between(1, 4),
    }
    const wanted = known.filter(
      ({ state, model, kind }) =>
        (filter.state ?? state) === state && (filter.model ?? model) === model && (filter.kind ?? kind) === kind,
    )
    const after = known.length > 0 && dice.chance(0.3) ? dice.pick(known).id : null
    const listed: string[] = []
    for (let below = reader.top(after), isMore = true; isMore; ) {
      const page = reader.list(filter, below)
      expect(page.length).toBeLessThanOrEqual(filter.limit)
      listed.push(...page.map(({ id }) => id))
      below = page.at(-1)?.seq ?? 0
      isMore = page.length === filter.limit
    }
    const ids = wanted.map(({ id }) => id).filter((id) => after === null || id < after)
    expect(listed).toEqual(ids.reverse())
    for (const { id, kind, state } of known) expect(reader.find(id)).toMatchObject({ id, kind, state })
  }
})

test('a list goes on below an id that has left the line', async () => {
  store.clear()
  const calls = createCalls()
  const queue = createQueue({ db: store.db, ledger: store.ledger, maxQueue: 1_000, calls })
  const reader = withCalls(createReader(store.db), calls, (ms) => ms)
  for (const [i, kind] of (['async', 'sync', 'sync', 'async'] as const).entries())
    await queue.submit(newJob(`j${i}`, { kind }), i)
  await queue.withdraw('j2', 'cancelled', 5)
  const filter: JobFilter = { state: null, model: null, kind: null, limit: 10 }
  expect(reader.list(filter, reader.top('j2')).map(({ id }) => id)).toEqual(['j1', 'j0'])
  expect([reader.find('j2'), reader.find('j1')?.createdAt]).toEqual([null, 1])
})
