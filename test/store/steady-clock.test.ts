/** The steady clock in its database: it goes on after restarts, and people are shown what the wall clock showed. */
import { afterAll, beforeEach, expect, test } from 'bun:test'
import { createReader } from '../../src/store/reader.ts'
import { createSteadyClock } from '../../src/store/steady-clock.ts'
import { createJumpingClock, type JumpingClock } from '../support/jumping-clock.ts'
import { createTestStore, newJob } from '../support/store.ts'
import { settled } from '../support/virtual-clock.ts'

const store = createTestStore({ fast: true })
afterAll(store.close)

let machine: JumpingClock
beforeEach(() => {
  store.clear()
  store.db.run('DELETE FROM steady_time')
  store.db.run('DELETE FROM wall_offsets')
  machine = createJumpingClock()
})

const HOUR = 3_600_000
const DAY = 24 * HOUR
const open = () => createSteadyClock({ db: store.db, ledger: store.ledger, clock: machine })
const offsets = () => store.db.query('SELECT since_ms, offset_ms FROM wall_offsets ORDER BY since_ms').values()

test('it begins as the wall clock says, and goes on across kills, sleeps and jumps of one start of the machine', async () => {
  const began = machine.now()
  let clock = open()
  for (const jumpMs of [300 * DAY, -DAY, HOUR, -300 * DAY]) {
    await machine.advance(1_000)
    machine.jump(jumpMs)
    machine.sleep(2_000)
    clock.now()
    await machine.advance(1_000)
    // Nobody says goodbye to a process that is killed.
    machine.jump(jumpMs)
    await machine.advance(1_000)
    store.restart(true)
    clock = open()
    expect(clock.now() - began).toBe(machine.realMs())
  }
})

test('after another start of the machine a clock that was set back costs half a minute at most', async () => {
  const began = machine.now()
  const clock = open()
  for (let i = 0; i < 100; i++) {
    await machine.advance(1_000)
    await store.queue.submit(newJob(`j${i}`), clock.now())
  }
  machine.reboot(HOUR)
  machine.jump(-20 * 365 * DAY)
  store.restart(true)
  const lost = machine.realMs() - (open().now() - began)
  expect(lost).toBeGreaterThanOrEqual(HOUR)
  expect(lost).toBeLessThanOrEqual(HOUR + 31_000)
})

test('readers see of each event what the wall clock showed then, now and after a restart', async () => {
  const clock = open()
  const shown: number[] = []
  for (const jumpMs of [0, 300 * DAY, -DAY, HOUR]) {
    machine.jump(jumpMs)
    await machine.advance(5_000)
    shown.push(machine.now())
    await store.queue.submit(newJob(`j${shown.length}`), clock.now())
  }
  const seen = (read: ReturnType<typeof createReader>) =>
    shown.map((_, i) => {
      const job = read.find(`j${i + 1}`)
      return [job?.createdAt, job?.updatedAt, read.transitions(job?.seq ?? 0, 0)[0]?.at]
    })
  const wanted = shown.map((ms) => [ms, ms, ms])
  expect(seen(createReader(store.db, clock.wallAt))).toEqual(wanted)
  machine.reboot(HOUR)
  store.restart(true)
  const later = createReader(store.db, open().wallAt)
  expect(seen(later)).toEqual(wanted)
  const listed = later.list({ state: null, kind: null, model: null, limit: 9 }, later.top(null))
  expect(listed.map(({ createdAt }) => createdAt)).toEqual([...shown].reverse())
})

test('a thousand jumps are kept, and no more', async () => {
  const clock = open()
  for (let i = 0; i < 1_500; i++) {
    machine.jump(i % 2 === 0 ? DAY : -HOUR)
    await machine.advance(60_000)
    clock.now()
    await settled()
  }
  expect(offsets().length).toBe(1_000)
  expect(clock.wallAt(clock.now())).toBe(machine.now())
  store.restart()
  const again = open()
  expect(again.wallAt(again.now())).toBe(machine.now())
})

test('an idle foreman writes nothing, and one that works writes its mark twice a minute', async () => {
  const clock = open()
  const marks = () => store.ledger.totals.writes
  for (let i = 0; i < 60; i++) {
    await machine.advance(60_000)
    clock.now()
    await settled()
  }
  expect(marks()).toBe(0)
  for (let i = 0; i < 600; i++) {
    await machine.advance(1_000)
    await store.queue.submit(newJob(`j${i}`), clock.now())
  }
  expect(marks() - 600).toBeGreaterThanOrEqual(18)
  expect(marks() - 600).toBeLessThanOrEqual(21)
})
