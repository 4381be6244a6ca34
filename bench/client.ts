/** `bun bench/client.ts`: the target's client beside fetch and node:http, each against the same raw target; stands apart from `bun run bench`. */
import { Agent, request } from 'node:http'
import type { Socket } from 'bun'
import { systemClock } from '../src/clock.ts'
import { createTargetClient } from '../src/ollama/client.ts'
import { median } from './statistics.ts'

const LINE = `${JSON.stringify({ model: 'bench', created_at: '2026-01-01T00:00:00.000000000Z', message: { role: 'assistant', content: ' word' }, done: false })}\n`
const CHUNKS = 100_000
const TEXT = JSON.stringify({ model: 'bench', response: 'x'.repeat(200), done: true })
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
const small = Buffer.from(`${HEAD}Content-Length: ${TEXT.length}\r\n\r\n${TEXT}`)
const stream = Buffer.from(
  `${HEAD}Transfer-Encoding: chunked\r\n\r\n${`${LINE.length.toString(16)}\r\n${LINE}\r\n`.repeat(CHUNKS)}0\r\n\r\n`,
)

/** A target of its own process that says the same bytes to everybody, as fast as they are taken. */
const serve = () => {
  type Left = { bytes: Buffer; at: number }
  const flush = (socket: Socket<Left>) => {
    const { data } = socket
    data.at += Math.max(0, socket.write(data.bytes, data.at, data.bytes.length - data.at))
  }
  const { port } = Bun.listen<Left>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      data(socket, bytes) {
        socket.data = { bytes: bytes.includes('/stream') ? stream : small, at: 0 }
        flush(socket)
      },
      drain: flush,
    },
  })
  process.send?.(port)
}

type Get = (path: string) => Promise<number>

/** Each reads an answer to its end and says how many bytes its body had. */
const clientsOf = (url: string): Record<string, Get> => {
  const client = createTargetClient({ url, clock: systemClock })
  const agent = new Agent({ keepAlive: true })
  return {
    own: async (path) => {
      const reply = await client.send({ method: 'GET', path, headers: [], body: null }, { reuse: true })
      if (reply.kind !== 'answered') throw new Error(reply.kind)
      if (reply.body.complete !== null) return reply.body.complete.length
      let bytes = 0
      for (let read = await reply.body.read(); read.kind === 'chunk'; read = await reply.body.read())
        bytes += read.bytes.length
      return bytes
    },
    fetch: async (path) => {
      let bytes = 0
      for await (const chunk of (await fetch(url + path)).body ?? []) bytes += chunk.length
      return bytes
    },
    'node:http': (path) =>
      new Promise((resolve, reject) => {
        const sent = request(url + path, { agent }, (reply) => {
          let bytes = 0
          reply.on('data', (chunk: Buffer) => {
            bytes += chunk.length
          })
          reply.on('end', () => resolve(bytes))
        })
        sent.on('error', reject).end()
      }),
  }
}

const times = async (count: number, connections: number, get: Get): Promise<{ p50Us: number; perSecond: number }> => {
  const tookMs: number[] = []
  let left = count
  const startedAt = performance.now()
  const one = async () => {
    while (left-- > 0) {
      const at = performance.now()
      if ((await get('/')) !== TEXT.length) throw new Error('a wrong answer')
      tookMs.push(performance.now() - at)
    }
  }
  await Promise.all(Array.from({ length: connections }, one))
  return { p50Us: median(tookMs) * 1_000, perSecond: (count / (performance.now() - startedAt)) * 1_000 }
}

const chunksPerSecond = async (get: Get): Promise<number> => {
  const startedAt = performance.now()
  if ((await get('/stream')) !== LINE.length * CHUNKS) throw new Error('a wrong stream')
  return (CHUNKS / (performance.now() - startedAt)) * 1_000
}

const ROUNDS = Number(process.argv[2] ?? 7)

const measure = async (port: number) => {
  const clients = Object.entries(clientsOf(`http://127.0.0.1:${port}`))
  const rounds = clients.map(() => ({ p50Us: [] as number[], perSecond: [] as number[], chunks: [] as number[] }))
  // They take turns, so that a busy moment hits them all; the first round warms up.
  for (let round = 0; round <= ROUNDS; round++)
    for (const [i, [, get]] of clients.entries()) {
      const alone = await times(2_000, 1, get)
      const together = await times(10_000, 16, get)
      const chunks = await chunksPerSecond(get)
      if (round === 0) continue
      rounds[i]?.p50Us.push(alone.p50Us)
      rounds[i]?.perSecond.push(together.perSecond)
      rounds[i]?.chunks.push(chunks)
    }
  for (const [i, [name]] of clients.entries()) {
    const { p50Us = [], perSecond = [], chunks = [] } = rounds[i] ?? {}
    const figures = `p50 ${median(p50Us).toFixed(0)} us, 16 connections ${(median(perSecond) / 1e3).toFixed(1)}k/s`
    console.log(`${name.padEnd(10)} ${figures}, chunks ${(median(chunks) / 1e6).toFixed(2)}M/s`)
  }
}

if (process.argv[2] === 'target') serve()
else {
  const child = Bun.spawn([process.execPath, import.meta.path, 'target'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    ipc: (port: number) =>
      void measure(port)
        .finally(() => child.kill())
        .then(() => process.exit()),
  })
}
