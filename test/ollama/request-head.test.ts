/** Proves that a request head is exactly what was asked for, and that nothing can break out of its line. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { requestHead, standingLines } from '../../src/ollama/request-head.ts'
import { parseTargetUrl } from '../../src/ollama/url.ts'
import type { TargetRequest } from '../../src/ollama/wire.ts'

const parsed = parseTargetUrl('http://gpu:11434/pre')
if (parsed.kind !== 'endpoint') throw new Error('unreachable')
const standing = standingLines(parsed.endpoint, 'tok')

const head = (request: Partial<TargetRequest>, close = false) =>
  requestHead({ method: 'GET', path: '/', headers: [], body: null, ...request }, '/pre', standing, close)
const lines = (request: Partial<TargetRequest>, close = false): string[] => {
  const made = head(request, close)
  if (made.kind !== 'head') throw new Error(made.message)
  return made.text.split('\r\n')
}
const stream = () => new ReadableStream<Uint8Array>()

describe('the head', () => {
  test('carries the prefix, the target’s own Host and token, and the headers in order', () => {
    const headers: [string, string][] = [
      ['X-B', '1'],
      ['x-a', 'é'],
      ['X-B', '2'],
    ]
    const host = ['Host: gpu:11434', 'Authorization: Bearer tok']
    expect(lines({ path: '/api/tags?a=%20b', headers })).toEqual([
      'GET /pre/api/tags?a=%20b HTTP/1.1',
      ...host,
      'X-B: 1',
      'x-a: é',
      'X-B: 2',
      '',
      '',
    ])
  })

  test.each([
    ['GET', null, []],
    ['DELETE', null, []],
    ['POST', null, ['Content-Length: 0']],
    ['GET', new Uint8Array(3), ['Content-Length: 3']],
    ['POST', new Uint8Array(0), ['Content-Length: 0']],
  ])('%s with %p is framed as %j', (method, body, framing) => {
    expect(lines({ method, body }).slice(3, -2)).toEqual(framing)
  })

  test('a streamed body is chunked, or has the length it was given', () => {
    expect(lines({ method: 'POST', body: stream() })).toContain('Transfer-Encoding: chunked')
    expect(lines({ method: 'POST', body: stream(), bodyBytes: 7 })).toContain('Content-Length: 7')
  })

  test('says close only for a connection that will not be used again', () => {
    expect(lines({}, true)).toContain('Connection: close')
    expect(lines({}, false)).not.toContain('Connection: close')
  })
})

describe('nothing breaks out of its line', () => {
  test.each([
    [{ method: 'GET /x HTTP/1.1\r\nX: ' }],
    [{ method: '' }],
    [{ headers: [['X\r\nY', '1']] }],
    [{ headers: [['', '1']] }],
    [{ headers: [['X', 'a\r\nY: b']] }],
    [{ headers: [['X', 'a\0b']] }],
    // Its low byte is a carriage return.
    [{ headers: [['X', 'a\u010db']] }],
  ] as [Partial<TargetRequest>][])('%j is not sent at all', (request) => {
    expect(head(request).kind).toBe('unsendable')
  })

  test.each([
    ['/api/x y', '/api/x%20y'],
    ['/a\r\nX: y', '/a%0D%0AX:%20y'],
    ['/blé/😀', '/bl%C3%A9/%F0%9F%98%80'],
    ['/lone\ud800', '/lone%EF%BF%BD'],
    ['/%2f%zz', '/%2f%zz'],
    ['x', '/x'],
    ['', '/'],
  ])('the path %j goes out as %s', (path, escaped) => {
    expect(lines({ path })[0]).toBe(`GET /pre${escaped} HTTP/1.1`)
  })

  test('2,000 random requests keep one line per header and one blank line, at the end', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 })
    fc.assert(
      fc.property(text, text, text, (path, name, value) => {
        const made = head({ path, headers: [[name, value]] })
        if (made.kind === 'unsendable') return
        expect(made.text.split('\r\n')).toHaveLength(6)
        expect(made.text.indexOf('\r\n\r\n')).toBe(made.text.length - 4)
        expect(/[^\t\r\n\x20-\xff]/.test(made.text)).toBe(false)
      }),
      { numRuns: 2000 },
    )
  })
})
