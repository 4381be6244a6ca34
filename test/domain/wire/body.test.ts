/** A body is read to its end or to its bound, and what is over the bound is never held. */
import { expect, test } from 'bun:test'
import { type BodySource, drainBody, drainPieces } from '../../../src/domain/wire/body.ts'

const source = (pieces: readonly string[], last: Awaited<ReturnType<BodySource['read']>> = { kind: 'end' }) => {
  let at = 0
  let cancelled = false
  return {
    read: async () =>
      at < pieces.length ? ({ kind: 'chunk', bytes: new TextEncoder().encode(pieces[at++]) } as const) : last,
    cancel: () => {
      cancelled = true
    },
    reads: () => at,
    isCancelled: () => cancelled,
  }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

test('the pieces of a body come out as one', async () => {
  const read = await drainBody(source(['ab', '', 'c']), { max: 3 })
  expect(read.kind === 'whole' && text(read.bytes)).toBe('abc')
})

test('a body that came with its head is not read again', async () => {
  const whole = { ...source(['x']), complete: new TextEncoder().encode('whole') }
  const read = await drainBody(whole, { max: 0 })
  expect([read.kind === 'whole' && text(read.bytes), whole.reads()]).toEqual(['whole', 0])
})

test('one byte over the bound ends it: the rest is cancelled and not asked for', async () => {
  const endless = source(Array.from({ length: 1_000 }, () => 'x'.repeat(10)))
  expect(await drainBody(endless, { max: 25 })).toEqual({ kind: 'too-large' })
  expect([endless.reads(), endless.isCancelled()]).toEqual([3, true])
})

test('a body that breaks is told as it broke, and every step is seen', async () => {
  let seen = 0
  const broken = { kind: 'broken', code: 'reset', message: 'gone' } as const
  const saw = () => {
    seen += 1
  }
  expect(await drainPieces(source(['a', 'b'], broken), { max: 10, saw })).toEqual(broken)
  expect(seen).toBe(3)
})
