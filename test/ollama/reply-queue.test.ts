/** Proves when the queue of a body stops its connection and when it lets it go on. */
import { expect, test } from 'bun:test'
import { ReplyQueue } from '../../src/ollama/reply-queue.ts'

const KIB = 1024

const create = () => {
  const calls: string[] = []
  const queue = new ReplyQueue({
    pause: () => void calls.push('pause'),
    resume: () => void calls.push('resume'),
    cancelled: () => void calls.push('cancelled'),
  })
  return { queue, calls }
}

test('it pauses at 1 MiB unread and resumes at half of that', async () => {
  const { queue, calls } = create()
  for (let at = 0; at < 1023; at++) queue.push(new Uint8Array(KIB - 128))
  expect(calls).toEqual([])
  queue.push(new Uint8Array(KIB))
  queue.push(new Uint8Array(KIB))
  expect(calls).toEqual(['pause'])
  for (let at = 0; at < 512; at++) await queue.read()
  expect(calls).toEqual(['pause'])
  for (let at = 0; at < 4; at++) await queue.read()
  expect(calls).toEqual(['pause', 'resume'])
})

test('a flood of one-byte chunks counts for what its objects take', () => {
  const { queue, calls } = create()
  for (let at = 0; at < 9000; at++) queue.push(new Uint8Array(1))
  expect(calls).toEqual(['pause'])
})

test('a waiting reader gets a chunk without it being queued', async () => {
  const { queue, calls } = create()
  const read = queue.read()
  queue.push(new Uint8Array(2048 * KIB))
  expect(await read).toMatchObject({ kind: 'chunk' })
  expect(calls).toEqual([])
})

test('two readers at once are a defect, and told so', () => {
  const { queue } = create()
  queue.read()
  expect(() => queue.read()).toThrow('one reader at a time')
})

test('a failure comes after what had arrived, and is repeated', async () => {
  const { queue } = create()
  queue.push(new Uint8Array(3))
  queue.close({ kind: 'broken', code: 'reset', message: 'gone' })
  queue.close({ kind: 'end' })
  expect((await queue.read()).kind).toBe('chunk')
  expect((await queue.read()).kind).toBe('broken')
  expect((await queue.read()).kind).toBe('broken')
})

test('one piece and the end make it complete, two do not', () => {
  const { queue } = create()
  queue.push(new Uint8Array([7]))
  queue.close({ kind: 'end' })
  queue.settle(1)
  expect(queue.complete).toEqual(new Uint8Array([7]))
  const { queue: longer } = create()
  longer.push(new Uint8Array(1))
  longer.push(new Uint8Array(1))
  longer.close({ kind: 'end' })
  longer.settle(2)
  expect(longer.complete).toBeNull()
})
