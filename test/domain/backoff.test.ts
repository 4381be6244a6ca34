/** Q5: backoff is bounded, jittered by a fifth, and grows. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, backoffMs } from '../../src/domain/backoff.ts'
import { figure, seedOf } from '../support/figures.ts'

const RUNS = 10_000
const tries = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 1_000_000 }))
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test(`in ${RUNS} random cases the wait is within a fifth of its base, and the base within its bounds`, () => {
  const seed = seedOf('Q5')
  const within = fc.property(tries, chance, (count, dice) => {
    const base = Math.min(BACKOFF_FIRST_MS * 2 ** (count - 1), BACKOFF_MAX_MS)
    const waitMs = backoffMs(count, dice)
    expect(waitMs).toBeGreaterThanOrEqual(base * 0.8)
    expect(waitMs).toBeLessThanOrEqual(base * 1.2)
    expect(Number.isInteger(waitMs)).toBe(true)
  })
  fc.assert(within, { seed, numRuns: RUNS })
  figure('Q5', `${RUNS} runs within ±20 %; attempt 1,000,000 waits ${backoffMs(1_000_000, 0.5)} ms`)
})

test('with the same dice a later try never waits less, and a higher throw never less than a lower one', () => {
  const seed = seedOf('Q5 order')
  const grows = fc.property(tries, fc.nat(1_000), chance, chance, (count, more, a, b) => {
    expect(backoffMs(count + more, a)).toBeGreaterThanOrEqual(backoffMs(count, a))
    expect(backoffMs(count, Math.max(a, b))).toBeGreaterThanOrEqual(backoffMs(count, Math.min(a, b)))
  })
  fc.assert(grows, { seed, numRuns: RUNS })
})

test('the first waits are 1, 2, 4, 8, 16, 32 and then 60 seconds', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8].map((count) => backoffMs(count, 0.5))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
  ])
  expect(backoffMs(0, 0.5)).toBe(1_000)
})
