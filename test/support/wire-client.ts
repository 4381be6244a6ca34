/** An HTTP client over one raw socket that shows what was on the wire and when; it must never retry, repair or decode a body. */
import type { Socket } from 'bun'
import { type AnswerHead, createAnswerReader } from './wire-reader.ts'

/** An answer, as far as it came. */
export interface WireAnswer extends AnswerHead {
  readonly body: Buffer
  /** `complete`: by its own framing. Otherwise how the connection ended before that. */
  readonly ending: 'complete' | 'fin' | 'rst'
  /** Reads of the socket that carried body bytes, in milliseconds since the request was sent. */
  readonly readsMs: readonly number[]
}

/** One request under way. */
export interface WireCall {
  /** The head has arrived. */
  readonly head: Promise<AnswerHead>
  /** The first byte of the body has arrived. */
  readonly begun: Promise<void>
  /** It rejects only when the connection ended before a head. */
  readonly answer: Promise<WireAnswer>
  /** The body so far. */
  soFar(): Buffer
}

export interface WireClient {
  /** Sends bytes as they are; one request at a time. */
  send(request: string | Uint8Array): WireCall
  /** RST, as a killed client does. */
  drop(): void
  /** FIN. */
  close(): void
  /** Stops reading until `resume`. */
  pause(): void
  resume(): void
}

interface Pending extends WireCall {
  received(bytes: Buffer): boolean
  ended(how: 'fin' | 'rst'): void
}

const settledLater = <T>() => {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  // Whoever is interested awaits it; a call that nobody looks at is no failure of the test.
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}

const createCall = (isHead: boolean): Pending => {
  const sentAt = performance.now()
  const head = settledLater<AnswerHead>()
  const begun = settledLater<void>()
  const answer = settledLater<WireAnswer>()
  const reader = createAnswerReader(isHead)
  const readsMs: number[] = []
  let over = false
  const finish = (ending: WireAnswer['ending']) => {
    if (over) return
    over = true
    const { head: seen } = reader
    if (seen === null) {
      const error = new Error(`the connection ended (${ending}) before a head: ${JSON.stringify(reader.raw())}`)
      for (const { reject } of [head, begun, answer]) reject(error)
      return
    }
    begun.resolve()
    answer.resolve({ ...seen, body: reader.body(), ending, readsMs })
  }
  return {
    head: head.promise,
    begun: begun.promise,
    answer: answer.promise,
    soFar: reader.body,
    received(bytes) {
      const before = reader.bodyBytes
      const complete = reader.push(bytes)
      if (reader.head !== null) head.resolve(reader.head)
      if (reader.bodyBytes > before) {
        readsMs.push(performance.now() - sentAt)
        begun.resolve()
      }
      if (complete) finish('complete')
      return complete
    },
    ended: (how) => finish(how === 'fin' && reader.endsWithConnection ? 'complete' : how),
  }
}

/** Connects to 127.0.0.1. */
export const openClient = async (port: number): Promise<WireClient> => {
  let current: Pending | null = null
  let backlog: Uint8Array = new Uint8Array(0)
  let ended: 'fin' | 'rst' | null = null
  const end = (how: 'fin' | 'rst') => {
    ended ??= how
    current?.ended(how)
    current = null
  }
  const pour = (socket: Socket) => {
    const taken = Math.max(0, socket.write(backlog))
    backlog = backlog.subarray(taken)
  }
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port,
    socket: {
      data(_socket, bytes) {
        if (current?.received(bytes)) current = null
      },
      drain: pour,
      end: () => end('fin'),
      error: () => end('rst'),
      close: (_socket, error) => end(error === undefined ? 'fin' : 'rst'),
    },
  })
  socket.setNoDelay(true)
  return {
    send(request) {
      const bytes = typeof request === 'string' ? Buffer.from(request) : request
      const call = createCall(Buffer.from(bytes.subarray(0, 5)).toString('latin1') === 'HEAD ')
      current = call
      backlog = backlog.length === 0 ? bytes : Buffer.concat([backlog, bytes])
      pour(socket)
      if (ended !== null) end(ended)
      return call
    },
    drop: () => void socket.terminate(),
    close: () => void socket.end(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
  }
}

/** One request on a connection of its own. */
export const askOnce = async (port: number, request: string | Uint8Array): Promise<WireAnswer> => {
  const client = await openClient(port)
  try {
    return await client.send(request).answer
  } finally {
    client.drop()
  }
}

/** The values of a header, in order. */
export const headerValues = ({ headers }: AnswerHead, name: string): string[] =>
  headers.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value)

/** The only value of a header, or null. */
export const headerOf = (head: AnswerHead, name: string): string | null => headerValues(head, name)[0] ?? null
