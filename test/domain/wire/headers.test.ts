/** Proves which headers cross foreman and which never do. */
import { describe, expect, test } from 'bun:test'
import { replyHeaders, requestHeaders } from '../../../src/domain/wire/headers.ts'

const hopByHop: [string, string][] = [
  ['Connection', 'keep-alive'],
  ['Keep-Alive', 'timeout=5'],
  ['Proxy-Connection', 'keep-alive'],
  ['Proxy-Authenticate', 'Basic'],
  ['Proxy-Authorization', 'Basic abc'],
  ['TE', 'trailers'],
  ['Trailer', 'X-Sum'],
  ['Transfer-Encoding', 'chunked'],
  ['Upgrade', 'h2c'],
]

describe('on the way to the target', () => {
  test('hop-by-hop headers, framing, Host, Expect and the client’s credentials stay behind, and the Origin, which foreman has judged', () => {
    const own: [string, string][] = [
      ['Host', 'a'],
      ['Content-Length', '3'],
      ['Expect', '100-continue'],
      ['authorization', 'Bearer client'],
      ['Origin', 'http://x'],
    ]
    expect(requestHeaders([...hopByHop, ...own, ['X-Mine', '1']])).toEqual([['X-Mine', '1']])
  })

  test('User-Agent, Accept-Encoding and unknown headers travel untouched', () => {
    const kept: [string, string][] = [
      ['User-Agent', 'curl/8'],
      ['accept-encoding', 'gzip'],
      ['x-Stainless-OS', 'é'],
    ]
    expect(requestHeaders(kept)).toEqual(kept)
  })

  test('an Origin and a preflight stay here, where they are judged', () => {
    const judged: [string, string][] = [
      ['Origin', 'http://x'],
      ['Access-Control-Request-Method', 'POST'],
      ['access-control-request-headers', 'x-api-key'],
    ]
    expect(requestHeaders([...judged, ['Accept', '*/*']])).toEqual([['Accept', '*/*']])
  })

  test('what Connection names stays behind, unless it is no token or is framing', () => {
    const headers: [string, string][] = [
      ['connection', 'close, X-Hop ,"quoted", bad name, content-type'],
      ['CONNECTION', 'x-other'],
      ['X-Hop', '1'],
      ['X-Other', '2'],
      ['bad name', '3'],
      ['Accept', '*/*'],
    ]
    expect(requestHeaders(headers)).toEqual([
      ['bad name', '3'],
      ['Accept', '*/*'],
    ])
  })

  test('a Headers object is read as it is', () => {
    expect(requestHeaders(new Headers({ 'X-A': '1', Authorization: 'Bearer x', Host: 'y' }))).toEqual([['x-a', '1']])
  })
})

describe('on the way back', () => {
  test('hop-by-hop headers stay behind, duplicates and order are kept', () => {
    const kept: [string, string][] = [
      ['Set-Cookie', 'a'],
      ['Date', 'now'],
      ['set-cookie', 'b'],
    ]
    expect(replyHeaders([...hopByHop, ...kept], true)).toEqual(kept)
  })

  test('Content-Length goes on only where no body follows', () => {
    expect(replyHeaders([['Content-Length', '5']], true)).toEqual([])
    expect(replyHeaders([['Content-Length', '5']], false)).toEqual([['Content-Length', '5']])
  })

  test('Connection cannot remove a length from an answer to HEAD', () => {
    expect(
      replyHeaders(
        [
          ['Connection', 'Content-Length'],
          ['Content-Length', '5'],
        ],
        false,
      ),
    ).toEqual([['Content-Length', '5']])
  })
})
