/** Q6 and Q7: jobs are drained by what is loaded, so that k keys cost k loads, and no key waits for ever. */
import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createTestStore } from '../support/store.ts'

const CASES_Q6 = 1_000
const CASES_Q7 = 200
const MINUTE_MS = 60_000

const store = createTestStore({ fast: true })
afterAll(store.close)

interface Want {
  readonly model: string
  readonly numCtx?: number
}

const keyOf = ({ model, numCtx }: Want) => (numCtx === undefined ? model : `${model}@${numCtx}`)

/** The keys in the order their requests reached the target, as the ids of their jobs. */
const served = (bench: Bench) =>
  bench.target.seen.flatMap(({ key, isLoad, body }) => {
    const id = /"content":"(j\d+)"/.exec(body)?.[1]
    return id === undefined || isLoad ? [] : [{ key, id }]
  })

const drainAll = async (wants: readonly Want[]) => {
  const bench = createBench({ store, config: { maxWaitMs: 0 } })
  await Promise.all(wants.map((want, i) => bench.submit(`j${i}`, { ...want, text: `j${i}` })))
  await bench.until(() => bench.eventsOf('job_done').length === wants.length)
  const kinds = new Set(wants.map(keyOf))
  const inOrder = served(bench)
  expect(bench.target.loads.length - 1).toBe(kinds.size - 1)
  expect(bench.target.overlaps).toBe(0)
  for (const kind of kinds) {
    const expected = wants.flatMap((want, i) => (keyOf(want) === kind ? [`j${i}`] : []))
    expect(inOrder.filter(({ key }) => key === kind).map(({ id }) => id)).toEqual(expected)
  }
  await bench.close()
}

const several = (want: fc.Arbitrary<Want>) => fc.array(want, { minLength: 1, maxLength: 16, size: 'max' })

test(`k models queued at once cost k-1 swaps, first in first out inside each, in ${CASES_Q6} random cases`, async () => {
  const seed = seedOf('Q6')
  const wants = several(fc.record({ model: fc.constantFrom('m-a', 'm-b', 'm-c', 'm-d', 'm-e') }))
  await fc.assert(fc.asyncProperty(wants, drainAll), { seed, numRuns: CASES_Q6 })
  figure('Q6', `${CASES_Q6} random queues of up to 5 models: exactly k-1 swaps each, 0 out of order`)
}, 60_000)

test('two context sizes of one model are two things to load', async () => {
  const seed = seedOf('Q6 num_ctx')
  const wants = several(fc.record({ model: fc.constant('m-a'), numCtx: fc.constantFrom(2_048, 8_192) }))
  await fc.assert(fc.asyncProperty(wants, drainAll), { seed, numRuns: CASES_Q6 / 4 })
}, 60_000)

interface Traffic {
  readonly maxWaitMs: number
  readonly workMs: number
  /** A jobs that wait at any time: clients in a loop. */
  readonly clients: number
  readonly bAfterMs: number
}

/** A bench with A jobs that never end; every job's text is its id. */
const endlessA = ({ maxWaitMs, workMs, clients }: Traffic, refillMs: number) => {
  const bench = createBench({ store, workMs, config: { maxWaitMs, pollIntervalMs: 3_600_000 } })
  const submittedAt = new Map<string, number>()
  let isOver = false
  const submit = (model: string) => {
    const id = `j${submittedAt.size}`
    submittedAt.set(id, bench.clock.monotonicMs())
    void bench.submit(id, { model, text: id })
    return id
  }
  const refill = () => {
    if (isOver) return
    for (let waiting = bench.store.queue.counts().queued; waiting < clients; waiting++) submit('m-a')
    bench.clock.after(refillMs, refill)
  }
  refill()
  const finish = async () => {
    isOver = true
    await bench.close()
  }
  return { bench, submit, submittedAt, finish }
}

/** One B job under endless A jobs; how long it waited. */
const waitOfB = async (traffic: Traffic) => {
  const { bench, submit, submittedAt, finish } = endlessA(traffic, traffic.workMs / 4)
  await bench.clock.advance(traffic.bAfterMs)
  const b = submit('m-b')
  const startedAt = () => bench.target.seen.find(({ key }) => key === 'm-b')?.atMs
  await bench.until(() => startedAt() !== undefined, 2 * traffic.maxWaitMs, traffic.workMs / 2)
  const waitedMs = (startedAt() ?? Number.POSITIVE_INFINITY) - (submittedAt.get(b) ?? 0)
  await finish()
  return waitedMs
}

test(`a B job starts within the age bound plus one job under endless A jobs, in ${CASES_Q7} random cases`, async () => {
  const seed = seedOf('Q7')
  let latestMs = Number.NEGATIVE_INFINITY
  let soonestMs = Number.POSITIVE_INFINITY
  const traffic = fc.record({
    maxWaitMs: fc.integer({ min: 20_000, max: 2 * MINUTE_MS }),
    workMs: fc.integer({ min: 500, max: 4_000 }),
    clients: fc.integer({ min: 2, max: 4 }),
    bAfterMs: fc.integer({ min: 2_000, max: 20_000 }),
  })
  const starves = fc.asyncProperty(traffic, async (given) => {
    const afterBoundMs = (await waitOfB(given)) - given.maxWaitMs
    latestMs = Math.max(latestMs, afterBoundMs - given.workMs)
    soonestMs = Math.min(soonestMs, afterBoundMs)
    expect(afterBoundMs).toBeLessThanOrEqual(given.workMs)
    // Not sooner either, or A would not have been drained while it was loaded.
    expect(afterBoundMs).toBeGreaterThanOrEqual(0)
  })
  await fc.assert(starves, { seed, numRuns: CASES_Q7 })
  figure(
    'Q7',
    `${CASES_Q7} endless A streams: B started ${soonestMs} ms or more after the age bound, and ${-latestMs} ms or more before bound + one job`,
  )
}, 120_000)

test('with more A jobs than can be served, only jobs older than B go before it once it has aged', async () => {
  const traffic: Traffic = { maxWaitMs: 10_000, workMs: 1_000, clients: 40, bAfterMs: 0 }
  const { bench, submit, submittedAt, finish } = endlessA(traffic, 250)
  await bench.clock.advance(3_000)
  const b = submit('m-b')
  const bAt = submittedAt.get(b) ?? 0
  await bench.until(() => served(bench).some(({ id }) => id === b), 10 * MINUTE_MS, 500)
  const late = bench.target.seen
    .filter(({ atMs, isLoad }) => !isLoad && atMs > bAt + traffic.maxWaitMs)
    .flatMap(({ body }) => /"content":"(j\d+)"/.exec(body)?.[1] ?? [])
  const beforeB = late.slice(0, late.indexOf(b))
  expect(beforeB.length).toBeGreaterThan(5)
  for (const id of beforeB) expect(submittedAt.get(id)).toBeLessThanOrEqual(bAt)
  await finish()
})
