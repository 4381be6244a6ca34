/** Proves the retry schedule against the table that the documents print. */
import { describe, expect, test } from 'bun:test'
import { retryDelayMs, TRIES_MAX } from '../../src/webhook/schedule.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'

const documentedS = [1, 2, 4, 8, 16, 60, 300, 900]

describe('retry schedule', () => {
  test('every delay is the documented one within 20 %, and the ninth failure is the last', () => {
    const { random } = createDice(seedOf('webhook schedule'))
    const seen = documentedS.map(() => ({ least: Number.POSITIVE_INFINITY, most: 0 }))
    for (let i = 0; i < 10_000; i++)
      for (const [n, range] of seen.entries()) {
        const delayMs = retryDelayMs(n + 1, random(), null) ?? 0
        range.least = Math.min(range.least, delayMs)
        range.most = Math.max(range.most, delayMs)
      }
    for (const [n, seconds] of documentedS.entries()) {
      expect(seen[n]!.least).toBeWithin(seconds * 800, seconds * 810)
      expect(seen[n]!.most).toBeWithin(seconds * 1_190, seconds * 1_200 + 1)
    }
    expect(TRIES_MAX).toBe(9)
    expect(retryDelayMs(TRIES_MAX, 0.5, null)).toBeNull()
    figure('W4', 'schedule 1,2,4,8,16 s, 1,5,15 min within 20 % in 10,000 rounds, then given up')
  })

  test('Retry-After is honoured between the delay and twice the delay', () => {
    const { random, between } = createDice(seedOf('retry-after'))
    for (let i = 0; i < 10_000; i++) {
      const tries = between(1, 8)
      const baseMs = documentedS[tries - 1]! * 1_000
      const askedMs = between(0, 4 * baseMs)
      const delayMs = retryDelayMs(tries, random(), askedMs) ?? 0
      expect(delayMs).toBe(askedMs < baseMs ? baseMs : Math.min(askedMs, 2 * baseMs))
    }
    expect(retryDelayMs(TRIES_MAX, 0, 5_000)).toBeNull()
  })
})
