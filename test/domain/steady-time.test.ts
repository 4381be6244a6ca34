/** Steady time counts real time whatever the wall clock is set to. */
import { describe, expect, test } from 'bun:test'
import { type Boot, createSteadyTime, type SteadyMark } from '../../src/domain/steady-time.ts'

const START = Date.UTC(2026, 0, 1)
const HOUR = 3_600_000
const DAY = 24 * HOUR

interface World {
  wallMs: number
  monotonicMs: number
  boot: Boot | null
}

const begin = (mark: SteadyMark | null = null, over: Partial<World> = {}) => {
  const world: World = { wallMs: START, monotonicMs: 0, boot: { id: 'one', ms: 5_000 }, ...over }
  const steady = createSteadyTime(mark, world, () => world.boot)
  return {
    world,
    steady,
    at: () => steady.at(world),
    pass(ms: number, wallMs = ms) {
      world.wallMs += wallMs
      world.monotonicMs += ms
      if (world.boot !== null) world.boot = { ...world.boot, ms: world.boot.ms + ms }
    },
  }
}

test('it is the wall clock as long as that does not jump', () => {
  const { at, pass, steady } = begin()
  expect(at()).toBe(START)
  for (let i = 0; i < 1_000; i++) {
    pass(60_000, 60_000 + (i % 3) - 1)
    at()
  }
  expect([at(), steady.offsetMs]).toEqual([START + 60_000_000 - 1, 0])
})

test.each([300 * DAY, -DAY, HOUR, 2_000, -2_000])('a jump of %d ms is not felt, and can be told', (jumpMs) => {
  const { at, pass, steady, world } = begin()
  pass(10_000)
  world.wallMs += jumpMs
  expect([at(), steady.offsetMs]).toEqual([START + 10_000, jumpMs])
  pass(10_000)
  expect(at()).toBe(START + 20_000)
  world.wallMs -= jumpMs
  expect([at(), steady.offsetMs]).toEqual([START + 20_000, 0])
})

test('a wall clock that is corrected in small steps is followed, and never backwards', () => {
  const { at, pass } = begin()
  let last = at()
  for (let i = 0; i < 100; i++) {
    pass(60_000, 59_500)
    expect(at()).toBeGreaterThanOrEqual(last)
    last = at()
  }
  expect(at()).toBe(START + 100 * 59_500)
})

test('a wall clock that runs at double speed is not followed', () => {
  const { at, pass } = begin()
  for (let i = 0; i < 36_000; i++) {
    pass(100, 200)
    at()
  }
  const errorMs = at() - START - HOUR
  expect(errorMs).toBeGreaterThanOrEqual(0)
  expect(errorMs).toBeLessThanOrEqual((HOUR / 60_000) * 1_000)
})

describe('sleep', () => {
  test('counts, though the monotonic clock stands still in it', () => {
    const { at, world, steady } = begin()
    world.wallMs += 8 * HOUR
    world.boot = { id: 'one', ms: 5_000 + 8 * HOUR }
    expect([at(), steady.offsetMs]).toEqual([START + 8 * HOUR, 0])
  })

  test('is told from a jump that comes with it', () => {
    const { at, world, steady, pass } = begin()
    for (let i = 1; i <= 3; i++) {
      world.wallMs += 8 * HOUR + 300 * DAY
      world.boot = { id: 'one', ms: (world.boot?.ms ?? 0) + 8 * HOUR }
      expect([at(), steady.offsetMs]).toEqual([START + i * 8 * HOUR + (i - 1) * 1_000, i * 300 * DAY])
      pass(1_000)
    }
  })

  test('cannot be told where the machine does not say: it is left out', () => {
    const { at, world, steady } = begin(null, { boot: null })
    world.wallMs += 8 * HOUR
    expect([at(), steady.offsetMs]).toEqual([START, 8 * HOUR])
  })
})

describe('after a restart of foreman', () => {
  const mark: SteadyMark = { steadyMs: START, offsetMs: 0, boot: { id: 'one', ms: 5_000 } }
  const sameBoot = { id: 'one', ms: 5_000 + HOUR }

  test('it goes on by as much as has passed', () => {
    expect(begin(mark, { wallMs: START + HOUR, boot: sameBoot }).at()).toBe(START + HOUR)
    expect(begin(mark, { wallMs: START + HOUR, boot: { id: 'two', ms: 60_000 } }).at()).toBe(START + HOUR)
    expect(begin(mark, { wallMs: START + HOUR, boot: null }).at()).toBe(START + HOUR)
  })

  test.each([300 * DAY, -DAY])('a jump of %d ms meanwhile is not felt within one start of the machine', (jumpMs) => {
    const { at, steady } = begin(mark, { wallMs: START + HOUR + jumpMs, boot: sameBoot })
    expect([at(), steady.offsetMs]).toEqual([START + HOUR, jumpMs])
  })

  test('a clock that was set back while the machine was off stops it, and cannot turn it back', () => {
    const { at, steady } = begin(mark, { wallMs: START - 20 * 365 * DAY, boot: { id: 'two', ms: 60_000 } })
    expect([at(), steady.offsetMs]).toEqual([START, -20 * 365 * DAY])
  })

  test('an earlier jump is still one', () => {
    const jumped = { ...mark, offsetMs: 300 * DAY }
    const { at, steady } = begin(jumped, { wallMs: START + HOUR + 300 * DAY, boot: { id: 'two', ms: 60_000 } })
    expect([at(), steady.offsetMs]).toEqual([START + HOUR, 300 * DAY])
  })

  test('a container that counts its own start differently is one more start', () => {
    expect(begin(mark, { wallMs: START + HOUR, boot: { id: 'one', ms: 20 } }).at()).toBe(START + HOUR)
  })
})
