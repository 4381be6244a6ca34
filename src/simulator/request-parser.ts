/** Cuts bytes into HTTP/1.x requests as Go's server does (keep-alive, pipelining, chunked bodies); it must never look at what a body means. */

/** One whole request. Header names are lower-case, the first value of each counts. */
export interface WireRequest {
  readonly method: string
  /** As sent: path and query, undecoded. */
  readonly target: string
  readonly path: string
  readonly minor: 0 | 1
  readonly headers: ReadonlyMap<string, string>
  /** Empty when the body was hashed instead of kept. */
  readonly body: Uint8Array
  readonly sha256: string | null
  readonly keepAlive: boolean
}

export type ParseStep =
  | { readonly kind: 'more' }
  /** The head is read and the client waits for `100 Continue` before it sends the body. */
  | { readonly kind: 'expects' }
  | { readonly kind: 'request'; readonly request: WireRequest }
  | { readonly kind: 'bad'; readonly status: string; readonly text: string }

interface Head {
  method: string
  target: string
  path: string
  minor: 0 | 1
  headers: Map<string, string>
}

interface Body {
  pieces: Uint8Array[]
  hasher: Bun.CryptoHasher | null
  left: number
  phase: 'fixed' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailers'
}

const EMPTY = Buffer.alloc(0)
const HEAD_BYTES_MAX = 1 << 20
const MORE: ParseStep = { kind: 'more' }
const REQUEST_LINE = /^([A-Za-z]+) (\S+) HTTP\/1\.([01])$/

const bad = (text: string, status = '400 Bad Request'): ParseStep => ({ kind: 'bad', status, text })

const readHead = (text: string): Head | ParseStep => {
  const lines = text.split('\r\n')
  const match = REQUEST_LINE.exec(lines[0]!)
  if (!match) return bad('400 Bad Request')
  const headers = new Map<string, string>()
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!
    const colon = line.indexOf(':')
    if (colon <= 0 || line.charCodeAt(colon - 1) === 0x20) return bad('400 Bad Request')
    const name = line.slice(0, colon).toLowerCase()
    if (!headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
  }
  const target = match[2]!.replace(/^https?:\/\/[^/?]*/, '') || '/'
  const query = target.indexOf('?')
  const minor = match[3] === '1' ? 1 : 0
  if (minor === 1 && !headers.has('host')) return bad('400 Bad Request: missing required Host header')
  return { method: match[1]!, target, path: query < 0 ? target : target.slice(0, query), minor, headers }
}

const readBody = (head: Head, hashed: boolean): Body | ParseStep => {
  const hasher = hashed ? new Bun.CryptoHasher('sha256') : null
  const coding = head.headers.get('transfer-encoding')
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') return bad('501 Not Implemented', '501 Not Implemented')
    return { pieces: [], hasher, left: 0, phase: 'chunk-size' }
  }
  const length = head.headers.get('content-length') ?? '0'
  if (!/^\d+$/.test(length)) return bad('400 Bad Request')
  return { pieces: [], hasher, left: Number(length), phase: 'fixed' }
}

/** HTTP/1.0 clients get one answer per connection here; Ollama would keep theirs open on demand. */
const wantsKeepAlive = ({ minor, headers }: Head): boolean =>
  minor === 1 && !headers.get('connection')?.toLowerCase().includes('close')

const wholeRequest = (head: Head, body: Body): ParseStep => ({
  kind: 'request',
  request: {
    ...head,
    body: body.pieces.length === 0 ? EMPTY : body.pieces.length === 1 ? body.pieces[0]! : Buffer.concat(body.pieces),
    sha256: body.hasher?.digest('hex') ?? null,
    keepAlive: wantsKeepAlive(head),
  },
})

export interface RequestParser {
  push(bytes: Uint8Array): void
  /** The next whole request, if the bytes are there. Bytes of later requests wait for later calls. */
  next(): ParseStep
  /** Whether a request has begun and is not whole yet. */
  readonly midway: boolean
}

