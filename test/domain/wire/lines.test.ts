/** Lines come out whole, however the bytes were cut and wherever one began to listen. */
import { expect, test } from 'bun:test'
import { createLineCutter, createLineReader } from '../../../src/domain/wire/lines.ts'
import { createDice } from '../../support/chance.ts'
import { seedOf } from '../../support/figures.ts'

const encode = (text: string) => new TextEncoder().encode(text)

test('5,000 random cuts of the same lines give the same lines, and a late listener a whole tail of them', () => {
  const dice = createDice(seedOf('line-cutter'))
  for (let round = 0; round < 5_000; round++) {
    const lines = Array.from({ length: dice.between(1, 6) }, () =>
      JSON.stringify({
        content: dice.pick(['a', 'ü', '€uro', '😀', '{"x":1}', '\\n', '"']).repeat(dice.between(1, 5)),
      }),
    )
    const bytes = encode(`${lines.join(dice.pick(['\n', '\r\n']))}\n`)
    const from = dice.chance(0.5) ? 0 : dice.between(0, bytes.length - 1)
    const cutter = createLineCutter()
    const seen: string[] = []
    for (let at = from; at < bytes.length; ) {
      const next = Math.min(bytes.length, at + dice.between(1, 20))
      seen.push(...cutter.cut(bytes.subarray(at, next)))
      at = next
    }
    expect(cutter.end()).toEqual([])
    if (from === 0) expect(seen).toEqual(lines)
    else expect(lines.slice(lines.length - seen.length)).toEqual(seen)
  }
})

test('a last line without a newline is given at the end when it is whole, half a line never', () => {
  const cutter = createLineCutter()
  expect(cutter.cut(encode('{"a":1}\n{"b"'))).toEqual(['{"a":1}'])
  expect(cutter.end()).toEqual([])
  expect(cutter.cut(encode('{"c":1}'))).toEqual([])
  expect(cutter.end()).toEqual(['{"c":1}'])
})

test('a line without an end is not held: it is left out at the bound, and the next one is read', () => {
  const seen: string[] = []
  const reader = createLineReader((line) => void seen.push(line), { maxBytes: 1_000 })
  for (let i = 0; i < 500; i++) reader.push(encode('x'.repeat(100)))
  reader.push(encode('\nshort\n'))
  reader.push(encode('y'.repeat(2_000)))
  reader.flush()
  reader.push(encode('last'))
  reader.flush()
  expect(seen).toEqual(['short', 'last'])
})
