/** A target that says to the byte what a test wrote, and keeps what it was asked; on its own it only knows what foreman asks. */
import type { Socket } from 'bun'
import { type ScriptedConnection, startScriptedTarget } from '../target/scripted-target.ts'
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
  /** All requests, foreman's own included. */
  readonly asked: () => number
  stop(): void
}

/** An answer as bytes, already cut into what one write sends. Each piece goes out in a turn of its own. */
export type Pieces = readonly Uint8Array[]

const MODELS = ['tiny', 'embed']
const entry = (name: string) => ({ name: `${name}:latest`, model: `${name}:latest`, digest: 'd', size: 1, details: {} })

const whole = (body: unknown): Pieces => {
  const text = JSON.stringify(body)
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${text.length}`
  return [Buffer.from(`${head}\r\n\r\n${text}`)]
}

/** What foreman asks on its own. */
const ownAnswer = ({ target }: ReceivedRequest): Pieces => {
  if (target === '/api/tags') return whole({ models: MODELS.map(entry) })
  if (target === '/api/ps') return whole({ models: MODELS.map(entry) })
  if (target === '/api/version') return whole({ version: '0.33.0' })
  return whole({ model: 'tiny', done: true, done_reason: 'load' })
}

const unchunked = (body: Buffer): Buffer => {
  const pieces: Buffer[] = []
  for (let at = 0; ; ) {
    const lineEnd = body.indexOf('\r\n', at)
    const size = Number.parseInt(body.toString('latin1', at, lineEnd), 16)
    if (size === 0) return Buffer.concat(pieces)
    pieces.push(body.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
}

/** Takes a raw request apart. */
export const readRequest = (text: string): ReceivedRequest => {
  const headEnd = text.indexOf('\r\n\r\n')
  const [requestLine = '', ...lines] = text.slice(0, headEnd).split('\r\n')
  const [method = '', target = ''] = requestLine.split(' ')
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(': ')
    return [line.slice(0, colon), line.slice(colon + 2)]
  })
  const raw = Buffer.from(text.slice(headEnd + 4), 'latin1')
  const isChunked = headers.some(([name, value]) => name.toLowerCase() === 'transfer-encoding' && value === 'chunked')
  return { method, target, headers, body: isChunked ? unchunked(raw) : raw }
}

const pour = async (socket: Socket<ScriptedConnection>, pieces: Pieces): Promise<void> => {
  for (const piece of pieces) {
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
  const target = startScriptedTarget((socket, { text }) => {
    socket.setNoDelay(true)
    const request = readRequest(text)
    const name = request.headers.find(([key]) => key.toLowerCase() === 'x-case')?.[1]
    if (name === undefined) return void pour(socket, ownAnswer(request))
    received.set(name, request)
    const { pieces, close } = answer(request)
    void pour(socket, pieces).then(() => (close ? socket.end() : undefined))
  })
  return {
    port: target.port,
    url: target.url,
    received,
    asked: () => target.requests.length,
    stop: target.stop,
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
