/** A million mutated answers of a target against the parser of its client: none throws, none is whole twice, and cuts change nothing. */
import { expect, test } from 'bun:test'
import { type ParseState, ReplyParser } from '../../src/ollama/reply-parser.ts'
import { figure, seedOf } from '../support/figures.ts'

const ANSWERS = 1_000_000
const OK = 'HTTP/1.1 200 OK\r\n'
const bases = [
  `${OK}Content-Length: 5\r\n\r\nhello`,
  `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n4;a=b\r\n{1}\n\r\n0\r\n\r\n`,
  `${OK}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\nX: y\r\n\r\n`,
  `${OK}\r\nuntil it closes`,
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 No Content\r\nConnection: close\r\n\r\n',
  'HTTP/1.1 503 Away\r\nContent-Length: 2\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\nno',
].map((text) => Buffer.from(text, 'latin1'))
// Bytes that mean something to a parser; any other is as good as the next.
const pointed = Buffer.from('\r\n\t :;,0123456789afAF-+xHTP/.\0\x7f\xff', 'latin1')

/** xorshift32: the dice of a loop in which a nanosecond counts. */
const createRandom = (seed: number) => {
  let state = seed | 1
  return (below: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

type Random = ReturnType<typeof createRandom>

/** Overwrites, inserts, removes or repeats a few bytes. */
const mutated = (base: Buffer, random: Random): Buffer => {
  const bytes = Buffer.allocUnsafe(base.length + 16)
  let { length } = base
  base.copy(bytes)
  for (let times = random(3); times >= 0; times--) {
    const at = random(length)
    const count = 1 + random(4)
    switch (random(4)) {
      case 0:
        bytes[at] = pointed[random(pointed.length)] ?? 0
        break
      case 1:
        if (length + 1 > bytes.length) break
        bytes.copyWithin(at + 1, at, length++)
        bytes[at] = pointed[random(pointed.length)] ?? 0
        break
      case 2:
        if (at + count >= length) break
        bytes.copyWithin(at, at + count, length)
        length -= count
        break
      default:
        if (length + count > bytes.length) break
        bytes.copyWithin(at + count, at, length)
        length += count
    }
  }
  return bytes.subarray(0, length)
}

interface Parsed {
  state: ParseState
  heads: number
  ends: number
  text: string
  problem: string
}

/** Parsed from `cutAt` on as a second read, then finished; 0 is one read. */
const parse = (bytes: Buffer, cutAt: number): Parsed => {
  let heads = 0
  let ends = 0
  let text = ''
  const parser = new ReplyParser('GET', {
    head: () => void heads++,
    piece: (piece) => {
      text += Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString('latin1')
    },
    end: () => void ends++,
  })
  // The parser moves the bytes about.
  const own = Buffer.from(bytes)
  if (cutAt > 0) parser.push(Buffer.from(own.subarray(0, cutAt)))
  parser.push(cutAt > 0 ? own.subarray(cutAt) : own)
  return { state: parser.finish(), heads, ends, text, problem: parser.problem }
}

const isSound = ({ state, heads, ends, text, problem }: Parsed, bytes: Buffer): boolean =>
  state !== 'reading' &&
  heads <= 1 &&
  ends === (state === 'done' ? 1 : 0) &&
  ends <= heads &&
  text.length <= bytes.length &&
  (problem !== '') === (state === 'malformed')

test(`${ANSWERS} mutated answers are whole, cut off or no answer, and never two of these`, () => {
  const seed = seedOf('mutated replies')
  const random = createRandom(seed)
  const states: Record<ParseState, number> = { reading: 0, done: 0, malformed: 0, truncated: 0 }
  for (let round = 0; round < ANSWERS; round++) {
    const bytes = mutated(bases[round % bases.length] ?? Buffer.alloc(0), random)
    const whole = parse(bytes, 0)
    states[whole.state]++
    if (!isSound(whole, bytes)) expect({ seed, round, bytes: bytes.toString('latin1'), whole }).toBeNull()
    if (round % 8 !== 0) continue
    const cut = parse(bytes, random(bytes.length))
    // A garbled answer may be found out sooner or later, but what was given of it is the same.
    if (cut.state !== whole.state || cut.text !== whole.text)
      expect({ seed, round, bytes: bytes.toString('latin1'), cut }).toEqual({ ...whole, seed, round } as never)
  }
  figure('T2', `${ANSWERS} mutated answers`, JSON.stringify(states))
  expect(Math.min(states.done, states.malformed, states.truncated)).toBeGreaterThan(ANSWERS / 100)
  expect(states.reading).toBe(0)
}, 60_000)
