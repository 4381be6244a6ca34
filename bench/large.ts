/** Much at once: a stream without a gap and a large answer, through the queue beside the bare proxy; the two take turns. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { type Listening, startForeman, startServer } from './children.ts'
import { requests } from './requests.ts'
import { type Amounts, ms, promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

/** Sends one request on a connection of its own; gives the milliseconds until the last byte of the answer. */
const take = (port: number, request: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const startedAt = performance.now()
    let head = Buffer.alloc(0)
    let tail = Buffer.alloc(0)
    let missing: number | null = null
    let ended = false
    Bun.connect({
      hostname: '127.0.0.1',
      port,
      socket: {
        open: (socket) => void socket.write(request),
        data(socket, piece) {
          let body = piece
          if (missing === null) {
            head = Buffer.concat([head, piece])
            const end = head.indexOf(HEAD_END)
            if (end < 0) return
            missing = lengthOf(head.toString('latin1', 0, end))
            body = head.subarray(end + HEAD_END.length)
          }
          missing -= body.length
          tail = Buffer.concat([tail, body.subarray(-LAST_CHUNK.length)]).subarray(-LAST_CHUNK.length)
          // NaN where the body is chunked.
          if (missing > 0 || (Number.isNaN(missing) && !tail.equals(LAST_CHUNK))) return
          ended = true
          resolve(performance.now() - startedAt)
          socket.end()
        },
        close: () => void (ended || reject(new Error('closed before the end'))),
        connectError: (_, error) => reject(error),
      },
    }).catch(reject)
  })

const lengthOf = (head: string): number => {
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(head)
  return Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN)
}

/** Milliseconds of processor that all threads of a process have had; NaN where /proc does not exist. */
const processorMs = (pid: number): number => {
  const tasks = `/proc/${pid}/task`
  if (!existsSync(tasks)) return Number.NaN
  const ns = readdirSync(tasks).map((id) => Number(readFileSync(`${tasks}/${id}/schedstat`, 'utf8').split(' ')[0]))
  return ns.reduce((sum, one) => sum + one, 0) / 1e6
}

interface Taken {
  readonly tookMs: number[]
  readonly processorMs: number[]
}

const rowsOf = async (
  { bare, foreman }: { readonly bare: Listening; readonly foreman: Listening },
  rounds: number,
  [name, request, inRound]: readonly [string, string, number],
): Promise<Row[]> => {
  const measured: Record<'bare' | 'foreman', Taken> = {
    bare: { tookMs: [], processorMs: [] },
    foreman: { tookMs: [], processorMs: [] },
  }
  const turns: ['bare' | 'foreman', Listening][] = [
    ['bare', bare],
    ['foreman', foreman],
  ]
  // The first round warms both up: a call through the queue is compiled only after hundreds.
  for (let round = 0; round <= rounds; round++)
    for (const [who, { pid, port }] of turns) {
      const before = processorMs(pid)
      const all: number[] = []
      for (let i = 0; i < (round === 0 ? inRound * rounds * 2 : inRound); i++) all.push(await take(port, request))
      if (round === 0) continue
      measured[who].tookMs.push(median(all))
      measured[who].processorMs.push((processorMs(pid) - before) / inRound)
    }
  const ratio = median(measured.bare.tookMs.map((bareMs, i) => bareMs / (measured.foreman.tookMs[i] ?? Number.NaN)))
  const shown = ({ tookMs, processorMs: busyMs }: Taken) => `${ms(median(tookMs))}, processor ${ms(median(busyMs))}`
  return [
    told(`${name}: bare proxy`, shown(measured.bare)),
    told(`${name}: foreman, through the queue`, shown(measured.foreman)),
    name.includes('20 MB')
      ? promised(`${name}: time beside bare proxy`, times(1 / ratio), '<= 1.30x', 1 / ratio <= 1.3)
      : promised(`${name}: speed beside bare proxy`, times(ratio), '>= 0.95x', ratio >= 0.95),
  ]
}

/** A stream of 2,000 chunks without a gap, and an answer of 20 MB. */
export const largeRows = async ({ rounds }: Amounts): Promise<Row[]> => {
  const target = await startServer('large-target.ts')
  const bare = await startServer('bare-proxy.ts', `http://127.0.0.1:${target.port}`)
  const foreman = await startForeman(target.port)
  try {
    return [
      ...(await rowsOf({ bare, foreman }, rounds, ['stream of 2,000 chunks without a gap', requests.streamedChat, 20])),
      ...(await rowsOf({ bare, foreman }, rounds, ['answer of 20 MB', requests.chat, 5])),
    ]
  } finally {
    for (const child of [foreman, bare, target]) await child.stop()
  }
}