/** Bytes that have arrived and are not used yet. */
const createInbox = () => {
  let bytes: Buffer = EMPTY
  const take = (count: number): Buffer => {
    const taken = bytes.subarray(0, count)
    bytes = bytes.subarray(count)
    return taken
  }
  /** The text before the first `end`, which goes with it; null while that has not come. */
  const takeUntil = (end: string): string | null => {
    const at = bytes.indexOf(end)
    return at < 0 ? null : take(at + end.length).toString('latin1', 0, at)
  }
  return {
    get length() {
      return bytes.length
    },
    push(more: Uint8Array) {
      const piece = Buffer.from(more.buffer, more.byteOffset, more.byteLength)
      bytes = bytes.length === 0 ? piece : Buffer.concat([bytes, piece])
    },
    take,
    takeUntil,
    skipBlankLines() {
      while (bytes[0] === 0x0d || bytes[0] === 0x0a) take(1)
    },
  }
}

type Inbox = ReturnType<typeof createInbox>

/** Takes what belongs to the part of the body that is being read. */
const keep = (inbox: Inbox, into: Body) => {
  const piece = inbox.take(Math.min(into.left, inbox.length))
  into.left -= piece.length
  if (piece.length === 0) return
  if (into.hasher) into.hasher.update(piece)
  else into.pieces.push(piece)
}

/** One line between the data of chunks. False: not what stands there in HTTP. */
const readChunkLine = (into: Body, line: string): boolean => {
  if (into.phase === 'chunk-end') {
    into.phase = 'chunk-size'
    return line === ''
  }
  const size = line.split(';')[0]!.trim()
  if (!/^[0-9a-fA-F]{1,8}$/.test(size)) return false
  into.left = Number.parseInt(size, 16)
  into.phase = into.left === 0 ? 'trailers' : 'chunk-data'
  return true
}

/** True: whole. False: more bytes are needed. Null: not HTTP. */
const readChunked = (inbox: Inbox, into: Body): boolean | null => {
  for (;;) {
    if (into.phase === 'chunk-data') {
      keep(inbox, into)
      if (into.left > 0) return false
      into.phase = 'chunk-end'
    }
    const line = inbox.takeUntil('\r\n')
    if (line === null) return false
    if (into.phase === 'trailers') {
      if (line === '') return true
    } else if (!readChunkLine(into, line)) return null
  }
}

/** True: whole. False: more bytes are needed. Null: not HTTP. */
const readOn = (inbox: Inbox, into: Body): boolean | null => {
  if (into.phase !== 'fixed') return readChunked(inbox, into)
  keep(inbox, into)
  return into.left === 0
}

/** `isHashed` names the requests whose body is only hashed, because it may be many gigabytes (blob uploads). */
export const createRequestParser = (isHashed: (method: string, path: string) => boolean): RequestParser => {
  const inbox = createInbox()
  let current: { head: Head; body: Body } | null = null

  const beginHead = (): ParseStep | null => {
    inbox.skipBlankLines()
    const text = inbox.takeUntil('\r\n\r\n')
    if (text === null)
      return inbox.length > HEAD_BYTES_MAX
        ? bad('431 Request Header Fields Too Large', '431 Request Header Fields Too Large')
        : MORE
    const head = readHead(text)
    if ('kind' in head) return head
    const body = readBody(head, isHashed(head.method, head.path))
    if ('kind' in body) return body
    current = { head, body }
    const waits = head.minor === 1 && head.headers.get('expect')?.toLowerCase() === '100-continue'
    return waits && (body.left > 0 || body.phase !== 'fixed') ? { kind: 'expects' } : null
  }

  return {
    push: inbox.push,
    next() {
      const stopped = current === null ? beginHead() : null
      if (stopped || current === null) return stopped ?? MORE
      const { head, body } = current
      const whole = readOn(inbox, body)
      if (whole === null) return bad('400 Bad Request')
      if (!whole) return MORE
      current = null
      return wholeRequest(head, body)
    },
    get midway() {
      return current !== null || inbox.length > 0
    },
  }
}
