/** Start is recovery: nothing runs at start, nothing acknowledged is lost, and it takes less than a second. */
import { afterAll, beforeEach, expect, test } from 'bun:test'
import { failures } from '../../src/domain/job/failure.ts'
import { LANES_FROM, noUsage } from '../../src/domain/job/job.ts'
import { figure } from '../support/figures.ts'
import { createTestStore, newJob, plainClaim } from '../support/store.ts'

const store = createTestStore()
afterAll(store.close)
beforeEach(store.clear)

const claimOne = async () => {
  const claimed = await store.queue.claim(plainClaim(1))
  if (claimed.kind !== 'job') throw new Error('nothing was claimed')
  return claimed.job
}

const crash = () => {
  store.restart(true)
  return store.queue.recover(100, 1)
}

test.each(['loading', 'working'] as const)(
  'an async job that was %s is queued again, its attempt counted',
  async (s) => {
    await store.queue.submit(newJob('a'), 0)
    const job = await claimOne()
    if (s === 'working') await store.queue.advance(job, 2)
    expect(crash()).toEqual({ requeued: 1, abandoned: 0, exhausted: 0 })
    expect(store.row('a')).toMatchObject({ state: 'queued', attempt: 1, not_before: null, started_at: 1 })
    expect(await claimOne()).toMatchObject({ id: 'a', attempt: 2 })
  },
)

test('a job that was served elsewhere is queued again too, and its lane is free', async () => {
  await store.queue.submit(newJob('a', { fallback: 'auto' }), 0)
  await store.queue.submit(newJob('b'), 0)
  expect(store.queue.forFallback(5).map(({ id }) => id)).toEqual(['a'])
  const aside = await store.queue.takeAside('a', LANES_FROM, 1)
  expect(aside).toMatchObject({ id: 'a', state: 'working', slot: LANES_FROM, attempt: 1, fallback: 'auto' })
  expect(await store.queue.takeAside('a', LANES_FROM + 1, 1)).toBeNull()
  // Its key is in nobody's way, and what heals slots leaves it alone.
  expect((await claimOne()).id).toBe('b')
  expect(await store.queue.release(['b'], 2)).toBe(0)
  expect(crash()).toEqual({ requeued: 2, abandoned: 0, exhausted: 0 })
  expect(store.row('a')).toMatchObject({ state: 'queued', slot: null, attempt: 1 })
  expect(await store.queue.takeAside('a', LANES_FROM, 3)).toMatchObject({ attempt: 2 })
})

test('a job moves from its slot into a lane, also in the middle of a load, and is settled there with who did it', async () => {
  await store.queue.submit(newJob('a'), 0)
  await store.queue.submit(newJob('b', { residencyKey: 'm-b' }), 0)
  const job = await claimOne()
  expect(await store.queue.moveAside(job, LANES_FROM + 63, 2)).toBe(true)
  expect((await claimOne()).id).toBe('b')
  const servedBy = { who: 'fallback', model: 'small' } as const
  expect(await store.queue.settle(job, { to: 'done', usage: noUsage, servedBy }, 3)).toBe(true)
  expect(store.row('a')).toMatchObject({ state: 'done', slot: null, served_by: 'fallback', served_model: 'small' })
  expect(await store.queue.moveAside(job, LANES_FROM, 4)).toBe(false)
})

test('a job that foreman died under in every attempt is failed, not tried for ever', async () => {
  await store.queue.submit(newJob('poison', { maxAttempts: 2 }), 0)
  await claimOne()
  expect(crash()).toEqual({ requeued: 1, abandoned: 0, exhausted: 0 })
  await claimOne()
  expect(crash()).toEqual({ requeued: 0, abandoned: 0, exhausted: 1 })
  expect(store.row('poison')).toMatchObject({
    state: 'failed',
    attempt: 2,
    error_code: 'attempts_exhausted',
    error_message: failures.attempts_exhausted.sentence,
    completed_at: 100,
  })
})

test('every call that had its turn and is unfinished is abandoned, and one that had none leaves nothing', async () => {
  for (const id of ['backing-off', 'running', 'waiting']) await store.queue.submit(newJob(id, { kind: 'sync' }), 0)
  await store.queue.submit(newJob('later'), 0)
  const first = await claimOne()
  await store.queue.settle(first, { to: 'queued', attemptReturned: false, deferred: false, notBefore: 900 }, 1)
  await claimOne()
  expect(crash()).toEqual({ requeued: 0, abandoned: 2, exhausted: 0 })
  expect(store.row('waiting')).toBeNull()
  for (const id of ['running', 'backing-off'])
    expect(store.row(id)).toMatchObject({ state: 'failed', error_code: 'abandoned', not_before: null })
  expect(store.row('later')?.state).toBe('queued')
  expect(store.queue.counts().queued).toBe(1)
})

test('a slot that nobody runs is taken back, and who is on the way in meanwhile is still counted', async () => {
  store.queue.recover(0, 2)
  for (const id of ['runs', 'stranded']) await store.queue.submit(newJob(id), 0)
  for (const slot of [0, 1]) await store.queue.claim({ ...plainClaim(1), slot })
  const submitted = store.queue.submit(newJob('arrives'), 2)
  expect(await store.queue.release(['runs'], 3)).toBe(1)
  await submitted
  expect(store.rows().map(({ id, state, slot }) => [id, String(state), slot])).toEqual([
    ['runs', 'loading', 0],
    ['stranded', 'queued', null],
    ['arrives', 'queued', null],
  ])
  expect(store.queue.counts().queued).toBe(2)
  for (const id of ['stranded', 'arrives']) await store.queue.withdraw(id, 'cancelled', 4)
  expect([store.queue.counts().queued, store.queue.isEmpty()]).toEqual([0, true])
  store.queue.recover(0, 1)
})

test('a second recovery finds nothing to do', async () => {
  await store.queue.submit(newJob('a'), 0)
  await claimOne()
  crash()
  const before = store.rows()
  expect(crash()).toEqual({ requeued: 0, abandoned: 0, exhausted: 0 })
  expect(store.rows()).toEqual(before)
})

test('with 10,000 jobs the queue is ready within a second', async () => {
  const total = 10_000
  for (let from = 0; from < total; from += 1_000) {
    const jobs = Array.from({ length: 1_000 }, (_, i) =>
      newJob(`j${from + i}`, { kind: i % 2 === 0 ? 'sync' : 'async' }),
    )
    await Promise.all(jobs.map((job) => store.queue.submit(job, from)))
  }
  const onWorker = (await claimOne()).id
  const began = performance.now()
  const recovered = crash()
  const next = await store.queue.claim(plainClaim(1_000))
  const tookMs = performance.now() - began
  figure('D4', `open, recover and first claim with 10,000 jobs: ${tookMs.toFixed(0)} ms`)
  expect(onWorker).toBe('j0')
  expect(recovered).toEqual({ requeued: 0, abandoned: 1, exhausted: 0 })
  expect(store.queue.counts().queued).toBe(total / 2 - 1)
  expect(next).toMatchObject({ kind: 'job', job: { id: 'j1', attempt: 1 } })
  expect(tookMs).toBeLessThan(1_000)
})
