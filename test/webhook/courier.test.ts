/** Proves the courier's loop on a virtual clock: what is tried when, in which order, and how it ends. */
import { describe, expect, test } from 'bun:test'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { settled } from '../support/virtual-clock.ts'
import { accepted, createCourierRig, failed, hangs } from './courier-rig.ts'

const HOUR_MS = 3_600_000

describe('retries', () => {
  test('three virtual days to a receiver that always fails: nine tries on the documented schedule, then given up', async () => {
    const rig = createCourierRig(() => failed(), { seed: seedOf('courier schedule') })
    const id = rig.outbox.owe('a', 'http://down/')
    rig.courier.start()
    await rig.clock.advance(72 * HOUR_MS)
    const gapsS = rig.tries.slice(1).map(({ atMs }, i) => (atMs - rig.tries[i]!.atMs) / 1_000)
    const documentedS = [1, 2, 4, 8, 16, 60, 300, 900]
    expect(gapsS.length).toBe(documentedS.length)
    for (const [i, baseS] of documentedS.entries()) expect(gapsS[i]!).toBeWithin(baseS * 0.8, baseS * 1.2 + 0.002)
    expect(rig.outbox.get(id)).toMatchObject({
      state: 'given_up',
      tries: 9,
      problem: 'it answered 503 (the last of 9 tries)',
    })
    expect(rig.events.map(({ event }) => event)).toEqual([...Array(8).fill('webhook_retried'), 'webhook_given_up'])
    await rig.courier.stop(0)
    expect(rig.clock.pending).toBe(0)
    figure('W4', `virtual 3 days, tries at gaps of ${gapsS.map((gap) => gap.toFixed(1)).join(', ')} s, then given up`)
  })

  test('Retry-After is kept to between the delay and twice the delay', async () => {
    const rig = createCourierRig(({ jobId }) => failed(Number(jobId)))
    for (const askedMs of ['0', '1500', '86400000']) rig.outbox.owe(askedMs, `http://down-${askedMs}/`)
    rig.courier.start()
    await rig.clock.advance(2_000)
    const secondTries = ['0', '1500', '86400000'].map((id) => rig.tries.filter(({ jobId }) => jobId === id)[1]?.atMs)
    expect(secondTries).toEqual([1_000, 1_500, 2_000])
    await rig.courier.stop(0)
  })

  test('410 and a refusal end it at once, and the next of the job is not held up', async () => {
    const rig = createCourierRig(({ jobId, sequence }) => {
      if (sequence === 2) return accepted
      return jobId === 'gone' ? { kind: 'gone' } : { kind: 'refused', reason: '10.0.0.1 is a private address' }
    })
    for (const job of ['gone', 'refused']) for (let i = 0; i < 2; i++) rig.outbox.owe(job, `http://${job}/`)
    rig.courier.start()
    await rig.clock.advance(10)
    expect(rig.outbox.all().map(({ jobId, sequence, state }) => `${jobId}.${sequence} ${state}`)).toEqual([
      'gone.1 given_up',
      'gone.2 accepted',
      'refused.1 given_up',
      'refused.2 accepted',
    ])
    await rig.courier.stop(0)
  })
})

describe('order', () => {
  test('1,000 jobs with failing receivers: per job the first receipts come strictly in order, and none is missing', async () => {
    const dice = createDice(seedOf('courier order'))
    const rig = createCourierRig(() => (dice.chance(0.3) ? failed() : accepted), { seed: 7 })
    for (let i = 0; i < 4_000; i++) rig.outbox.owe(`job${i % 1_000}`, `http://receiver-${i % 50}/`)
    rig.courier.start()
    await rig.clock.advance(HOUR_MS)
    // Nine failures in a row befall one delivery in 50,000: that one is given up, and counts as tried.
    const isOver = ({ state, tries }: { state: string; tries: number }) =>
      state === 'accepted' || (state === 'given_up' && tries === 9)
    expect(rig.outbox.all().filter((row) => !isOver(row))).toEqual([])
    const firsts = new Map<string, number[]>()
    for (const { jobId, sequence } of rig.tries) {
      const seen = firsts.get(jobId) ?? []
      if (!seen.includes(sequence)) firsts.set(jobId, [...seen, sequence])
    }
    expect([...firsts.values()].filter((seen) => String(seen) !== '1,2,3,4')).toEqual([])
    await rig.courier.stop(0)
    figure('W2', `1,000 jobs of 4 events, 30 % failures: ${rig.tries.length} tries, out of order: 0`)
  }, 30_000)
})

describe('waiting', () => {
  test('a nudge delivers at once, without one it is at most a minute', async () => {
    const rig = createCourierRig(() => accepted)
    rig.courier.start()
    await rig.clock.advance(10)
    rig.outbox.owe('a', 'http://good/')
    rig.courier.nudge()
    await settled()
    rig.outbox.owe('b', 'http://good/')
    await rig.clock.advance(60_010)
    expect(rig.tries.map(({ jobId }) => jobId)).toEqual(['a', 'b'])
    expect(rig.tries[0]!.atMs).toBe(10)
    await rig.courier.stop(0)
  })

  test('what is due later is delivered then, and an idle courier hardly asks', async () => {
    const rig = createCourierRig(() => accepted)
    rig.outbox.owe('a', 'http://good/', rig.clock.now() + 30_000)
    rig.courier.start()
    await rig.clock.advance(HOUR_MS)
    expect(rig.tries.map(({ atMs }) => atMs)).toEqual([30_000])
    expect(rig.outbox.asked.calls).toBeLessThan(70)
    await rig.courier.stop(0)
  })
})

