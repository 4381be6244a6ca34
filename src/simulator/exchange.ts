/** The answering side of one request, framed to the byte as Go's net/http frames it; it must never know what is being said. */
import type { Departure } from './pulse.ts'
import type { WireRequest } from './request-parser.ts'

export type Header = readonly [name: string, value: string]

/** How a fault cuts a body: after so many whole chunks, or in the middle of one with a Content-Length. */
export interface Cut {
  readonly how: 'reset' | 'truncate' | 'malformed'
  readonly afterChunks: number
}

/** One request and its answer: either one `send`, or `begin`, any number of `chunk`s and `end`. */
export interface Exchange extends Departure {
  readonly request: WireRequest
  /** Headers that every answer to this request carries (CORS, Allow). */
  readonly extraHeaders: Header[]
  readonly begun: boolean
  readonly done: boolean
  /** Called once when the answer is complete or nobody is there for it any more. */
  onSettled: () => void
  /** A whole answer: Content-Length up to 2 KiB, one chunk above, as Go's buffer makes it. */
  send(status: number, headers: readonly Header[], body: string): void
  begin(status: number, headers: readonly Header[]): void
  /** One HTTP chunk. A promise means: the client reads slowly, wait. */
  chunk(text: string): Promise<void> | undefined
  end(): void
  /** RST: nothing more is sent. */
  reset(): void
  /** Bytes that are no HTTP answer, then FIN. */
  blurt(text: string): void
  cutWith(cut: Cut): void
}

/** What an exchange needs of its connection. */
export interface Line {
  write(text: string): void
  /** Resolves when what was written has left; undefined when it already has. */
  drained(): Promise<void> | undefined
  reset(): void
  /** FIN, now. */
  hangUp(): void
  /** The answer is complete. */
  finished(keepAlive: boolean): void
  dateHeader(): string
}

/** The exchange plus the one thing only its connection may do. */
export interface OpenExchange extends Exchange {
  leave(): void
}

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

const headText = (
  line: Line,
  request: WireRequest,
  status: number,
  headers: readonly Header[],
  framing: string,
): string => {
  let text = `HTTP/1.${request.minor} ${status} ${reasons[status] ?? `status code ${status}`}\r\n`
  const sorted = headers.length < 2 ? headers : headers.toSorted(byName)
  for (const [name, value] of sorted) text += `${name}: ${value}\r\n`
  return `${text}${line.dateHeader()}${framing}\r\n`
}

/** Opens the answer to `request` on `line`. */
export const createExchange = (request: WireRequest, line: Line): OpenExchange => {
  const leavers = new Set<() => void>()
  const extraHeaders: Header[] = []
  const isHead = request.method === 'HEAD'
  const closing = request.minor === 1 && !request.keepAlive ? 'Connection: close\r\n' : ''
  let keepAlive = request.keepAlive
  let gone = false
  let begun = false
  let done = false
  let cut: Cut | null = null
  let chunks = 0

  const write = (text: string) => {
    if (!gone && !done) line.write(text)
  }
  const leave = () => {
    if (gone || done) return
    gone = true
    for (const run of leavers) run()
    leavers.clear()
    exchange.onSettled()
  }
  const finish = () => {
    if (gone || done) return
    done = true
    leavers.clear()
    exchange.onSettled()
    line.finished(keepAlive)
  }
  const performCut = ({ how }: Cut) => {
    if (how === 'malformed') write('zz\r\n')
    // Leaving comes first: a closing socket would otherwise count as a client that left.
    leave()
    if (how === 'reset') line.reset()
    else line.hangUp()
  }

  const begin = (status: number, headers: readonly Header[]) => {
    begun = true
    // HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
    if (request.minor === 0) keepAlive = false
    const framing = request.minor === 0 || isHead ? closing : `${closing}Transfer-Encoding: chunked\r\n`
    write(headText(line, request, status, [...extraHeaders, ...headers], framing))
  }

  const frame = (text: string) =>
    request.minor === 0 ? text : `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

  const sendCut = (status: number, headers: readonly Header[], body: string, how: Cut) => {
    if (how.how === 'malformed') {
      begin(status, headers)
    } else {
      const length = `Content-Length: ${Buffer.byteLength(body)}\r\n${closing}`
      write(headText(line, request, status, [...extraHeaders, ...headers], length))
      write(body.slice(0, body.length >> 1))
    }
    begun = true
    performCut(how)
  }

  const exchange: OpenExchange = {
    request,
    extraHeaders,
    onSettled: () => undefined,
    get gone() {
      return gone
    },
    get begun() {
      return begun
    },
    get done() {
      return done
    },
    onGone(run) {
      if (gone) run()
      else leavers.add(run)
      return () => leavers.delete(run)
    },
    send(status, headers, body) {
      if (cut) return sendCut(status, headers, body, cut)
      const length = Buffer.byteLength(body)
      const all = extraHeaders.length === 0 ? headers : [...extraHeaders, ...headers]
      if (length > BUFFERED_MAX && request.minor === 1 && !isHead) {
        begin(status, headers)
        write(`${frame(body)}0\r\n\r\n`)
      } else {
        const bodyless = status === 204
        const framing =
          bodyless || (length > BUFFERED_MAX && isHead) ? closing : `Content-Length: ${length}\r\n${closing}`
        begun = true
        write(headText(line, request, status, all, framing) + (isHead || bodyless ? '' : body))
      }
      finish()
    },
    begin,
    chunk(text) {
      if (cut && chunks >= cut.afterChunks) {
        performCut(cut)
        return undefined
      }
      chunks++
      if (!isHead) write(frame(text))
      return gone ? undefined : line.drained()
    },
    end() {
      if (cut && !gone) return performCut(cut)
      if (request.minor === 1 && !isHead) write('0\r\n\r\n')
      finish()
    },
    reset() {
      leave()
      line.reset()
    },
    blurt(text) {
      write(text)
      leave()
      line.hangUp()
    },
    cutWith(how) {
      cut = how
    },
    leave,
  }
  return exchange
}
