/** A stop tells everybody who listens, once, and nobody who listens no longer; an AbortSignal will do in its place. */
import { expect, test } from 'bun:test'
import { Stop, type StopSignal } from '../../src/domain/stop-signal.ts'

const heard = (signal: StopSignal) => {
  const listener = { times: 0, handleEvent: () => void listener.times++ }
  signal.addEventListener('abort', listener)
  return listener
}

test.each([
  ['a stop', () => new Stop()],
  [
    'an AbortController',
    () => {
      const controller = new AbortController()
      return Object.assign(controller.signal, { abort: () => controller.abort() })
    },
  ],
])('%s is heard once, and not by whoever has gone', (_, create) => {
  const stop = create()
  const gone = heard(stop)
  stop.removeEventListener('abort', gone)
  const listener = heard(stop)
  expect(stop.aborted).toBe(false)
  stop.abort()
  stop.abort()
  expect([stop.aborted, listener.times, gone.times]).toEqual([true, 1, 0])
})

test('all who listen are told once, in their order, and whoever went is not', () => {
  const stop = new Stop()
  const told: string[] = []
  const listeners = ['a', 'b', 'c', 'd'].map((name) => () => void told.push(name))
  const object = { handleEvent: () => void told.push('object') }
  for (const listener of listeners) stop.addEventListener('abort', listener)
  stop.addEventListener('abort', object)
  for (const gone of [0, 2]) stop.removeEventListener('abort', listeners[gone] as () => void)
  expect(stop.aborted).toBe(false)
  stop.abort()
  stop.abort()
  expect([stop.aborted, told]).toEqual([true, ['b', 'd', 'object']])
})

test('one that is told may take another one out, and itself', () => {
  const stop = new Stop()
  const told: string[] = []
  const last = () => void told.push('last')
  const first = () => {
    told.push('first')
    stop.removeEventListener('abort', first)
    stop.removeEventListener('abort', last)
  }
  stop.addEventListener('abort', first)
  stop.addEventListener('abort', last)
  stop.abort()
  expect(told).toEqual(['first'])
})