describe('trouble inside', () => {
  test('a disk that refuses writes does not make a second delivery', async () => {
    const rig = createCourierRig(() => accepted)
    const id = rig.outbox.owe('a', 'http://good/')
    rig.outbox.failWrites(4)
    rig.courier.start()
    await rig.clock.advance(30_000)
    expect(rig.tries.length).toBe(1)
    expect(rig.outbox.get(id).state).toBe('accepted')
    expect(rig.events.map(({ event }) => event)).toEqual([...Array(4).fill('settle_retried'), 'webhook_accepted'])
    await rig.courier.stop(0)
  })

  test('an outbox that throws and a delivery that throws end neither the loop nor the delivery', async () => {
    let throws = 2
    const rig = createCourierRig(() => {
      if (throws-- > 0) throw new Error('a defect')
      return accepted
    })
    const id = rig.outbox.owe('a', 'http://good/')
    const { look } = rig.outbox
    let broken = true
    rig.outbox.look = (asked) => {
      if (broken) throw new Error('no database')
      return look(asked)
    }
    rig.courier.start()
    await rig.clock.advance(5_000)
    broken = false
    await rig.clock.advance(10_000)
    expect(rig.outbox.get(id).state).toBe('accepted')
    expect(rig.events.filter(({ event }) => event === 'loop_failed').length).toBeWithin(5, 9)
    await rig.courier.stop(0)
  })
})

describe('stop', () => {
  test('lets what is under way end within the grace, gives up the rest and leaves it owed', async () => {
    const finish = Promise.withResolvers<void>()
    const rig = createCourierRig(({ host }) => (host === 'slow' ? finish.promise.then(() => accepted) : hangs()))
    const slow = rig.outbox.owe('a', 'http://slow/')
    const hanging = rig.outbox.owe('b', 'http://hanging/')
    rig.outbox.owe('c', 'http://slow/')
    rig.courier.start()
    await rig.clock.advance(10)
    const stopped = rig.courier.stop(2_000)
    await rig.clock.advance(1_000)
    finish.resolve()
    await rig.clock.advance(999)
    expect(rig.inFlight()).toBe(1)
    await rig.clock.advance(1)
    await stopped
    expect([rig.outbox.get(slow).state, rig.outbox.get(hanging).state]).toEqual(['accepted', 'owed'])
    expect(rig.outbox.get(hanging).tries).toBe(0)
    expect(rig.tries.length).toBe(2)
    expect(rig.clock.pending).toBe(0)
  })

  test('asked for twice is waited for twice, and the shorter grace counts', async () => {
    const rig = createCourierRig(() => hangs())
    rig.outbox.owe('a', 'http://hanging/')
    rig.courier.start()
    await rig.clock.advance(10)
    const order: string[] = []
    const first = rig.courier.stop(9_000).then(() => order.push('first'))
    const second = rig.courier.stop(500).then(() => order.push('second'))
    await rig.clock.advance(499)
    expect([order, rig.inFlight()]).toEqual([[], 1])
    await rig.clock.advance(1)
    await Promise.all([first, second])
    expect([rig.inFlight(), rig.clock.pending]).toEqual([0, 0])
  })

  test('a disk that refuses to the end does not hold it either', async () => {
    const rig = createCourierRig(() => accepted)
    const id = rig.outbox.owe('a', 'http://good/')
    rig.outbox.failWrites(1_000)
    rig.courier.start()
    await rig.clock.advance(10_000)
    const stopped = rig.courier.stop(100)
    await rig.clock.advance(100)
    await stopped
    expect(rig.outbox.get(id).state).toBe('owed')
    expect(rig.clock.pending).toBe(0)
  })

  test('500 starts and stops at random moments leave no timer and lose nothing', async () => {
    const dice = createDice(seedOf('courier start and stop'))
    const rig = createCourierRig(() => (dice.chance(0.5) ? accepted : hangs()))
    for (let i = 0; i < 500; i++) {
      rig.outbox.owe(`job${i % 60}`, `http://receiver-${i % 7}/`)
      rig.courier.start()
      if (dice.chance(0.5)) rig.courier.nudge()
      if (dice.chance(0.5)) await rig.clock.advance(dice.between(0, 50))
      const stopped = rig.courier.stop(0)
      await rig.clock.advance(1)
      await stopped
      expect([rig.clock.pending, rig.inFlight()]).toEqual([0, 0])
    }
    expect(rig.outbox.all().filter(({ state }) => state === 'given_up')).toEqual([])
    expect(rig.outbox.all().filter(({ state }) => state === 'accepted').length).toBeGreaterThan(50)
  }, 30_000)
})
