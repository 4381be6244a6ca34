/** An attempt can be stopped at any time, and waiting for that leaves nothing behind. */
import { expect, test } from 'bun:test'
import { createStopper, unlessStopped } from '../../src/engine/stopper.ts'

test('ten thousand waits leave no listener on the signal', async () => {
  const stopper = createStopper()
  let listeners = 0
  const { signal } = stopper
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)]
  Object.assign(signal, {
    addEventListener: (...given: Parameters<typeof add>) => {
      listeners += 1
      add(...given)
    },
    removeEventListener: (...given: Parameters<typeof remove>) => {
      listeners -= 1
      remove(...given)
    },
  })
  for (let i = 0; i < 10_000; i++) expect(await unlessStopped(stopper, Promise.resolve(i))).toBe(i)
  expect(unlessStopped(stopper, Promise.reject(new Error('mine')))).rejects.toThrow('mine')
  await Promise.resolve()
  expect(listeners).toBe(0)
})

test('a wait ends with the stop, and one that begins after it at once', async () => {
  const stopper = createStopper()
  const waiting = unlessStopped(stopper, new Promise(() => undefined))
  stopper.stop({ kind: 'left' })
  expect(await waiting).toBe('stopped')
  expect(await unlessStopped(stopper, new Promise(() => undefined))).toBe('stopped')
})
