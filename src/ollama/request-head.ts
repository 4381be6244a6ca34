/** Writes the head of a request as bytes; it must never let a header or a path break out of its line. */
import type { Endpoint } from './url.ts'
import type { TargetRequest } from './wire.ts'

/** The head, ready to be written, or why this request cannot be put on a wire at all. */
export type RequestHead = { kind: 'head'; text: string } | { kind: 'unsendable'; message: string }

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// Above U+00FF a character would be cut to one byte on the wire, and could become a line break there.
const badValue = /[^\t\x20-\x7e\x80-\xff]/
const plainPath = /^\/[\x21-\x7e]*$/
const bodyless: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/** The lines that are the same in every request: Host, and the target's own token. */
export const standingLines = (endpoint: Endpoint, token: string | undefined): string =>
  `Host: ${endpoint.authority}\r\n${token === undefined ? '' : `Authorization: Bearer ${token}\r\n`}`

/** One character per byte (latin1), including the blank line at the end. */
export const requestHead = (request: TargetRequest, prefix: string, standing: string, close: boolean): RequestHead => {
  if (!token.test(request.method)) return { kind: 'unsendable', message: 'the method is not a token' }
  let lines = ''
  for (const [name, value] of request.headers) {
    if (!token.test(name) || badValue.test(value)) {
      return { kind: 'unsendable', message: `the header ${JSON.stringify(name)} cannot be sent` }
    }
    lines += `${name}: ${value}\r\n`
  }
  const connection = close ? 'Connection: close\r\n' : ''
  const text = `${request.method} ${prefix}${safePath(request.path)} HTTP/1.1\r\n${standing}${connection}${lines}${framing(request)}\r\n`
  return { kind: 'head', text }
}

/** Whether a streamed body goes out in chunks, because nobody knows its length. */
export const isChunked = (request: TargetRequest): boolean =>
  request.body !== null && !(request.body instanceof Uint8Array) && request.bodyBytes === undefined

const framing = (request: TargetRequest): string => {
  if (request.body === null) return bodyless.has(request.method) ? '' : 'Content-Length: 0\r\n'
  if (request.body instanceof Uint8Array) return `Content-Length: ${request.body.length}\r\n`
  return request.bodyBytes === undefined ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${request.bodyBytes}\r\n`
}

// A path that is not plain ASCII is escaped character by character; percent signs stay as they are.
const safePath = (path: string): string => {
  if (plainPath.test(path)) return path
  const escaped = path.toWellFormed().replace(/[^\x21-\x7e]/gu, encodeURIComponent)
  return escaped.startsWith('/') ? escaped : `/${escaped}`
}
