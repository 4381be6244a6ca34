/** A target that says to the byte what a test wrote, and keeps what it was asked; on its own it only knows what foreman asks. */
import type { Socket } from 'bun'
import type { Dice } from './chance.ts'

/** A request of a client, as the target got it. */
export interface ReceivedRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
}

export interface VerbatimTarget {
  readonly port: number
  readonly url: string
  /** Every request that carried `X-Case`, by its value. */
  readonly received: ReadonlyMap<string, ReceivedRequest>
  /** Requests, but for the questions that foreman asks by itself from time to time. */
  readonly asked: () => number
  stop(): void
}

/** An answer as bytes, already cut into what one write sends. Each piece goes out in a turn of its own; a number is a silence in ms. */
export type Pieces = readonly (Uint8Array | number)[]

const MODELS = ['tiny', 'embed']
const entry = (name: string) => ({ name: `${name}:latest`, model: `${name}:latest`, digest: 'd', size: 1, details: {} })

const whole = (body: unknown): Pieces => {
  const text = JSON.stringify(body)
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${text.length}`
  return [Buffer.from(`${head}\r\n\r\n${text}`)]
}

const ownQuestions: ReadonlySet<string> = new Set(['/api/tags', '/api/ps', '/api/version', '/livez'])

/** What foreman asks on its own. */
const ownAnswer = ({ target }: ReceivedRequest): Pieces => {
  if (target === '/api/tags') return whole({ models: MODELS.map(entry) })
  if (target === '/api/ps') return whole({ models: MODELS.map(entry) })
  if (target === '/api/version') return whole({ version: '0.33.0' })
  return whole({ model: 'tiny', done: true, done_reason: 'load' })
}

/** The chunks of a body, or null when the last one has not come. Throws when they are none, so that it cannot run away. */
const unchunked = (bytes: Buffer, from: number): { body: Buffer; end: number } | null => {
  const pieces: Buffer[] = []
  for (let at = from; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return null
    const line = bytes.toString('latin1', at, lineEnd)
    if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`)
    const size = Number.parseInt(line, 16)
    const next = lineEnd + 2 + size + 2
    if (bytes.length < next) return null
    if (size === 0) return { body: Buffer.concat(pieces), end: next }
    pieces.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = next
  }
}

/** Takes the first request of a connection's bytes, or null when it has not all come. */
const takeRequest = (bytes: Buffer): { request: ReceivedRequest; end: number } | null => {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return null
  const [requestLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n')
  const [method = '', target = ''] = requestLine.split(' ')
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(': ')
    return [line.slice(0, colon), line.slice(colon + 2)]
  })
  const named = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1]
  const start = headEnd + 4
  if (named('transfer-encoding') === 'chunked') {
    const read = unchunked(bytes, start)
    return read && { request: { method, target, headers, body: read.body }, end: read.end }
  }
  const end = start + Number(named('content-length') ?? 0)
  if (bytes.length < end) return null
  return { request: { method, target, headers, body: Buffer.from(bytes.subarray(start, end)) }, end }
}

interface Conversation {
  bytes: Buffer
}

type Wire = Socket<Conversation>

const pour = async (socket: Wire, pieces: Pieces): Promise<void> => {
  for (const piece of pieces) {
    if (typeof piece === 'number') {
      await Bun.sleep(piece)
      continue
    }
    for (let offset = 0; offset < piece.length; ) {
      const taken = socket.write(piece, offset, piece.length - offset)
      if (taken < 0) return
      offset += taken
      // A turn of the event loop between two writes makes two reads of them at the other end, most of the time.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** Starts it. `answer` is asked for each request of a client; `null` closes the connection after the pieces. */
export const startVerbatimTarget = (
  answer: (request: ReceivedRequest) => { readonly pieces: Pieces; readonly close: boolean },
): VerbatimTarget => {
  const received = new Map<string, ReceivedRequest>()
  let asked = 0
  const reply = (socket: Wire, request: ReceivedRequest) => {
    const isOwn = request.method === 'GET' && ownQuestions.has(request.target)
    const name = request.headers.find(([key]) => key.toLowerCase() === 'x-case')?.[1]
    if (!isOwn || name !== undefined) asked++
    if (name === undefined) return void pour(socket, ownAnswer(request))
    received.set(name, request)
    const { pieces, close } = answer(request)
    void pour(socket, pieces).then(() => (close ? socket.end() : undefined))
  }
  const listener = Bun.listen<Conversation>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open(socket) {
        socket.data = { bytes: Buffer.alloc(0) }
        socket.setNoDelay(true)
      },
      data(socket, bytes) {
        socket.data.bytes = Buffer.concat([socket.data.bytes, bytes])
        const taken = takeRequest(socket.data.bytes)
        if (taken === null) return
        socket.data.bytes = socket.data.bytes.subarray(taken.end)
        reply(socket, taken.request)
      },
    },
  })
  return {
    port: listener.port,
    url: `http://127.0.0.1:${listener.port}`,
    received,
    asked: () => asked,
    stop: () => listener.stop(true),
  }
}

/** Cuts bytes at random places, characters of several bytes included. */
export const cutAtRandom = (bytes: Uint8Array, dice: Dice, piecesMax: number): Uint8Array[] => {
  const cuts = Array.from({ length: dice.between(0, piecesMax - 1) }, () => dice.between(0, bytes.length))
  const at = [0, ...cuts.sort((a, b) => a - b), bytes.length]
  return at
    .slice(1)
    .map((end, index) => bytes.subarray(at[index]!, end))
    .filter((piece) => piece.length > 0)
}
