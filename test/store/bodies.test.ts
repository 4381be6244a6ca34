/** Bodies of more than a megabyte are written and read in pieces: to the byte, a piece a turn, and half a body is nobody's. */
import { afterAll, beforeEach, expect, test } from 'bun:test'
import { systemClock } from '../../src/clock.ts'
import { noUsage } from '../../src/domain/job/job.ts'
import { createBodies } from '../../src/store/bodies.ts'
import { createQueue } from '../../src/store/queue.ts'
import { createReader } from '../../src/store/reader.ts'
import { createSweep } from '../../src/store/sweep.ts'
import { figure } from '../support/figures.ts'
import { createTestStore, newJob, plainClaim } from '../support/store.ts'

const MB = 1024 ** 2
const store = createTestStore({ fast: true })
afterAll(store.close)
beforeEach(() => {
  store.clear()
  store.db.run('DELETE FROM large_bodies')
})

const bytesOf = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i += 997) bytes[i] = (i * 31) & 0xff
  return bytes
}

const createRig = () => {
  const { db, ledger } = store
  const bodies = createBodies({ db, ledger })
  const queue = createQueue({ db, ledger, maxQueue: 100, bodies })
  const sweep = createSweep({ db, ledger, clock: systemClock, bodies })
  const rows = (table: string) => db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n
  return { bodies, queue, sweep, reader: createReader(db), left: () => [rows('large_bodies'), rows('body_pieces')] }
}

/** Everything that belongs to nobody is gone. */
const sweptUp = async ({ bodies, left }: ReturnType<typeof createRig>) => {
  while (await bodies.sweep());
  return left()
}

test.each([MB - 1, MB, MB + 1, 3 * MB, 5 * MB + 7])('a request of %d bytes comes back to the byte', async (length) => {
  const { queue } = createRig()
  const request = bytesOf(length)
  await queue.submit(newJob('a', { request }), 1)
  const again = await queue.requestBody(store.row('a')?.seq ?? 0)
  expect(again?.length).toBe(length)
  expect(Buffer.compare(again ?? new Uint8Array(0), request)).toBe(0)
})

test('a large artifact comes back to the byte, is listed with its size, and is whole where somebody wants it inline', async () => {
  const { queue, reader } = createRig()
  const body = bytesOf(3 * MB + 5)
  await queue.submit(newJob('a'), 1)
  const claimed = await queue.claim({ ...plainClaim(2), loadedKeys: ['m-a'] })
  if (claimed.kind !== 'job') throw new Error('nothing to claim')
  const artifacts = [{ name: 'completion', contentType: 'text/plain', body }]
  expect(await queue.settle(claimed.job, { to: 'done', usage: noUsage }, 3, artifacts)).toBe(true)
  const { seq } = claimed.job
  expect(Buffer.compare((await reader.artifact(seq, 'completion'))?.body ?? body.subarray(1), body)).toBe(0)
  expect(reader.listedArtifacts(seq, MB)).toMatchObject([{ name: 'completion', size: body.length, body: null }])
  const [inline] = reader.listedArtifacts(seq, 4 * MB)
  expect(Buffer.compare(inline?.body ?? body.subarray(1), body)).toBe(0)
})

test('a megabyte is a transaction of its own, and between two pieces that are read everybody has a turn', async () => {
  const { queue } = createRig()
  const before = store.ledger.totals.transactions
  const startedMs = performance.now()
  await queue.submit(newJob('a', { request: bytesOf(20 * MB) }), 1)
  // What it begins with, its pieces, and its job.
  expect(store.ledger.totals.transactions - before).toBe(22)
  const writtenMs = performance.now() - startedMs
  let turns = 0
  let isOver = false
  const look = () => {
    turns++
    if (!isOver) setImmediate(look)
  }
  look()
  await queue.requestBody(store.row('a')?.seq ?? 0)
  isOver = true
  const readMs = performance.now() - startedMs - writtenMs
  figure('R6', `20 MB: ${(writtenMs / 20).toFixed(1)} ms a turn written, ${(readMs / 20).toFixed(1)} ms read`)
  expect(turns).toBeGreaterThanOrEqual(20)
})

test('a job that is swept leaves its pieces to the next steps, one each', async () => {
  const rig = createRig()
  await rig.queue.submit(newJob('a', { request: bytesOf(3 * MB) }), 1)
  expect(rig.left()).toEqual([1, 3])
  await rig.queue.withdraw('a', 'cancelled', 2)
  expect(await rig.sweep.deleteFinished(10)).toBe(1)
  expect(rig.left()).toEqual([1, 3])
  expect(await rig.sweep.shrink()).toBe(true)
  expect(rig.left()).toEqual([1, 2])
  expect(await sweptUp(rig)).toEqual([0, 0])
})

test('what a kill left half-written is swept after the next start, and what is being written is not', async () => {
  const rig = createRig()
  const submitted = rig.queue.submit(newJob('a', { request: bytesOf(4 * MB) }), 1)
  while ((rig.left()[1] ?? 0) < 2) await new Promise((resolve) => setImmediate(resolve))
  expect(await rig.bodies.sweep()).toBe(false)
  const another = createRig()
  await submitted
  expect(await rig.bodies.sweep()).toBe(false)
  expect(await another.bodies.sweep()).toBe(false)
  store.db.run(`INSERT INTO large_bodies (id, size) VALUES (900, 9)`)
  store.db.run(`INSERT INTO body_pieces VALUES (900, 0, x'01'), (900, 1, x'02')`)
  expect(await sweptUp(another)).toEqual([1, 4])
})

test('a body whose job is refused goes, and one whose settle is refused is not written twice', async () => {
  const rig = createRig()
  const idempotency = { key: 'k', fingerprint: new Uint8Array(32) }
  await rig.queue.submit(newJob('a', { idempotency }), 1)
  await rig.queue.submit(newJob('b', { idempotency, request: bytesOf(2 * MB) }), 1)
  expect(rig.left()).toEqual([1, 2])
  expect(await sweptUp(rig)).toEqual([0, 0])
  const body = bytesOf(2 * MB)
  await rig.bodies.put(body, 'completion')
  const again = await rig.bodies.put(body, 'completion')
  expect([rig.left(), await rig.bodies.sweep()]).toEqual([[1, 2], false])
  again.done()
  expect(await sweptUp(rig)).toEqual([0, 0])
})
