/** Quiet moments: what may wait runs while no job does, one at a time, and gives way at once. */
import { expect, test } from 'bun:test'
import { createQuiet } from '../../src/engine/quiet.ts'
import { settled } from '../support/virtual-clock.ts'

const build = () => {
  const at = { quiet: false }
  return { at, quiet: createQuiet(() => at.quiet) }
}

test('nothing runs before it is quiet, and then one after the other in their order', async () => {
  const { at, quiet } = build()
  const ran: string[] = []
  const work = (name: string) => quiet.run(async () => void ran.push(name))
  const both = Promise.all([work('a'), work('b')])
  await settled()
  expect(ran).toEqual([])
  at.quiet = true
  quiet.look()
  await both
  expect(ran).toEqual(['a', 'b'])
})

test('a job that comes ends what runs, at once, whether it notices or not', async () => {
  const { at, quiet } = build()
  at.quiet = true
  let signal: AbortSignal | undefined
  const deaf = quiet.run((given) => {
    signal = given
    return new Promise(() => undefined)
  })
  await settled()
  at.quiet = false
  quiet.disturb()
  expect(signal?.aborted).toBe(true)
  expect((await deaf).kind).toBe('gave-way')
  at.quiet = true
  expect(await quiet.run(async () => 7)).toEqual({ kind: 'ran', value: 7 })
})

test('what the work throws is its caller’s, and the next one runs', async () => {
  const { at, quiet } = build()
  at.quiet = true
  const failing = quiet.run(async () => {
    throw new Error('mine')
  })
  const next = quiet.run(async () => 1)
  expect(failing).rejects.toThrow('mine')
  expect((await next).kind).toBe('ran')
})

test('whoever waits can be called back, and a close sends everybody away for good', async () => {
  const { quiet } = build()
  const halt = new AbortController()
  const called = quiet.run(async () => 1, halt.signal)
  halt.abort()
  expect((await called).kind).toBe('gave-way')
  const waiting = quiet.run(async () => 1)
  quiet.close()
  expect((await waiting).kind).toBe('over')
  expect((await quiet.run(async () => 1)).kind).toBe('over')
})
