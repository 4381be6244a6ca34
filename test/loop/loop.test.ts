/** One loop for all: started and stopped at any time, nudged at any time, and never ended by what it does. */
import { describe, expect, test } from 'bun:test'
import { createLoop, type LoopDeps } from '../../src/loop/loop.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'

const WORKERS = 10
const ROUNDS = 50

const createRig = (body: LoopDeps['body'], pauseMs?: number) => {
  const clock = createVirtualClock()
  const failures: unknown[] = []
  const rig = { clock, failures, runs: 0 }
  const counted = (signal: AbortSignal) => {
    rig.runs++
    return body(signal)
  }
  const failed = (error: unknown) => void failures.push(error)
  const loop = createLoop({ name: 'test', clock, body: counted, failed, ...(pauseMs !== undefined && { pauseMs }) })
  return Object.assign(rig, { loop })
}

/** A body that waits until it is told to end, and knows its signals. */
const createGate = () => {
  const gate = { signals: [] as AbortSignal[], open: () => {} }
  const body = async (signal: AbortSignal): Promise<number | null> => {
    gate.signals.push(signal)
    await new Promise<void>((resolve) => {
      gate.open = resolve
    })
    return null
  }
  return Object.assign(gate, { body })
}

describe('a loop', () => {
  test('runs at once, then after as long as its body says', async () => {
    const rig = createRig(async () => 1_000)
    rig.loop.start()
    expect(rig.runs).toBe(1)
    await rig.clock.advance(999)
    expect(rig.runs).toBe(1)
    await rig.clock.advance(3_001)
    expect(rig.runs).toBe(5)
    await rig.loop.stop()
    expect(rig.clock.pending).toBe(0)
  })

  test('waits for a nudge when its body says null, and runs again at once when it says 0', async () => {
    const answers = [0, 0, null]
    const rig = createRig(async () => answers.shift() ?? null)
    rig.loop.start()
    await rig.clock.advance(3_600_000)
    expect(rig.runs).toBe(3)
    rig.loop.nudge()
    await settled()
    expect(rig.runs).toBe(4)
    await rig.loop.stop()
  })

  test('started twice runs once', async () => {
    const rig = createRig(async () => 1_000)
    rig.loop.start()
    rig.loop.start()
    await rig.clock.advance(1_500)
    expect(rig.runs).toBe(2)
    await rig.loop.stop()
  })
})

describe('a nudge', () => {
  test('during the body is followed by another run from its beginning, and many by one', async () => {
    const gate = createGate()
    const rig = createRig(gate.body)
    rig.loop.start()
    for (let i = 0; i < 5; i++) rig.loop.nudge()
    gate.open()
    await settled()
    expect(rig.runs).toBe(2)
    gate.open()
    await settled()
    expect(rig.runs).toBe(2)
    await rig.loop.stop()
  })

  test('is never lost: whatever was asked for before it has been seen by a run that began after it', async () => {
    const dice = createDice(seedOf('nudges'))
    let asked = 0
    let seen = 0
    const rig = createRig(async () => {
      const found = asked
      if (dice.chance(0.5)) await settled()
      seen = found
      return dice.chance(0.3) ? dice.between(1, 20) : null
    })
    rig.loop.start()
    for (let round = 0; round < 1_000; round++) {
      asked++
      rig.loop.nudge()
      if (dice.chance(0.5)) await settled()
      if (dice.chance(0.1)) await rig.clock.advance(dice.between(0, 10))
      if (dice.chance(0.2)) continue
      await settled()
      await settled()
      await settled()
      expect(seen).toBe(asked)
    }
    await rig.loop.stop()
  })
})

