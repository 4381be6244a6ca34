/** Proves that the parser reads the same answer however the network cut it, and refuses what is no answer. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { ReplyHead } from '../../src/ollama/reply-head.ts'
import { type ParseState, ReplyParser } from '../../src/ollama/reply-parser.ts'

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n'
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`

interface Parsed {
  state: ParseState
  heads: ReplyHead[]
  chunks: Uint8Array[]
  ends: number
  problem: string
  leftOver: boolean
}

const parse = (pieces: Iterable<Uint8Array>, { method = 'GET', fin = false } = {}): Parsed => {
  const parsed: Parsed = { state: 'reading', heads: [], chunks: [], ends: 0, problem: '', leftOver: false }
  const parser = new ReplyParser(method, {
    head: (head) => void parsed.heads.push(head),
    piece: (bytes) => void parsed.chunks.push(bytes),
    end: () => void parsed.ends++,
  })
  for (const piece of pieces) parsed.state = parser.push(Buffer.from(piece))
  if (fin) parsed.state = parser.finish()
  return { ...parsed, problem: parser.problem, leftOver: parser.leftOver }
}

const parseText = (text: string, options = {}) => parse([Buffer.from(text, 'latin1')], options)
const bytesOf = (parsed: Parsed): Buffer => Buffer.concat(parsed.chunks)
const textOf = (parsed: Parsed): string => bytesOf(parsed).toString()

/** Every place where a chunk ends, in bytes of body. */
const edgesOf = (parts: readonly Uint8Array[]): number[] => {
  let at = 0
  return parts.map((part) => {
    at += part.length
    return at
  })
}

const cut = (bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const at = [...new Set([0, ...cuts.map((share) => Math.floor(share * bytes.length)), bytes.length])].sort(
    (a, b) => a - b,
  )
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

const chunked = (parts: readonly Uint8Array[], extension = '', trailer = ''): Buffer =>
  Buffer.concat([
    Buffer.from(CHUNKED, 'latin1'),
    ...parts.flatMap((part) => [Buffer.from(`${part.length.toString(16)}${extension}\r\n`), part, Buffer.from('\r\n')]),
    Buffer.from(`0\r\n${trailer}\r\n`),
  ])

const cutsArbitrary = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 60 })
const partsArbitrary = fc.array(
  fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }).map((text) => Buffer.from(text)),
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
  ),
  { maxLength: 12 },
)

