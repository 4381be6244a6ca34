/** A receiver that is down costs what asking for it costs, however much it is owed; when it is back everything arrives, in order. */
import { describe, expect, test } from 'bun:test'
import type { DeliveryOutcome } from '../../src/webhook/delivery.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createVirtualClock, type VirtualClock } from '../support/virtual-clock.ts'
import { accepted, createCourierRig, failed, hangs, unreached } from './courier-rig.ts'

const OWED = 2_000
const HOUR_MS = 3_600_000

const owing = (receive: () => DeliveryOutcome | Promise<DeliveryOutcome>) => {
  const rig = createCourierRig(({ host }) => (host === 'good' ? accepted : receive()))
  for (let i = 0; i < OWED; i++) rig.outbox.owe(`job${i}`, 'http://down/')
  rig.courier.start()
  return rig
}

describe('a receiver that cannot be reached', () => {
  test(`is asked with one of ${OWED} at a time, at most every 12.8 s, and none of them is given up for it`, async () => {
    const rig = owing(() => unreached)
    await rig.clock.advance(HOUR_MS)
    expect(rig.tries.slice(0, 7).map(({ atMs }) => atMs)).toEqual([0, 800, 2_400, 5_600, 12_000, 24_800, 37_600])
    expect(rig.tries.length).toBeWithin(270, 290)
    expect(rig.outbox.asked.calls).toBeLessThan(4 * rig.tries.length)
    expect(rig.outbox.all().filter(({ state }) => state !== 'owed')).toEqual([])
    figure('W5', `${OWED} owed to a receiver that is down for an hour`, `${rig.tries.length} tries`)
    await rig.courier.stop(0)
  })

  test('gets everything soon after its return', async () => {
    let isDown = true
    const rig = owing(() => (isDown ? unreached : accepted))
    await rig.clock.advance(HOUR_MS)
    isDown = false
    await rig.clock.advance(13_000)
    expect(rig.outbox.all().filter(({ state }) => state !== 'accepted').length).toBeLessThan(400)
    // Those it was asked with wait for their own time.
    await rig.clock.advance(HOUR_MS)
    expect(rig.outbox.all().filter(({ state }) => state !== 'accepted')).toEqual([])
    await rig.courier.stop(0)
  })

  test('holds up nobody else, and neither does a new event for it', async () => {
    const rig = owing(() => unreached)
    await rig.clock.advance(60_000)
    const before = rig.tries.length
    for (let i = 0; i < 100; i++) {
      rig.outbox.owe(`more${i}`, 'http://down/')
      const good = rig.outbox.owe(`good${i}`, 'http://good/')
      rig.courier.nudge()
      await rig.clock.advance(1)
      expect(rig.outbox.get(good).state).toBe('accepted')
    }
    expect(rig.tries.filter(({ host }) => host === 'down').length - before).toBeLessThanOrEqual(1)
    await rig.courier.stop(0)
  })

  test('is found again by a few that fail together as soon as by one', async () => {
    let isDown = false
    const rig = createCourierRig(async () => {
      await new Promise<void>((resolve) => void rig.clock.after(10, resolve))
      return isDown ? unreached : accepted
    })
    for (let i = 0; i < 200; i++) rig.outbox.owe(`job${i}`, 'http://flaky/')
    rig.courier.start()
    await rig.clock.advance(65)
    expect(rig.inFlight()).toBe(8)
    isDown = true
    await rig.clock.advance(10)
    isDown = false
    await rig.clock.advance(820)
    expect(rig.outbox.all().filter(({ state }) => state !== 'accepted').length).toBeLessThan(190)
    expect(rig.inFlight()).toBeGreaterThan(0)
    const stopped = rig.courier.stop(1_000)
    await rig.clock.advance(1_000)
    await stopped
  })
})

test('a receiver that hangs is asked at most every 12.8 s after it was given up, whatever it is owed', async () => {
  const rig = owing(hangs)
  await rig.clock.advance(HOUR_MS)
  expect(rig.tries.length).toBeWithin(150, 170)
  const stopped = rig.courier.stop(0)
  await rig.clock.advance(0)
  await stopped
})

test(`a receiver that answers 503 to each of ${OWED} is asked at most 10 times a second`, async () => {
  const rig = owing(() => failed())
  await rig.clock.advance(60_000)
  expect(rig.tries.length).toBeWithin(550, 640)
  expect(rig.most.perHost).toBe(1)
  await rig.courier.stop(0)
})

test('so is one on a real clock, whose readings go on while the courier thinks and whose timers are a little early', async () => {
  const virtual = createVirtualClock()
  const { random } = createDice(seedOf('real clock'))
  let readMs = 0
  const clock: VirtualClock = {
    ...virtual,
    monotonicMs: () => {
      readMs += random() / 10
      return virtual.monotonicMs() + readMs
    },
    after: (delayMs, run) => virtual.after(delayMs - random(), run),
  }
  const rig = createCourierRig(() => failed(), { clock })
  for (let i = 0; i < OWED; i++) rig.outbox.owe(`job${i}`, 'http://down/')
  rig.courier.start()
  await clock.advance(60_000)
  expect(rig.tries.length).toBeWithin(550, 640)
  await rig.courier.stop(0)
})

test('one look fills all lanes: 8,000 owed to 40 receivers take few looks', async () => {
  const rig = createCourierRig(async () => {
    await new Promise<void>((resolve) => void rig.clock.after(5, resolve))
    return accepted
  })
  for (let i = 0; i < 8_000; i++) rig.outbox.owe(`job${i}`, `http://receiver-${i % 40}/`)
  rig.courier.start()
  await rig.clock.advance(10_000)
  expect(rig.outbox.all().filter(({ state }) => state !== 'accepted')).toEqual([])
  expect(rig.outbox.asked.rows).toBe(8_000)
  expect(rig.outbox.asked.calls).toBeLessThan(800)
  await rig.courier.stop(0)
}, 30_000)
