/** When a waiting job will be done: slots, loads and the keys that go before it; null rather than a guess. */
import { describe, expect, test } from 'bun:test'
import { type Ahead, etaSeconds, leftMs, type Pace } from '../../../src/domain/job/eta.ts'

const pace: Pace = { jobMs: 10_000, loadMs: 4_000 }
const known = () => pace
const ahead = (over: Partial<Ahead>): Ahead => ({
  key: 'a',
  residentKeys: [],
  waiting: [],
  running: [],
  slotsOf: () => 1,
  ...over,
})
const runs = (elapsedMs: number, key = 'a', isLoading = false) => ({ jobId: `${elapsedMs}`, key, isLoading, elapsedMs })

describe('with one slot', () => {
  test('a job alone loads and works, or only works', () => {
    expect(etaSeconds(ahead({}), known)).toBe(14)
    expect(etaSeconds(ahead({ residentKeys: ['a'] }), known)).toBe(10)
  })

  test('the running job ends first, whatever phase it is in', () => {
    expect(etaSeconds(ahead({ running: [runs(4_000)] }), known)).toBe(16)
    expect(etaSeconds(ahead({ running: [runs(1_000, 'a', true)] }), known)).toBe(23)
    expect(leftMs({ isLoading: true, elapsedMs: 9_000 }, pace)).toBe(10_000)
  })

  test('older jobs of its key go first, and other keys only when its own is not loaded', () => {
    const waiting = [
      { residencyKey: 'b', jobs: 2 },
      { residencyKey: 'a', jobs: 1 },
    ]
    expect(etaSeconds(ahead({ residentKeys: ['a'], waiting }), known)).toBe(20)
    expect(etaSeconds(ahead({ residentKeys: ['b'], waiting }), known)).toBe(20 + 4 + 20)
  })
})

describe('with four slots', () => {
  const slotsOf = () => 4

  test('a free slot is taken at once', () => {
    expect(etaSeconds(ahead({ running: [runs(0)], slotsOf }), known)).toBe(10)
  })

  test('jobs go to the slot that is free first', () => {
    const running = [runs(9_000), runs(5_000), runs(0), runs(0)]
    expect(etaSeconds(ahead({ running, slotsOf }), known)).toBe(11)
    expect(etaSeconds(ahead({ running, slotsOf, waiting: [{ residencyKey: 'a', jobs: 1 }] }), known)).toBe(15)
  })

  test('another key begins when all slots are empty', () => {
    expect(etaSeconds(ahead({ key: 'b', running: [runs(9_000), runs(0)], slotsOf }), known)).toBe(10 + 4 + 10)
  })

  test('fifty thousand ahead are counted in rounds', () => {
    const waiting = [{ residencyKey: 'a', jobs: 49_999 }]
    expect(etaSeconds(ahead({ residentKeys: ['a'], waiting, slotsOf }), known)).toBe(125_000)
  })
})

test('a pace that nobody knows makes no guess', () => {
  const unknown = { jobMs: null, loadMs: null }
  expect(etaSeconds(ahead({}), () => unknown)).toBeNull()
  expect(etaSeconds(ahead({}), () => ({ jobMs: 1, loadMs: null }))).toBeNull()
  expect(etaSeconds(ahead({ running: [runs(0, 'b')] }), (key) => (key === 'b' ? unknown : pace))).toBeNull()
})
