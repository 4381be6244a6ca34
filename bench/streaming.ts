/** What a person feels: the first token of a streamed chat, and the model list while a chat runs. */
import { calls, heldChat, post, requestOf } from './calls.ts'
import { during, type Listening, startForeman, startServer } from './children.ts'
import { type Amounts, ms, promised, type Row, told } from './row.ts'
import { median, quantile } from './statistics.ts'

interface Streamed {
  readonly firstMs: number
  readonly gapMaxMs: number
  readonly chunks: number
}

/** Sends one request on a connection of its own and notes when pieces of the body come. */
const stream = (port: number, request: string): Promise<Streamed> =>
  new Promise((resolve, reject) => {
    const pieces: number[] = []
    let sentAt = 0
    let isHead = true
    const finish = (socket: { end(): void }) => {
      socket.end()
      const gaps = pieces.slice(1).map((at, i) => at - (pieces[i] ?? at))
      resolve({ firstMs: (pieces[0] ?? Number.NaN) - sentAt, gapMaxMs: Math.max(...gaps), chunks: pieces.length })
    }
    Bun.connect({
      hostname: '127.0.0.1',
      port,
      socket: {
        open(socket) {
          sentAt = performance.now()
          socket.write(request)
        },
        data(socket, bytes) {
          const text = bytes.toString('latin1')
          if (!isHead || text.includes('"content"')) pieces.push(performance.now())
          isHead = false
          if (text.endsWith('0\r\n\r\n')) finish(socket)
        },
        error: (_, error) => reject(error),
        connectError: (_, error) => reject(error),
      },
    }).catch(reject)
  })

const streamRows = async (target: Listening, foreman: Listening, amounts: Amounts): Promise<Row[]> => {
  const direct: Streamed[] = []
  const queued: Streamed[] = []
  for (let i = 0; i < amounts.streams; i++) {
    direct.push(await stream(target.port, requestOf(calls.streamedChat)))
    queued.push(await stream(foreman.port, requestOf(calls.streamedChat)))
  }
  const firstMs = (results: Streamed[]) => median(results.map((result) => result.firstMs))
  const gapMs = (results: Streamed[]) => median(results.map((result) => result.gapMaxMs))
  const extraMs = median(queued.map((result, i) => result.firstMs - (direct[i]?.firstMs ?? Number.NaN)))
  return [
    told('streamed chat, 20 x 50 ms: first token direct', ms(firstMs(direct))),
    told('streamed chat, 20 x 50 ms: first token through the queue', ms(firstMs(queued))),
    promised('streamed chat: added to the first token', ms(extraMs), '<= 5 ms', extraMs <= 5),
    told('streamed chat: longest gap direct / queue', `${ms(gapMs(direct))} / ${ms(gapMs(queued))}`),
  ]
}

const tagsMs = async (port: number): Promise<number> => {
  const startedAt = performance.now()
  const reply = await fetch(`http://127.0.0.1:${port}/api/tags`)
  await reply.arrayBuffer()
  return performance.now() - startedAt
}

const HELD_CHAT_MS = 1_000

/** The model list again and again until `until` is over, at most `count` times. */
const listModels = async ({ port }: Listening, count: number, until: Promise<unknown>): Promise<number[]> => {
  let over = false
  void until.then(() => {
    over = true
  })
  const measured: number[] = []
  while (!over && measured.length < count) measured.push(await tagsMs(port))
  return measured.sort((a, b) => a - b)
}

const never = new Promise<void>(() => undefined)

const tagsRows = async (foreman: Listening, amounts: Amounts): Promise<Row[]> => {
  await listModels(foreman, amounts.tags, never)
  const idle = await listModels(foreman, amounts.tags, never)
  const chat = stream(foreman.port, requestOf(calls.streamedChat))
  const streaming = await listModels(foreman, amounts.tags, chat)
  await chat
  const held = post(heldChat(HELD_CHAT_MS), foreman.port)
  const busy = await listModels(foreman, amounts.tags, held)
  await (await held).arrayBuffer()
  const p99 = quantile(busy, 0.99)
  return [
    told('/api/tags: idle, p50 / p99', `${ms(median(idle))} / ${ms(quantile(idle, 0.99))}`),
    told('/api/tags: while a chat streams, p50 / p99', `${ms(median(streaming))} / ${ms(quantile(streaming, 0.99))}`),
    promised(
      '/api/tags: while a 1 s chat runs, p50 / p99',
      `${ms(median(busy))} / ${ms(p99)}`,
      'p99 <= 20 ms',
      p99 <= 20,
    ),
  ]
}

/** First token, chunk gaps and the model list. */
export const streamingRows = (amounts: Amounts): Promise<Row[]> =>
  during(async (keep) => {
    const target = keep(await startServer('target.ts'))
    const foreman = keep(await startForeman(target.port))
    return [...(await streamRows(target, foreman, amounts)), ...(await tagsRows(foreman, amounts))]
  })
