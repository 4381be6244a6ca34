/** Many clients that wait at once: does each get its answer, and what does one of them cost in memory. */
import { calls, heldChat, requestOf } from './calls.ts'
import { during, startForeman, startServer } from './children.ts'
import { residentBytes } from './processor.ts'
import { type Amounts, megabytes, promised, type Row, told } from './row.ts'

interface Waiting {
  /** Resolves with the status once the answer is complete. */
  readonly answered: Promise<number>
}

const ask = (port: number, request: string): Waiting => {
  const answered = new Promise<number>((resolve, reject) => {
    let text = ''
    Bun.connect({
      hostname: '127.0.0.1',
      port,
      socket: {
        open: (socket) => void socket.write(request),
        data(socket, bytes) {
          text += bytes.toString('latin1')
          if (!/"done":true|"error"/.test(text)) return
          resolve(Number(text.slice(9, 12)))
          socket.end()
        },
        close: () => resolve(0),
        error: (_, error) => reject(error),
        connectError: (_, error) => reject(error),
      },
    }).catch(reject)
  })
  return { answered }
}

/** Reads /healthz until `count` calls wait. */
const allWait = async (port: number, count: number): Promise<void> => {
  for (;;) {
    const reply = await fetch(`http://127.0.0.1:${port}/healthz`, { keepalive: false })
    const health: unknown = await reply.json()
    if (queuedIn(health) >= count) return
    await Bun.sleep(5)
  }
}

const queuedIn = (health: unknown): number => {
  if (typeof health !== 'object' || health === null || !('queue' in health)) return 0
  const { queue } = health
  return typeof queue === 'object' && queue !== null && 'queued' in queue ? Number(queue.queued) : 0
}

const HOLD_MS = 3_000

/** One chat holds the target while `waiters` others queue up behind it. */
const wait = async (port: number, pid: number, waiters: number): Promise<Row[]> => {
  // A first answer, so that the memory of warm code does not count as that of a client.
  await ask(port, requestOf(calls.chat)).answered
  const before = residentBytes(pid)
  const first = ask(port, requestOf(heldChat(HOLD_MS)))
  const others = Array.from({ length: waiters }, () => ask(port, requestOf(calls.chat)))
  await allWait(port, waiters)
  const withAll = residentBytes(pid)
  const firstStatus = await first.answered
  const freedAt = performance.now()
  const statuses = [firstStatus, ...(await Promise.all(others.map(({ answered }) => answered)))]
  const elapsedMs = performance.now() - freedAt
  const failures = statuses.filter((status) => status !== 200).length
  const each = (withAll - before) / waiters
  return [
    promised(`${waiters} waiting clients: failures`, String(failures), '0', failures === 0),
    told(`${waiters} waiting clients: all answered once the target is free after`, `${elapsedMs.toFixed(0)} ms`),
    told(`${waiters} waiting clients: memory of foreman`, megabytes(withAll)),
    told(`${waiters} waiting clients: memory per client`, `${(each / 1_000).toFixed(1)} kB`),
  ]
}

/** With a foreman of their own, whose memory nothing else has grown. */
export const waiterRows = ({ waiters }: Amounts): Promise<Row[]> =>
  during(async (keep) => {
    const target = keep(await startServer('target.ts'))
    const { port, pid } = keep(await startForeman(target.port))
    return wait(port, pid, waiters)
  })
