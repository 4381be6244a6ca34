/** The bus: whoever listens can hurt neither the one who tells nor the others who listen. */
import { expect, test } from 'bun:test'
import type { EngineEvent } from '../../src/domain/job/events.ts'
import { createBus } from '../../src/engine/bus.ts'

const swept = (deleted: number): EngineEvent => ({ event: 'swept', deleted })

const build = () => {
  const failures: [string, number][] = []
  const bus = createBus({ failed: (who, _error, count) => void failures.push([who, count]) })
  return { bus, failures }
}

test('a listener hears its own kind, or everything, in the order it happened', () => {
  const { bus } = build()
  const heard: string[] = []
  bus.on('swept', 'one', ({ deleted }) => heard.push(`one ${deleted}`))
  const end = bus.onAny('all', ({ event }) => heard.push(`all ${event}`))
  bus.emit(swept(1))
  bus.emit({ event: 'poll_failed', message: 'x' })
  end()
  bus.emit(swept(2))
  expect(heard).toEqual(['one 1', 'all swept', 'all poll_failed', 'one 2'])
})

test('a listener that throws is counted, and the others hear everything', () => {
  const { bus, failures } = build()
  const heard: number[] = []
  bus.onAny('bad', () => {
    throw new Error('always')
  })
  bus.on('swept', 'good', ({ deleted }) => heard.push(deleted))
  for (let i = 0; i < 1_000; i++) bus.emit(swept(i))
  expect([heard.length, bus.failures, failures.at(-1)]).toEqual([1_000, 1_000, ['bad', 1_000]])
})

test('what a listener tells comes after what it was told, for everybody', () => {
  const { bus } = build()
  const heard: string[] = []
  bus.on('swept', 'echo', () => bus.emit({ event: 'poll_failed', message: 'from echo' }))
  bus.onAny('all', ({ event }) => heard.push(event))
  bus.emit(swept(1))
  expect(heard).toEqual(['swept', 'poll_failed'])
})

test('a slow listener gets its events one after the other and holds up nobody', async () => {
  const { bus } = build()
  const slow: number[] = []
  const quick: number[] = []
  const gates: (() => void)[] = []
  bus.on('swept', 'slow', async ({ deleted }) => {
    await new Promise<void>((resolve) => gates.push(resolve))
    slow.push(deleted)
  })
  bus.on('swept', 'quick', ({ deleted }) => quick.push(deleted))
  for (let i = 0; i < 5; i++) bus.emit(swept(i))
  expect([quick.length, gates.length]).toEqual([5, 1])
  for (let i = 0; i < 5; i++) {
    gates[i]?.()
    while (slow.length <= i || (i < 4 && gates.length < i + 2)) await Promise.resolve()
  }
  expect(slow).toEqual([0, 1, 2, 3, 4])
})

test('a listener that never comes back keeps a bounded line, and what is dropped is counted', () => {
  const { bus } = build()
  bus.on('swept', 'gone', () => new Promise(() => undefined))
  for (let i = 0; i < 1_500; i++) bus.emit(swept(i))
  expect(bus.failures).toBe(499)
})

test('what is told while a slow listener catches up waits behind what waited', async () => {
  const { bus } = build()
  const heard: number[] = []
  const gate = Promise.withResolvers<void>()
  bus.on('swept', 'slow', ({ deleted }) => {
    heard.push(deleted)
    if (deleted === 0) return gate.promise
    if (deleted === 1) bus.emit(swept(99))
    return undefined
  })
  for (let i = 0; i < 4; i++) bus.emit(swept(i))
  gate.resolve()
  while (heard.length < 5) await Promise.resolve()
  expect(heard).toEqual([0, 1, 2, 3, 99])
})

test('a listener that rejects is counted and hears the next', async () => {
  const { bus } = build()
  const heard: number[] = []
  bus.on('swept', 'rejects', async ({ deleted }) => {
    heard.push(deleted)
    throw new Error('later')
  })
  bus.emit(swept(1))
  bus.emit(swept(2))
  while (bus.failures < 2) await Promise.resolve()
  expect(heard).toEqual([1, 2])
})
