/** The lanes share places out: widths that are earned, turns that go round, rests that grow. */
import { describe, expect, test } from 'bun:test'
import { createLanes } from '../../src/webhook/lanes.ts'

const fill = (lanes: ReturnType<typeof createLanes<string>>, origin: string, count: number) =>
  lanes.shelve(
    origin,
    Array.from({ length: count }, (_, i) => `${origin}${i + 1}`),
    false,
  )

const takeAll = (lanes: ReturnType<typeof createLanes<string>>, nowMs = 0): string[] => {
  const taken: string[] = []
  for (let next = lanes.take(nowMs); next !== null; next = lanes.take(nowMs)) taken.push(next.owed)
  return taken
}

describe('width', () => {
  test('is one to begin with, doubles with each answer up to the most, and is one again after a failure', () => {
    const lanes = createLanes<string>(4)
    const widths: number[] = []
    for (const reaction of ['took', 'took', 'took', 'declined'] as const) {
      fill(lanes, 'a', 20)
      widths.push(takeAll(lanes).length)
      for (let i = 0; i < (widths.at(-1) ?? 0); i++) lanes.leave('a', reaction, 0)
      lanes.clear()
    }
    fill(lanes, 'a', 20)
    widths.push(takeAll(lanes, 1_000).length)
    expect(widths).toEqual([1, 2, 4, 4, 1])
  })

  test('turns go round, however much one is owed', () => {
    const lanes = createLanes<string>(8)
    for (const origin of ['a', 'b', 'c']) fill(lanes, origin, 9)
    expect(takeAll(lanes)).toEqual(['a1', 'b1', 'c1'])
    for (const origin of ['a', 'b', 'c']) lanes.leave(origin, 'took', 0)
    expect(takeAll(lanes)).toEqual(['a2', 'b2', 'c2', 'a3', 'b3', 'c3'])
  })
})

describe('room', () => {
  test('is for four times the width, and comes back when half of it is gone', () => {
    const lanes = createLanes<string>(8)
    expect(lanes.room('a', 0)).toBe(4)
    fill(lanes, 'a', 4)
    expect(lanes.room('a', 0)).toBe(0)
    lanes.take(0)
    expect(lanes.room('a', 0)).toBe(0)
    lanes.leave('a', 'took', 0)
    // Two at a time now: eight may be kept, and three are.
    expect(lanes.room('a', 0)).toBe(5)
  })

  test('there is none at a receiver that rests, and what was kept for one that is silent is given back', () => {
    const lanes = createLanes<string>(8)
    fill(lanes, 'a', 4)
    lanes.take(0)
    lanes.leave('a', 'silent', 100)
    expect([lanes.room('a', 899), lanes.kept(), lanes.restsUntilMs(100)]).toEqual([0, [], 900])
    expect([lanes.room('a', 900), lanes.restsUntilMs(900)]).toEqual([4, null])
  })
})

describe('rest', () => {
  test('of one that is silent grows to 12.8 s; of one that declines to 100 ms; an answer ends it', () => {
    const rests = (reaction: 'silent' | 'declined', count: number) => {
      const lanes = createLanes<string>(8)
      let nowMs = 0
      return Array.from({ length: count }, () => {
        fill(lanes, 'a', 1)
        if (lanes.take(nowMs) === null) throw new Error('it rests still')
        lanes.leave('a', reaction, nowMs)
        const restMs = (lanes.restsUntilMs(nowMs) ?? nowMs) - nowMs
        nowMs += restMs
        lanes.restsUntilMs(nowMs)
        return restMs
      })
    }
    expect(rests('silent', 7)).toEqual([800, 1_600, 3_200, 6_400, 12_800, 12_800, 12_800])
    expect(rests('declined', 8)).toEqual([1, 2, 4, 8, 16, 32, 64, 100])
  })

  test('of several that fail together only the first counts', () => {
    const lanes = createLanes<string>(8)
    for (const reaction of ['took', 'took', 'took', 'silent'] as const) {
      fill(lanes, 'a', 8)
      const taken = takeAll(lanes).length
      for (let i = 0; i < taken; i++) lanes.leave('a', reaction, i)
    }
    expect(lanes.restsUntilMs(10)).toBe(800)
  })

  test('a receiver with nothing under way is forgotten after its rest and not before', () => {
    const lanes = createLanes<string>(8)
    for (let round = 0; round < 2; round++) {
      fill(lanes, 'a', 1)
      lanes.take(round * 800)
      lanes.leave('a', 'silent', round * 800)
      lanes.prune(round * 800)
    }
    expect(lanes.restsUntilMs(800)).toBe(2_400)
    lanes.prune(2_400)
    fill(lanes, 'a', 1)
    lanes.take(2_400)
    lanes.leave('a', 'silent', 2_400)
    expect(lanes.restsUntilMs(2_400)).toBe(3_200)
  })
})
