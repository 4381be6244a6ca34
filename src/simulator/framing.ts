/** The bytes of an answer as Go's net/http frames them: heads, chunks and what ends them; it must never send any. */
import type { WireRequest } from './request-parser.ts'

export type Header = readonly [name: string, value: string]

// Go buffers this much before it gives up on a Content-Length.
const BUFFERED_MAX = 2048

const reasons: Record<number, string> = {
  200: 'OK',
  201: 'Created',
  204: 'No Content',
  301: 'Moved Permanently',
  302: 'Found',
  307: 'Temporary Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  429: 'Too Many Requests',
  499: 'status code 499',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  511: 'Network Authentication Required',
}

const byName = (a: Header, b: Header) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)

export interface Framing {
  /** The head of an answer that comes in chunks. */
  chunkedHead(status: number, headers: readonly Header[]): string
  chunk(text: string): string
  /** What ends the chunks. */
  readonly end: string
  /** A whole answer: Content-Length up to 2 KiB, one chunk above. */
  whole(status: number, headers: readonly Header[], body: string): string
  /** The first half of a whole answer that announces all of it. */
  half(status: number, headers: readonly Header[], body: string): string
}

/** The framing of the answer to `request`; `extraHeaders` may grow until the head is made. */
export const framingOf = (request: WireRequest, extraHeaders: readonly Header[], dateHeader: () => string): Framing => {
  const isHead = request.method === 'HEAD'
  // HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
  const isChunked = request.minor === 1 && !isHead
  const closing = request.minor === 1 && !request.keepAlive ? 'Connection: close\r\n' : ''

  const head = (status: number, headers: readonly Header[], framing: string): string => {
    let text = `HTTP/1.${request.minor} ${status} ${reasons[status] ?? `status code ${status}`}\r\n`
    const all = extraHeaders.length === 0 ? headers : [...extraHeaders, ...headers]
    for (const [name, value] of all.length < 2 ? all : all.toSorted(byName)) text += `${name}: ${value}\r\n`
    return `${text}${dateHeader()}${framing}\r\n`
  }
  const chunkedHead = (status: number, headers: readonly Header[]) =>
    head(status, headers, isChunked ? `${closing}Transfer-Encoding: chunked\r\n` : closing)
  const chunk = (text: string) => {
    if (isHead) return ''
    return request.minor === 0 ? text : `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
  }
  const end = isChunked ? '0\r\n\r\n' : ''

  return {
    chunkedHead,
    chunk,
    end,
    whole(status, headers, body) {
      const length = Buffer.byteLength(body)
      const isLong = length > BUFFERED_MAX
      if (isLong && isChunked) return chunkedHead(status, headers) + chunk(body) + end
      const bodyless = status === 204
      const framing = bodyless || (isLong && isHead) ? closing : `Content-Length: ${length}\r\n${closing}`
      return head(status, headers, framing) + (isHead || bodyless ? '' : body)
    },
    half: (status, headers, body) =>
      head(status, headers, `Content-Length: ${Buffer.byteLength(body)}\r\n${closing}`) +
      body.slice(0, body.length >> 1),
  }
}