describe('a body that throws', () => {
  test('is told and run again after the pause, however often it is nudged', async () => {
    const rig = createRig(async () => {
      throw new Error('bug')
    }, 200)
    rig.loop.start()
    await settled()
    expect([rig.runs, rig.failures.length]).toEqual([1, 1])
    for (let i = 0; i < 10; i++) {
      rig.loop.nudge()
      await rig.clock.advance(19)
    }
    expect(rig.runs).toBe(1)
    await rig.clock.advance(10)
    expect([rig.runs, rig.failures.length]).toEqual([2, 2])
    await rig.loop.stop()
    expect(rig.clock.pending).toBe(0)
  })

  test('goes on even when the one who is told throws as well', async () => {
    const clock = createVirtualClock()
    let runs = 0
    const body = async () => {
      runs++
      throw new Error('bug')
    }
    const loop = createLoop({
      name: 'test',
      clock,
      body,
      failed: () => {
        throw new Error('another')
      },
    })
    loop.start()
    await clock.advance(10_500)
    expect(runs).toBe(11)
    await loop.stop()
  })
})

describe('a stop', () => {
  test("aborts the body's signal and waits for the body; every caller waits", async () => {
    const gate = createGate()
    const rig = createRig(gate.body)
    rig.loop.start()
    const order: string[] = []
    const stops = ['first', 'second'].map((name) => rig.loop.stop().then(() => order.push(name)))
    await settled()
    expect([order, gate.signals[0]?.aborted]).toEqual([[], true])
    order.push('body')
    gate.open()
    await Promise.all(stops)
    expect(order).toEqual(['body', 'first', 'second'])
    expect(rig.runs).toBe(1)
  })

  test('ends a sleep and a pause at once', async () => {
    for (const body of [async () => 3_600_000, async () => null, () => Promise.reject(new Error('bug'))]) {
      const rig = createRig(body)
      rig.loop.start()
      await settled()
      await rig.loop.stop()
      expect([rig.clock.pending, rig.runs]).toEqual([0, 1])
    }
  })

  test('of a loop that never ran is over at once', async () => {
    const rig = createRig(async () => null)
    await rig.loop.stop()
    await rig.loop.stop()
    expect(rig.runs).toBe(0)
  })

  test('is not undone by a start that comes during it: the next run begins when the last is over', async () => {
    const gate = createGate()
    const rig = createRig(gate.body)
    rig.loop.start()
    const stopped = rig.loop.stop()
    rig.loop.start()
    await settled()
    expect(rig.runs).toBe(1)
    gate.open()
    await stopped
    await settled()
    expect([rig.runs, gate.signals[1]?.aborted]).toEqual([2, false])
    const again = rig.loop.stop()
    gate.open()
    await again
    expect(rig.runs).toBe(2)
  })

  test('takes back a start that still waits for the stop before it', async () => {
    const gate = createGate()
    const rig = createRig(gate.body)
    rig.loop.start()
    const stops = [rig.loop.stop()]
    rig.loop.start()
    stops.push(rig.loop.stop())
    gate.open()
    await Promise.all(stops)
    expect(rig.runs).toBe(1)
  })
})

test(`${WORKERS} callers × ${ROUNDS} starts, nudges and stops: never two bodies at once, nothing left`, async () => {
  const dice = createDice(seedOf('loop stress'))
  let inside = 0
  let most = 0
  const rig = createRig(async () => {
    most = Math.max(most, ++inside)
    if (dice.chance(0.7)) await settled()
    inside--
    if (dice.chance(0.2)) throw new Error('bug')
    return dice.pick([null, 5, 100])
  })
  const worker = async () => {
    for (let round = 0; round < ROUNDS; round++) {
      rig.loop.start()
      if (dice.chance(0.5)) rig.loop.nudge()
      if (dice.chance(0.5)) await settled()
      await rig.loop.stop()
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, worker))
  await rig.loop.stop()
  expect([most, inside, rig.clock.pending]).toEqual([1, 0, 0])
  expect(rig.runs).toBeGreaterThan(ROUNDS)
  figure('L3', `a loop started and stopped ${WORKERS} × ${ROUNDS} times at random: 0 timers left, never two bodies`)
})
