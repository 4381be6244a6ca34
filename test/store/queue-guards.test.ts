/** Every change is guarded by the state and attempt it starts from: a stale one returns false and changes nothing. */
import { afterAll, beforeEach, describe, expect, test } from 'bun:test'
import { failure } from '../../src/domain/job/failure.ts'
import { type ActiveJob, noUsage } from '../../src/domain/job/job.ts'
import type { Verdict } from '../../src/domain/job/outcome.ts'
import { createTestStore, newJob, plainClaim } from '../support/store.ts'

const store = createTestStore({ fast: true, maxQueue: 3 })
afterAll(store.close)
beforeEach(store.clear)

const again: Verdict = { to: 'queued', attemptReturned: false, deferred: false, notBefore: null }
const verdicts: Verdict[] = [
  { to: 'done', usage: noUsage },
  { to: 'failed', failure: failure('broke_off'), answer: null, told: false },
  { to: 'cancelled' },
  again,
]

const claimed = async (now = 1): Promise<ActiveJob> => {
  const result = await store.queue.claim(plainClaim(now))
  if (result.kind !== 'job') throw new Error('nothing was claimed')
  return result.job
}

/** A job that is on its second attempt, as the first attempt knew it. */
const stale = async (): Promise<ActiveJob> => {
  await store.queue.submit(newJob('j'), 0)
  const first = await claimed(1)
  await store.queue.settle(first, again, 2)
  await store.queue.advance(await claimed(3), 4)
  return first
}

const artifact = { name: 'completion', contentType: 'text/plain', body: new Uint8Array([1]) }

describe('a stale attempt', () => {
  test.each(verdicts)('cannot settle as $to', async (verdict) => {
    const first = await stale()
    const before = store.rows()
    expect(await store.queue.settle(first, verdict, 9, [artifact])).toBe(false)
    expect(store.rows()).toEqual(before)
    expect(store.db.query('SELECT * FROM artifacts').all()).toEqual([])
    expect(store.queue.counts().queued).toBe(0)
  })

  test('cannot advance', async () => {
    await store.queue.submit(newJob('j'), 0)
    const first = await claimed(1)
    await store.queue.settle(first, again, 2)
    await claimed(3)
    const before = store.rows()
    expect(await store.queue.advance(first, 9)).toBe(false)
    expect(store.rows()).toEqual(before)
  })

  test('of a job whose attempt was given back cannot settle the next one', async () => {
    await store.queue.submit(newJob('j'), 0)
    const first = await claimed(1)
    await store.queue.settle(first, { ...again, attemptReturned: true }, 2)
    expect(await store.queue.settle(first, { to: 'cancelled' }, 3)).toBe(false)
    expect(store.row('j')).toMatchObject({ state: 'queued', attempt: 0 })
  })
})

describe('a final job', () => {
  test.each(verdicts)('stays as it is when it is settled as $to', async (verdict) => {
    await store.queue.submit(newJob('j'), 0)
    const job = await claimed()
    await store.queue.settle(job, { to: 'failed', failure: failure('refused', 'no'), answer: null, told: false }, 2)
    const before = store.rows()
    expect(await store.queue.settle(job, verdict, 9)).toBe(false)
    expect(await store.queue.advance(job, 9)).toBe(false)
    expect(await store.queue.withdraw('j', 'cancelled', 9)).toBe(false)
    expect(store.rows()).toEqual(before)
  })
})

describe('withdraw', () => {
  test('takes a waiting job out, with a reason or without', async () => {
    await store.queue.submit(newJob('a'), 0)
    await store.queue.submit(newJob('b'), 0)
    expect(await store.queue.withdraw('a', 'cancelled', 5)).toBe(true)
    expect(await store.queue.withdraw('b', failure('unreachable'), 6)).toBe(true)
    expect(store.row('a')).toMatchObject({ state: 'cancelled', error_code: null, completed_at: 5 })
    expect(store.row('b')).toMatchObject({ state: 'failed', error_code: 'unreachable', completed_at: 6 })
    expect(store.queue.counts()).toEqual({ queued: 0, oldestCreatedAt: null })
  })

  test('takes a job out of its backoff', async () => {
    await store.queue.submit(newJob('a'), 0)
    await store.queue.settle(await claimed(), { ...again, notBefore: 1_000 }, 1)
    expect(await store.queue.withdraw('a', 'cancelled', 5)).toBe(true)
    expect(store.row('a')).toMatchObject({ state: 'cancelled', not_before: null })
  })

  test.each(['loading', 'working'])('leaves a job that is %s to the worker', async (state) => {
    await store.queue.submit(newJob('a'), 0)
    const job = await claimed()
    if (state === 'working') await store.queue.advance(job, 1)
    expect(await store.queue.withdraw('a', 'cancelled', 5)).toBe(false)
    expect(String(store.row('a')?.state)).toBe(state)
  })

  test('of an unknown job says so', async () => {
    expect(await store.queue.withdraw('nobody', 'cancelled', 5)).toBe(false)
  })
})

describe('settle', () => {
  test('stores the result with the transition', async () => {
    await store.queue.submit(newJob('a', { request: new Uint8Array([0xff, 0, 1]) }), 0)
    const job = await claimed()
    expect(await store.queue.requestBody(job.seq)).toEqual(new Uint8Array([0xff, 0, 1]))
    await store.queue.advance(job, 2)
    const usage = { promptTokens: 7, completionTokens: 9, totalDurationMs: 11 }
    expect(await store.queue.settle(job, { to: 'done', usage }, 3, [artifact])).toBe(true)
    expect(store.row('a')).toMatchObject({
      state: 'done',
      started_at: 1,
      completed_at: 3,
      prompt_tokens: 7,
      completion_tokens: 9,
      total_duration_ms: 11,
    })
    expect(store.db.query('SELECT name, content_type FROM artifacts').values()).toEqual([['completion', 'text/plain']])
  })

  test('counts attempts and deferrals apart', async () => {
    await store.queue.submit(newJob('a'), 0)
    await store.queue.settle(await claimed(), { ...again, attemptReturned: true, deferred: true }, 1)
    expect(store.row('a')).toMatchObject({ attempt: 0, deferrals: 1 })
    await store.queue.settle(await claimed(), again, 1)
    expect(store.row('a')).toMatchObject({ attempt: 1, deferrals: 1 })
  })
})

describe('a full queue', () => {
  test('refuses the next job and takes one again when there is room', async () => {
    for (const id of ['1', '2', '3']) expect((await store.queue.submit(newJob(id), 0)).kind).toBe('accepted')
    expect(await store.queue.submit(newJob('4'), 0)).toEqual({ kind: 'full' })
    expect(store.row('4')).toBeNull()
    await store.queue.withdraw('2', 'cancelled', 1)
    expect((await store.queue.submit(newJob('4'), 1)).kind).toBe('accepted')
  })

  test('holds its bound against submitters at the same time', async () => {
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => store.queue.submit(newJob(`${i}`), 0)))
    expect(results.filter(({ kind }) => kind === 'accepted').length).toBe(3)
    expect(store.queue.counts().queued).toBe(3)
  })

  test('keeps no place for a submit that the database refused', async () => {
    await store.queue.submit(newJob('1'), 0)
    await expect(store.queue.submit(newJob('1'), 0)).rejects.toThrow('UNIQUE')
    expect(store.queue.counts().queued).toBe(1)
  })
})
