/** A target whose every byte a test writes itself; it must never answer on its own. */
import type { Socket } from 'bun'
import { createCount, type WireCount } from '../support/wire-count.ts'

/** One connection as the target sees it. */
export interface ScriptedConnection {
  socket: Socket<ScriptedConnection>
  received: Buffer
  /** How it ended for the target, once it has: `fin`, or `reset` as an abort must look. */
  ended: 'fin' | 'reset' | null
}

export interface ScriptedRequest {
  /** Head and body as they came off the wire. */
  text: string
  /** Counts the requests of this target, from 1. */
  number: number
  connection: ScriptedConnection
}

export interface ScriptedTarget {
  port: number
  url: string
  connections: ScriptedConnection[]
  requests: ScriptedRequest[]
  opened: WireCount
  asked: WireCount
  closed: WireCount
  stop(): void
}

/** Calls `answer` for every complete request; without one it reads and stays silent. */
export const startScriptedTarget = (
  answer: (socket: Socket<ScriptedConnection>, request: ScriptedRequest) => void = () => undefined,
  opened: (socket: Socket<ScriptedConnection>) => void = () => undefined,
): ScriptedTarget => {
  const target = {
    connections: [],
    requests: [],
    opened: createCount(),
    asked: createCount(),
    closed: createCount(),
  } as {
    connections: ScriptedConnection[]
    requests: ScriptedRequest[]
  } & Record<'opened' | 'asked' | 'closed', ReturnType<typeof createCount>>
  const listener = Bun.listen<ScriptedConnection>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = { socket, received: Buffer.alloc(0), ended: null }
        target.connections.push(socket.data)
        target.opened.add()
        opened(socket)
      },
      data: (socket, bytes) => {
        const connection = socket.data
        connection.received = Buffer.concat([connection.received, bytes])
        const end = requestEnd(connection.received)
        if (end < 0) return
        const request = {
          text: connection.received.toString('latin1', 0, end),
          number: target.requests.length + 1,
          connection,
        }
        connection.received = connection.received.subarray(end)
        target.requests.push(request)
        answer(socket, request)
        target.asked.add()
      },
      close: (socket, error) => {
        socket.data.ended = error === undefined ? 'fin' : 'reset'
        target.closed.add()
      },
    },
  })
  return { ...target, port: listener.port, url: `http://127.0.0.1:${listener.port}`, stop: () => listener.stop(true) }
}

/** A small complete answer with a length. */
export const answerWith = (body: string, extra = ''): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${extra}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

/** One HTTP chunk. */
export const chunkOf = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

export const CHUNKED_HEAD =
  'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n'

const requestEnd = (received: Buffer): number => {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd < 0) return -1
  const head = received.toString('latin1', 0, headEnd)
  if (/^transfer-encoding: chunked$/im.test(head)) {
    const last = received.indexOf('0\r\n\r\n', headEnd + 4)
    return last < 0 ? -1 : last + 5
  }
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
  return received.length >= headEnd + 4 + length ? headEnd + 4 + length : -1
}
