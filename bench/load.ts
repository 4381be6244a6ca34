/** The load generator, a process of its own: keep-alive connections that send one fixed request again and again. */
import { createReplyMeter } from './reply-meter.ts'
import { quantile } from './statistics.ts'

/** What one run is to do. */
export interface LoadOrder {
  readonly port: number
  /** A whole HTTP request. */
  readonly request: string
  readonly connections: number
  /** All connections together, after as many as `warmup`. */
  readonly requests: number
  readonly warmup: number
  /** The status of a good answer; 200 when not given. */
  readonly wanted?: number
}

/** What one run measured. */
export interface LoadResult {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly perSecond: number
  /** Answers with another status than wanted. */
  readonly failures: number
}

interface Run {
  readonly timesMs: number[]
  failures: number
  sent: number
}

/** One connection that asks again as soon as it has its answer, until the run has sent all it should. */
const ask = (port: number, wanted: number, request: Buffer, run: Run, total: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const meter = createReplyMeter()
    let sentAt = 0
    let asked = false
    const next = (socket: { write(bytes: Uint8Array): number; end(): void }) => {
      if (run.sent >= total) {
        asked = false
        socket.end()
        return resolve()
      }
      run.sent++
      asked = true
      sentAt = performance.now()
      if (socket.write(request) !== request.length) reject(new Error('the request did not fit into one write'))
    }
    const gone = () => (asked ? reject(new Error('the connection was closed before its answer')) : resolve())
    Bun.connect({
      hostname: '127.0.0.1',
      port,
      socket: {
        open: next,
        data(socket, bytes) {
          const metered = meter.push(bytes)
          if (metered === null) return
          run.timesMs.push(performance.now() - sentAt)
          if (metered.status !== wanted) run.failures++
          next(socket)
        },
        close: gone,
        error: (_, error) => reject(error),
        connectError: (_, error) => reject(error),
      },
    }).catch(reject)
  })

const runOnce = async ({ port, request, connections, wanted = 200 }: LoadOrder, total: number): Promise<LoadResult> => {
  const bytes = Buffer.from(request)
  const run: Run = { timesMs: [], failures: 0, sent: 0 }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: connections }, () => ask(port, wanted, bytes, run, total)))
  const elapsedMs = performance.now() - startedAt
  const sorted = run.timesMs.sort((a, b) => a - b)
  return {
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    perSecond: (sorted.length / elapsedMs) * 1_000,
    failures: run.failures,
  }
}

process.on('message', (order: LoadOrder) => {
  const work = async () => {
    if (order.warmup > 0) await runOnce(order, order.warmup)
    return runOnce(order, order.requests)
  }
  work().then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ problem: String(error) }),
  )
})
process.send?.({ ready: true })
