/** Keeps the clients of receivers for a moment, so that a burst needs few connections; each leads to the one address it was opened for. */
import type { Clock } from '../domain/clock.ts'
import type { ReceiverClient } from './client.ts'

/** An origin, and the address that was judged for it at this try. */
export interface Destination {
  readonly origin: string
  readonly address: string
}

export interface Connections {
  /** Runs `use` with a client that dials this address and no other. */
  through<R>(to: Destination, use: (client: ReceiverClient) => Promise<R>): Promise<R>
  /** Closes what nobody uses, and the rest as it comes free. */
  close(): void
}

interface Kept {
  readonly client: ReceiverClient
  users: number
  idleSinceMs: number
}

// A client closes its own idle connections after a second; its shell may go soon after.
const KEEP_MS = 2_000

/** `open` makes a client that keeps its connections for a moment and resolves nothing. */
export const createConnections = (open: (to: Destination) => ReceiverClient, clock: Clock): Connections => {
  const kept = new Map<string, Kept>()
  let cancelSweep: (() => void) | null = null

  const take = (to: Destination): Kept => {
    const key = `${to.origin} ${to.address}`
    const found = kept.get(key) ?? { client: open(to), users: 0, idleSinceMs: 0 }
    kept.set(key, found)
    found.users++
    return found
  }

  const dropIdle = (sinceMs: number) => {
    for (const [key, { client, users, idleSinceMs }] of kept) {
      if (users > 0 || idleSinceMs > sinceMs) continue
      kept.delete(key)
      client.close()
    }
  }

  const sweep = () => {
    cancelSweep = null
    dropIdle(clock.monotonicMs() - KEEP_MS)
    armSweep()
  }
  const armSweep = () => {
    if (cancelSweep === null && kept.size > 0) cancelSweep = clock.after(KEEP_MS, sweep)
  }

  return {
    async through(to, use) {
      const taken = take(to)
      try {
        return await use(taken.client)
      } finally {
        taken.users--
        taken.idleSinceMs = clock.monotonicMs()
        armSweep()
      }
    },
    close() {
      cancelSweep?.()
      cancelSweep = null
      dropIdle(Number.POSITIVE_INFINITY)
    },
  }
}
