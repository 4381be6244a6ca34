/** Many clients that wait at once: does each get its answer, and what does one of them cost in memory. */
import { residentBytes } from './children.ts'
import type { Subjects } from './paths.ts'
import { requests } from './requests.ts'
import { megabytes, promised, type Row, told } from './row.ts'

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
export const waiterRows = async ({ foreman, amounts }: Subjects): Promise<Row[]> => {
  const before = residentBytes(foreman.pid)
  const first = ask(foreman.port, requests.heldChat(HOLD_MS))
  const others = Array.from({ length: amounts.waiters }, () => ask(foreman.port, requests.chat))
  await allWait(foreman.port, amounts.waiters)
  const during = residentBytes(foreman.pid)
  const startedAt = performance.now()
  const statuses = await Promise.all([first, ...others].map(({ answered }) => answered))
  const elapsedMs = performance.now() - startedAt
  const failures = statuses.filter((status) => status !== 200).length
  const rows = [
    promised(`${amounts.waiters} waiting clients: failures`, String(failures), '0', failures === 0),
    told(`${amounts.waiters} waiting clients: all answered after`, `${(elapsedMs / 1_000).toFixed(1)} s`),
  ]
  if (before === null || during === null) return rows
  const each = (during - before) / amounts.waiters
  return [
    ...rows,
    told(`${amounts.waiters} waiting clients: memory of foreman`, megabytes(during)),
    told(`${amounts.waiters} waiting clients: memory per client`, `${(each / 1_000).toFixed(1)} kB`),
  ]
}
