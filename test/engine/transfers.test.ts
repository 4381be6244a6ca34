/** A pull is known to be under way until its answer is over, however that ends; and a part sees what the target works on. */
import { expect, test } from 'bun:test'
import type { BodyRead, Reply } from '../../src/engine/ports.ts'
import { createTransfers } from '../../src/engine/transfers.ts'
import { createBench } from '../support/engine-bench.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'

const answered = (reads: BodyRead[], complete: Uint8Array | null = null): Reply => ({
  kind: 'answered',
  status: 200,
  headers: [],
  body: { complete, read: async () => reads.shift() ?? { kind: 'end' }, cancel: () => undefined },
})

const pulling = async (reply: Reply | Error, path = '/api/pull') => {
  const clock = createVirtualClock()
  const transfers = createTransfers(clock)
  const client = transfers.counted({
    async send(_request: { readonly path: string }, _options: object): Promise<Reply> {
      if (reply instanceof Error) throw reply
      return reply
    },
  })
  const sent = client.send({ path }, {}).catch((error: unknown) => error)
  const atOnce = transfers.isTransferring()
  const got = (await sent) as Reply
  return { atOnce, clock, transfers, body: got.kind === 'answered' ? got.body : null }
}

test('a pull is under way from its request to the end of its answer, a break or a cancel', async () => {
  const chunk: BodyRead = { kind: 'chunk', bytes: new Uint8Array(1) }
  const ended = await pulling(answered([chunk, { kind: 'end' }]))
  expect([ended.atOnce, ended.transfers.isTransferring()]).toEqual([true, true])
  await ended.body?.read()
  expect(ended.transfers.isTransferring()).toBe(true)
  await ended.body?.read()
  expect(ended.transfers.isTransferring()).toBe(false)
  const broken = await pulling(answered([{ kind: 'broken', code: 'reset', message: '' }]))
  await broken.body?.read()
  expect(broken.transfers.isTransferring()).toBe(false)
  const cancelled = await pulling(answered([chunk]))
  cancelled.body?.cancel()
  expect(cancelled.transfers.isTransferring()).toBe(false)
})

test('one that has not moved for half an hour is not waited for, until it moves again', async () => {
  const chunk: BodyRead = { kind: 'chunk', bytes: new Uint8Array(1) }
  const { transfers, clock, body } = await pulling(answered([chunk, chunk]))
  await clock.advance(29 * 60_000)
  expect(transfers.isTransferring()).toBe(true)
  await body?.read()
  await clock.advance(29 * 60_000)
  expect(transfers.isTransferring()).toBe(true)
  await clock.advance(60_000)
  expect(transfers.isTransferring()).toBe(false)
  await body?.read()
  expect(transfers.isTransferring()).toBe(true)
})

test('nothing is under way after an answer that came whole, a refusal or a throw, nor for another path', async () => {
  for (const reply of [
    answered([], new Uint8Array(1)),
    { kind: 'unreached', code: 'refused', message: '' } as const,
    new Error('a bug'),
  ])
    expect((await pulling(reply)).transfers.isTransferring()).toBe(false)
  expect((await pulling(answered([]), '/api/pulls')).atOnce).toBe(false)
  expect((await pulling(answered([]), '/api/create?x=1')).atOnce).toBe(true)
})

test('what the target works on is told with how long it has been silent', async () => {
  const bench = createBench({ loadMs: 5_000, workMs: 60_000 })
  await bench.submit('a')
  await bench.clock.advance(2_000)
  expect(bench.engine.working()).toEqual([{ model: 'm-a', phase: 'loading', silentMs: 2_000 }])
  await bench.clock.advance(10_000)
  expect(bench.engine.working()).toEqual([{ model: 'm-a', phase: 'working', silentMs: 7_000 }])
  await bench.clock.advance(60_000)
  expect(bench.engine.working()).toEqual([])
  await bench.close()
})
