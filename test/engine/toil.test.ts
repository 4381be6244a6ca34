/** What bounds a job whose attempts are always given back: the time it worked, and nothing else. */
import { describe, expect, test } from 'bun:test'
import type { Outcome } from '../../src/domain/job/outcome.ts'
import { createToil } from '../../src/engine/toil.ts'

const MINUTE_MS = 60_000
const lost: Outcome = { kind: 'lost' }
const away: Outcome = { kind: 'away', message: 'x', retryAfterMs: null }

describe('time that was worked in attempts that were given back', () => {
  test('is added up, and ends an attempt when it reaches the bound; then a new account begins', () => {
    const toil = createToil(30 * MINUTE_MS)
    for (let i = 0; i < 2; i++) {
      expect(toil.weigh('a', lost, 14 * MINUTE_MS)).toEqual(lost)
      expect(toil.weigh('a', away, 15 * MINUTE_MS)).toEqual(away)
      expect(toil.weigh('a', lost, MINUTE_MS)).toEqual({ kind: 'timeout' })
    }
  })

  test('counts at least ten seconds per loss: a job that takes its target down has not tries for ever', () => {
    const toil = createToil(30 * MINUTE_MS)
    let losses = 0
    while (toil.weigh('a', lost, 0).kind === 'lost') losses++
    expect(losses).toBe(179)
  })

  test('is nobody else’s, and is forgotten when the job has made an end', () => {
    const toil = createToil(30 * MINUTE_MS)
    toil.weigh('a', lost, 29 * MINUTE_MS)
    expect(toil.weigh('b', lost, 2 * MINUTE_MS)).toEqual(lost)
    expect(toil.weigh('a', { kind: 'unreached', message: 'x' }, 0).kind).toBe('unreached')
    toil.weigh('a', { kind: 'done', usage: { promptTokens: null, completionTokens: null, totalDurationMs: null } }, 0)
    expect(toil.weigh('a', lost, 2 * MINUTE_MS)).toEqual(lost)
  })

  test('survives a target that could not be reached in between', () => {
    const toil = createToil(30 * MINUTE_MS)
    toil.weigh('a', lost, 29 * MINUTE_MS)
    toil.weigh('a', { kind: 'unreached', message: 'x' }, 0)
    expect(toil.weigh('a', lost, 2 * MINUTE_MS)).toEqual({ kind: 'timeout' })
  })

  test('is kept for ten thousand jobs at most', () => {
    const toil = createToil(30 * MINUTE_MS)
    toil.weigh('first', lost, 29 * MINUTE_MS)
    for (let i = 0; i < 10_000; i++) toil.weigh(`j${i}`, lost, 0)
    expect(toil.weigh('first', lost, 2 * MINUTE_MS)).toEqual(lost)
  })
})
