/** B5, B6: a wall clock that jumps by 300 days, a day and an hour every minute, for a week with restarts: all that is due is due by real time. */
import { afterAll, expect, test } from 'bun:test'
import { systemClock } from '../../src/clock.ts'
import { createOutbox, type OwedDelivery } from '../../src/store/outbox.ts'
import { createSteadyClock } from '../../src/store/steady-clock.ts'
import { createSweep } from '../../src/store/sweep.ts'
import { createCourier } from '../../src/webhook/courier.ts'
import type { Outbox } from '../../src/webhook/outbox.ts'
import { retryDelayMs } from '../../src/webhook/schedule.ts'
import { createDice } from '../support/chance.ts'
import { createBench } from '../support/engine-bench.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createJumpingClock } from '../support/jumping-clock.ts'
import { createTestStore, newJob, type TestStore } from '../support/store.ts'
import type { VirtualClock } from '../support/virtual-clock.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const JUMPS = [300 * DAY, -DAY, HOUR]
const TTL = 6 * HOUR
const HOURS_PER_LIFE = 12
const LIVES = (7 * 24) / HOURS_PER_LIFE
const STEP_MS = 10_000
const LATE_MAX_MS = 60_000
const BACKOFFS_MS = [1_000, 2_000]

const store = createTestStore({ fast: true })
afterAll(store.close)

const dice = createDice(seedOf('jumping'))
const machine = createJumpingClock()
let startedAtMs = 0
const late: Record<string, number[]> = { backoff: [], webhook: [], sweep: [] }

/** Something that was due at `dueMs` happens now: never before, and at most a minute later, or later than foreman was there at all. */
const happens = (what: string, dueMs: number) => {
  const lateMs = machine.realMs() - Math.max(dueMs, startedAtMs)
  expect(machine.realMs()).toBeGreaterThanOrEqual(dueMs - 1)
  expect(lateMs).toBeLessThanOrEqual(LATE_MAX_MS)
  late[what]?.push(lateMs)
}

/** When each attempt of a job failed, and each try of a delivery. */
const failures = new Map<string, number[]>()
const failed = (name: string) => {
  const times = failures.get(name) ?? []
  failures.set(name, [...times, machine.realMs()])
}

const indexOf = (text: string) => Number(/j(\d+)/.exec(text)?.[1] ?? 0)

/** The model runner crashes under the first attempts of two jobs in three. */
const tryWork = (text: string): boolean => {
  const name = `work ${indexOf(text)}`
  const before = failures.get(name) ?? []
  const last = before.at(-1)
  if (last !== undefined) happens('backoff', last + (BACKOFFS_MS[before.length - 1] ?? 0))
  if (before.length >= indexOf(text) % 3) return true
  failed(name)
  return false
}

/** A receiver that fails for the first tries of its first transition, up to the one after five minutes. */
const tryDelivery = (id: string): boolean => {
  const before = failures.get(id) ?? []
  const last = before.at(-1)
  if (last !== undefined) happens('webhook', last + (retryDelayMs(before.length, 0.5, null) ?? 0))
  if (!id.endsWith('_1') || before.length >= indexOf(id) % 8) return true
  failed(id)
  return false
}

const done = new Map<string, number>()
const stored = () =>
  new Set(
    store.db
      .query<{ id: string }, []>('SELECT id FROM jobs')
      .all()
      .map(({ id }) => id),
  )

/** What is swept between two looks was due by the second. */
const lookForSwept = () => {
  const ids = stored()
  for (const [id, doneMs] of done) {
    if (ids.has(id)) continue
    happens('sweep', doneMs + TTL)
    done.delete(id)
  }
}

const startLife = () => {
  startedAtMs = machine.realMs()
  const steady = createSteadyClock({ db: store.db, ledger: store.ledger, clock: machine })
  const clock: VirtualClock = { ...steady, advance: machine.advance, pending: 0 }
  // Its steps are bounded in real time, and wait for each other in that of the machine.
  const sweepClock = { monotonicMs: systemClock.monotonicMs, after: machine.after }
  const sweep = createSweep({ db: store.db, ledger: store.ledger, clock: sweepClock })
  const kept: TestStore = Object.create(store, { sweep: { value: sweep } })
  const bench = createBench({ store: kept, clock, keep: true, workMs: 200, config: { jobTtlMs: TTL } })
  bench.target.script = ({ isWork, body }) => (isWork && !tryWork(body) ? { kind: 'reset' } : undefined)
  const outbox: Outbox<OwedDelivery> = createOutbox({
    db: store.db,
    ledger: store.ledger,
    clock: systemClock,
  })
  const courier = createCourier({
    outbox,
    delivery: {
      deliver: async ({ id }) =>
        tryDelivery(id)
          ? { kind: 'accepted', status: 200 }
          : { kind: 'retry', reason: 'no', retryAfterMs: null, isAnswer: true },
    },
    compose: ({ jobId, sequence }) => ({ id: `${jobId}_${sequence}`, body: new Uint8Array() }),
    clock: steady,
    random: () => 0.5,
    emit: () => undefined,
  })
  bench.bus.on('job_done', 'test', ({ jobId }) => void done.set(jobId, machine.realMs()))
  courier.start()
  return { bench, courier, steady }
}

test('a week of jumps', async () => {
  let jobs = 0
  for (let life = 0; life < LIVES; life++) {
    const { bench, courier, steady } = startLife()
    for (let minute = 0; minute < HOURS_PER_LIFE * 60; minute++) {
      machine.jump(dice.pick(JUMPS))
      if (minute % 20 === 0 || minute === HOURS_PER_LIFE * 60 - 1) {
        const id = `j${jobs++}`
        const request = new TextEncoder().encode(JSON.stringify({ model: 'm-a', prompt: id }))
        const webhookUrl = `http://r${jobs}.lan/`
        await store.queue.submit(newJob(id, { endpoint: '/api/generate', request, webhookUrl }), steady.now())
        bench.engine.nudge()
        courier.nudge()
      }
      for (let ms = 0; ms < MINUTE; ms += STEP_MS) {
        await machine.advance(STEP_MS)
        lookForSwept()
      }
    }
    // One job has just failed, and its backoff and its webhook's go over the restart.
    await Promise.all([bench.stop(0), courier.stop(0)])
    if (life % 4 === 3) machine.reboot(10 * MINUTE)
    else {
      machine.sleep(10 * MINUTE)
      machine.jump(dice.pick(JUMPS))
    }
    store.restart(true)
  }
  const worst = (what: string) => `${what} ${Math.max(...(late[what] ?? [])) / 1_000} s of ${late[what]?.length}`
  figure(
    'B5',
    `${jobs} jobs in a week of jumps, ${LIVES - 1} restarts; latest: ${['backoff', 'webhook', 'sweep'].map(worst).join(', ')}`,
  )
  expect(late['backoff']?.length).toBeGreaterThan(300)
  expect(late['webhook']?.length).toBeGreaterThan(1_000)
  expect(late['sweep']?.length).toBeGreaterThan(400)
}, 120_000)