describe('however the network cuts it', () => {
  test('10,000 random cuts of chunked answers give the same bytes, one piece of whole chunks a cut, split UTF-8 included', () => {
    fc.assert(
      fc.property(
        partsArbitrary,
        cutsArbitrary,
        fc.constantFrom('', ';a=b', ' ; name="v"'),
        (parts, cuts, extension) => {
          const pieces = cut(chunked(parts, extension, 'X-Sum: 1\r\n'), cuts)
          const parsed = parse(pieces)
          expect(parsed.state).toBe('done')
          expect(parsed.ends).toBe(1)
          expect(bytesOf(parsed).equals(Buffer.concat(parts))).toBe(true)
          expect(parsed.chunks.length).toBeLessThanOrEqual(pieces.length)
          const edges = edgesOf(parts)
          expect(edgesOf(parsed.chunks).filter((edge) => !edges.includes(edge))).toEqual([])
        },
      ),
      { numRuns: 10_000 },
    )
  })

  test('2,000 random cuts of answers with a length give the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), cutsArbitrary, (body, cuts) => {
        const wire = Buffer.concat([Buffer.from(`${HEAD}Content-Length: ${body.length}\r\n\r\n`), body])
        const parsed = parse(cut(wire, cuts))
        expect(parsed.state).toBe('done')
        expect(bytesOf(parsed).equals(body)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  test('every prefix of an answer is recognised as truncated', () => {
    const wire = chunked([Buffer.from('{"a":1}\n'), Buffer.from('é€😀')])
    for (let length = 0; length < wire.length; length++) {
      const parsed = parse([wire.subarray(0, length)], { fin: true })
      expect(parsed.state).toBe('truncated')
      expect(parsed.ends).toBe(0)
    }
  })

  test('a line of 8 MB in one chunk arrives byte for byte, as it comes', () => {
    const line = Buffer.alloc(8_000_000, 'abcdefghijklmnopqrstuvwxyz0123456789é\n')
    const wire = chunked([line, Buffer.from('next\n')])
    const pieces = Array.from({ length: Math.ceil(wire.length / 1448) }, (_, index) =>
      wire.subarray(index * 1448, (index + 1) * 1448),
    )
    const parsed = parse(pieces)
    expect(parsed.state).toBe('done')
    expect(bytesOf(parsed).equals(Buffer.concat([line, Buffer.from('next\n')]))).toBe(true)
    expect(parsed.chunks.length).toBe(pieces.length)
  })

  test('chunks that came together leave together, and one that is not whole waits for its rest', () => {
    const wire = chunked([Buffer.from('a'), Buffer.from('bb'), Buffer.from('ccc')])
    const at = wire.length - '\r\n0\r\n\r\n'.length - 1
    expect(parse([wire]).chunks.map(String)).toEqual(['abbccc'])
    expect(parse([wire.subarray(0, at), wire.subarray(at)]).chunks.map(String)).toEqual(['abb', 'ccc'])
  })

  test('a chunk of more than 64 KiB does not wait for its end', () => {
    const wire = chunked([Buffer.alloc(65_536, 'a'), Buffer.alloc(65_537, 'b')])
    const parsed = parse([wire.subarray(0, 65_600), wire.subarray(65_600, 100_000)])
    expect(parsed.state).toBe('reading')
    expect(parsed.chunks.map((chunk) => chunk.length > 90_000)).toEqual([true])
  })

  test('random bytes never throw and never look like a whole answer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, afterHead) => {
        const prefix = Buffer.from(afterHead ? CHUNKED : '')
        const parsed = parse([Buffer.concat([prefix, noise])], { fin: true })
        expect(parsed.ends).toBe(parsed.state === 'done' ? 1 : 0)
        if (!afterHead) expect(['malformed', 'truncated']).toContain(parsed.state)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('framing', () => {
  test('a length of zero ends with the head', () => {
    const parsed = parseText(`${HEAD}Content-Length: 0\r\n\r\n`)
    expect(parsed).toMatchObject({ state: 'done', ends: 1, chunks: [] })
  })

  test('without a length or chunks the body lasts until the connection closes', () => {
    expect(parseText(`${HEAD}\r\nall of it`).state).toBe('reading')
    const parsed = parseText(`${HEAD}\r\nall of it`, { fin: true })
    expect(parsed.state).toBe('done')
    expect(textOf(parsed)).toBe('all of it')
    expect(parsed.heads[0]?.keepAlive).toBe(false)
  })

  test('answers to HEAD, 204 and 304 have no body whatever their headers say', () => {
    expect(parseText(`${HEAD}Content-Length: 17\r\n\r\n`, { method: 'HEAD' })).toMatchObject({ state: 'done' })
    expect(parseText(`HTTP/1.1 204 No Content\r\n\r\n`)).toMatchObject({ state: 'done' })
    const unmodified = parseText('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n')
    expect(unmodified.state).toBe('done')
    expect(unmodified.heads[0]).toMatchObject({ bodyFollows: false, keepAlive: true })
  })

  test('interim answers are skipped', () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    const parsed = parseText(`${interim}${HEAD}Content-Length: 2\r\n\r\nok`)
    expect(parsed.heads.map((head) => head.status)).toEqual([200])
    expect(textOf(parsed)).toBe('ok')
  })

  test('chunks win over a length, and such a connection is not kept', () => {
    const parsed = parseText(`${HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`)
    expect(textOf(parsed)).toBe('ok')
    expect(parsed.heads[0]?.keepAlive).toBe(false)
  })

  test.each([
    ['HTTP/1.1 200 OK\r\n', '', true],
    ['HTTP/1.1 200 OK\r\n', 'Connection: close\r\n', false],
    ['HTTP/1.1 200 OK\r\n', 'Connection: x, CLOSE\r\n', false],
    ['HTTP/1.1 200 OK\r\n', 'Connection: keep-alive\r\n', true],
    ['HTTP/1.0 200 OK\r\n', 'Connection: keep-alive\r\n', false],
  ])('%j with %j: kept is %p', (status, extra, kept) => {
    const parsed = parseText(`${status}${extra}Content-Length: 0\r\n\r\n`)
    expect(parsed.heads[0]?.keepAlive).toBe(kept)
  })

  test('bytes after the end are reported, in the same push or a later one', () => {
    const whole = `${HEAD}Content-Length: 2\r\n\r\nok`
    expect(parseText(whole).leftOver).toBe(false)
    expect(parseText(`${whole}HTTP/1.1 200 OK\r\n`).leftOver).toBe(true)
    expect(parse([Buffer.from(whole), Buffer.from('!')]).leftOver).toBe(true)
  })

  test('headers keep their order, case, duplicates and bytes above ASCII', () => {
    const parsed = parseText(
      'HTTP/1.1 200 \r\nX-B: 1\r\nx-a:\t2 \r\nX-B: \xa0\xe9\r\nEmpty:\r\nContent-Length: 0\r\n\r\n',
    )
    expect(parsed.heads[0]?.headers).toEqual([
      ['X-B', '1'],
      ['x-a', '2'],
      ['X-B', '\xa0é'],
      ['Empty', ''],
      ['Content-Length', '0'],
    ])
  })
})

describe('what is no answer', () => {
  test.each([
    ['garbage', 'SSH-2.0-OpenSSH_9\r\n'],
    ['a TLS alert', '\x15\x03\x01\x00\x02\x02F'],
    ['a status line without a status', 'HTTP/1.1 OK\r\n\r\n'],
    ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
    ['a folded header', `${HEAD} folded\r\n\r\n`],
    ['a header without colon', `${HEAD}oops\r\n\r\n`],
    ['a space before the colon', `${HEAD}X : 1\r\n\r\n`],
    ['a NUL in a header', `${HEAD}X: \0\r\n\r\n`],
    ['a bare CR in a header', `${HEAD}X: a\rb\r\n\r\n`],
    ['two lengths', `${HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`],
    ['two lengths in one line', `${HEAD}Content-Length: 1, 2\r\n\r\n`],
    ['a signed length', `${HEAD}Content-Length: +1\r\n\r\n`],
    ['a length that is no number', `${HEAD}Content-Length: 0x1\r\n\r\n`],
    ['an unknown transfer encoding', `${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    ['chunked twice', `${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ['an unwanted upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['a chunk size that is no number', `${CHUNKED}zz\r\n`],
    ['an empty chunk size', `${CHUNKED}\r\n`],
    ['a blank chunk size', `${CHUNKED} \r\n`],
    ['a negative chunk size', `${CHUNKED}-1\r\n`],
    ['a huge chunk size', `${CHUNKED}fffffffffffffffff\r\n`],
    ['a chunk size ended by LF', `${CHUNKED}2\nok\r\n0\r\n\r\n`],
    ['a chunk longer than its size', `${CHUNKED}2\r\nokay\r\n0\r\n\r\n`],
    ['a chunk size line over 1 KiB', `${CHUNKED}1;${'x'.repeat(1100)}`],
    ['a head over 64 KiB', `${HEAD}X: ${'x'.repeat(66_000)}`],
    ['interim answers over 64 KiB', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(3_000)],
    ['trailers over 64 KiB', `${CHUNKED}0\r\n${'X: y\r\n'.repeat(11_000)}`],
  ])('%s is malformed', (_what, wire) => {
    const parsed = parseText(wire)
    expect(parsed.state).toBe('malformed')
    expect(parsed.ends).toBe(0)
    expect(parsed.problem).not.toBe('')
  })

  test('equal lengths, twice, are one length', () => {
    expect(parseText(`${HEAD}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`).state).toBe('done')
  })
})
