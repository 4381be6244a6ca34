/** A signal that follows others ends with any of them, and nothing of it is left on those that live on. */
import { expect, test } from 'bun:test'
import { following } from '../../src/loop/following.ts'

test('it ends with the first of them, also with one that has ended before', async () => {
  const [one, two] = [new AbortController(), new AbortController()]
  const ended = following([one.signal, two.signal], async (signal) => {
    two.abort()
    return signal.aborted
  })
  expect(await ended).toBe(true)
  expect(await following([two.signal], async (signal) => signal.aborted)).toBe(true)
})

test('what is over no longer follows', async () => {
  const one = new AbortController()
  const kept = await following([one.signal], async (signal) => signal)
  one.abort()
  expect(kept.aborted).toBe(false)
})
