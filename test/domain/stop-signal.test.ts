/** A stop tells its one listener once, and an AbortSignal will do in its place. */
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

test('a second listener beside the first is a defect', () => {
  const stop = new Stop()
  heard(stop)
  expect(() => heard(stop)).toThrow()
})
