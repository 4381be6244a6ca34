/** The event stream on a virtual clock: its heartbeat, its end, and that nothing of it reaches the worker. */
import { afterAll, expect, test } from 'bun:test'
import type { JobReader } from '../../src/domain/job/reading.ts'
import { createBoard } from '../../src/engine/board.ts'
import { jobEvents } from '../../src/http/jobs/events.ts'
import { createFeeds } from '../../src/http/jobs/feed.ts'
import { createFollowers } from '../../src/http/jobs/followers.ts'
import { createReader } from '../../src/store/reader.ts'
import { createTestStore, newJob, plainClaim } from '../support/store.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'

const store = createTestStore({ fast: true })
afterAll(() => store.close())

let serial = 0

/** A job that waits, and a stream of its events. */
const startStream = async (over: Partial<JobReader> = {}) => {
  const id = `job-${serial++}`
  await store.queue.submit(newJob(id, { residencyKey: id }), 1)
  const reader = { ...createReader(store.db), ...over }
  const job = reader.find(id)
  if (job === null) throw new Error('the job is not there')
  const board = createBoard()
  const clock = createVirtualClock()
  let ends = 0
  const showing = { inlineMaxBytes: 100, publicUrl: null }
  const followers = createFollowers()
  const pending = followers.join()!
  const deps = { ...showing, reader, feeds: createFeeds(board), clock, pending, onEnd: () => void ends++ }
  const stream = jobEvents(job, 0, deps).getReader()
  const next = async () => {
    const { done, value } = await stream.read()
    return done ? null : new TextDecoder().decode(value)
  }
  return { id, board, clock, stream, next, ends: () => ends }
}

test('a comment every 15 s keeps a silent stream alive', async () => {
  const { clock, stream, next } = await startStream()
  expect(await next()).toBe(': still here\n\n')
  expect(await next()).toContain('"state":"queued"')
  for (let beat = 0; beat < 3; beat++) {
    await clock.advance(15_000)
    expect(await next()).toBe(': still here\n\n')
  }
  await stream.cancel()
  expect(clock.pending).toBe(0)
})

test('a reader that leaves is forgotten at once', async () => {
  const { board, clock, stream, ends } = await startStream()
  expect(board.listeners).toBe(1)
  await stream.cancel()
  expect({ listeners: board.listeners, timers: clock.pending, ends: ends() }).toEqual({
    listeners: 0,
    timers: 0,
    ends: 1,
  })
})

test('the final transition ends it and leaves nothing behind', async () => {
  const { id, board, clock, next, ends } = await startStream()
  await next()
  await next()
  await store.queue.withdraw(id, 'cancelled', 2)
  board.post(id, { kind: 'changed' })
  expect(await next()).toContain('"state":"cancelled"')
  expect(await next()).toBeNull()
  expect({ listeners: board.listeners, timers: clock.pending, ends: ends() }).toEqual({
    listeners: 0,
    timers: 0,
    ends: 1,
  })
})

test('a database that cannot be read ends the stream with an error and throws nothing at the one who tells', async () => {
  let isBroken = false
  const real = createReader(store.db)
  const transitions: JobReader['transitions'] = (seq, after) => {
    if (isBroken) throw new Error('disk I/O error')
    return real.transitions(seq, after)
  }
  const { id, board, next } = await startStream({ transitions })
  await next()
  await next()
  isBroken = true
  expect(() => board.post(id, { kind: 'changed' })).not.toThrow()
  await expect(next()).rejects.toThrow('disk I/O error')
  expect(board.listeners).toBe(0)
})

test('another attempt begins its lines afresh', async () => {
  const { id, board, next } = await startStream()
  await next()
  await next()
  const claimed = await store.queue.claim({ ...plainClaim(3), residentKeys: [id] })
  if (claimed.kind !== 'job') throw new Error('nothing to claim')
  board.post(id, { kind: 'changed' })
  await next()
  const say = (text: string) => board.post(id, { kind: 'chunk', bytes: new TextEncoder().encode(text) })
  say('{"half":')
  await store.queue.settle(claimed.job, { to: 'queued', attemptReturned: false, deferred: false, notBefore: 99 }, 4)
  board.post(id, { kind: 'changed' })
  expect(await next()).toContain('"state":"queued","previous_state":"loading"')
  say('{"whole":1}\n')
  expect(await next()).toBe('event: chunk\ndata: {"whole":1}\n\n')
})
