/** A target of much at once, a process of its own: raw sockets, so that every chunk is a write of its own as Ollama's are. */
import type { Socket } from 'bun'

const MODEL = 'bench:latest'
const at = '2026-01-01T00:00:00.000000000Z'
const chunk = (content: string, rest: object) =>
  `${JSON.stringify({ model: MODEL, created_at: at, message: { role: 'assistant', content }, ...rest })}\n`
const last = { done: true, done_reason: 'stop', total_duration: 1, prompt_eval_count: 5, eval_count: 5 }
const model = { name: MODEL, model: MODEL, digest: 'a'.repeat(64), size: 2_000_000_000, details: {} }

const OK = 'HTTP/1.1 200 OK\r\nContent-Type:'
const whole = (text: string) =>
  Buffer.from(`${OK} application/json; charset=utf-8\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
const framed = (text: string) => Buffer.from(`${text.length.toString(16)}\r\n${text}\r\n`)

const models = whole(JSON.stringify({ models: [model] }))
const loaded = whole(JSON.stringify({ model: MODEL, created_at: at, response: '', done: true, done_reason: 'load' }))
const large = whole(chunk('word '.repeat(4_000_000), last))
const word = framed(chunk(' word', { done: false }))
const flood: readonly Buffer[] = [
  Buffer.from(`${OK} application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`),
  ...Array.from({ length: 1_999 }, () => word),
  framed(chunk('', last)),
  Buffer.from('0\r\n\r\n'),
]

interface Connection {
  received: string
  pieces: readonly Buffer[]
  next: number
  offset: number
}

const answerOf = (request: string): readonly Buffer[] => {
  if (request.startsWith('GET /api/version')) return [whole('{"version":"0.33.0"}')]
  if (request.startsWith('GET')) return [models]
  if (request.startsWith('POST /api/generate')) return [loaded]
  return request.includes('"stream":false') ? [large] : flood
}

const flush = (socket: Socket<Connection>) => {
  const { data } = socket
  for (let piece = data.pieces[data.next]; piece !== undefined; piece = data.pieces[data.next]) {
    data.offset += Math.max(0, socket.write(piece, data.offset, piece.length - data.offset))
    if (data.offset < piece.length) return
    data.next++
    data.offset = 0
  }
}

const listener = Bun.listen<Connection>({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open(socket) {
      socket.data = { received: '', pieces: [], next: 0, offset: 0 }
    },
    data(socket, bytes) {
      const { data } = socket
      data.received += bytes.toString('latin1')
      const head = data.received.indexOf('\r\n\r\n')
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(data.received)?.[1] ?? 0)
      if (head < 0 || data.received.length < head + 4 + length) return
      Object.assign(data, { pieces: answerOf(data.received), received: '', next: 0, offset: 0 })
      flush(socket)
    },
    drain: flush,
  },
})
process.send?.({ ready: true, port: listener.port })
