/** Keeps sockets that may carry another request; it must never hand out one whose peer may have gone to sleep. */
import type { Clock } from '../domain/clock.ts'
import type { Connection, ConnectionUser } from './connection.ts'

// A laptop that slept leaves its sockets half-open: a request on one hangs without an error. One second bounds that
// risk to what any busy connection runs, and still serves a burst of calls from one socket.
const IDLE_MAX_MS = 1000
const IDLE_SOCKETS_MAX = 64

/** Idle connections, the freshest given out first. */
export interface Pool {
  take(): Connection | null
  put(connection: Connection): void
  size(): number
  close(): void
}

export const createPool = ({ clock }: { clock: Clock }): Pool => {
  let idle: Connection[] = []
  let cancelSweep: (() => void) | null = null

  const drop = (connection: Connection): void => {
    idle = idle.filter((other) => other !== connection)
    connection.terminate()
  }

  const sweep = (): void => {
    cancelSweep = null
    const oldest = clock.monotonicMs() - IDLE_MAX_MS
    for (const connection of idle) if (connection.idleSinceMs <= oldest) drop(connection)
    armSweep()
  }

  const armSweep = (): void => {
    if (cancelSweep === null && idle.length > 0) cancelSweep = clock.after(IDLE_MAX_MS, sweep)
  }

  return {
    take: () => {
      const connection = idle.pop()
      if (connection === undefined) return null
      connection.user = null
      if (connection.alive && clock.monotonicMs() - connection.idleSinceMs <= IDLE_MAX_MS) return connection
      connection.terminate()
      // The others have been idle for longer.
      for (const other of idle) other.terminate()
      idle = []
      return null
    },
    put: (connection) => {
      if (!connection.alive || idle.length >= IDLE_SOCKETS_MAX) {
        connection.terminate()
        return
      }
      connection.idleSinceMs = clock.monotonicMs()
      connection.user = idler(() => drop(connection))
      idle.push(connection)
      armSweep()
    },
    size: () => idle.length,
    close: () => {
      cancelSweep?.()
      cancelSweep = null
      for (const connection of idle) connection.terminate()
      idle = []
    },
  }
}

// Nothing may happen on an idle socket: a close makes it useless, and bytes nobody asked for would answer the next request.
const idler = (drop: () => void): ConnectionUser => ({
  opened: drop,
  received: drop,
  drained: () => undefined,
  finished: drop,
  lost: drop,
  abort: drop,
})
