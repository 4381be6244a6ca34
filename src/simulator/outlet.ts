/** The writing side of one socket: what the kernel does not take yet waits here; it must never know what is being written. */
import type { Socket } from 'bun'

export interface Outlet {
  write(text: string): void
  /** Resolves when a slow reader has caught up; undefined when there is no need to wait. */
  drained(): Promise<void> | undefined
  /** FIN once everything is out; nothing is accepted after it. */
  closeSoon(): void
  readonly isClosing: boolean
  /** The socket takes more. */
  pour(): void
  /** Nobody reads any more: whoever waits for that goes on. */
  abandon(): void
}

// A Go handler blocks in Write once the socket buffers are full; this stands for them.
const BACKLOG_MAX = 1 << 16

/** The outlet of `socket`; `end` sends its FIN. */
export const createOutlet = (socket: Pick<Socket, 'write'>, end: () => void): Outlet => {
  const backlog: Buffer[] = []
  let bytesWaiting = 0
  let isClosing = false
  let isAbandoned = false
  let waiting: (() => void)[] = []

  const letGo = () => {
    const resolved = waiting
    waiting = []
    for (const resolve of resolved) resolve()
  }

  const keep = (bytes: Buffer) => {
    backlog.push(bytes)
    bytesWaiting += bytes.length
  }

  return {
    write(text) {
      const bytes = Buffer.from(text)
      if (backlog.length > 0) return keep(bytes)
      const written = Math.max(0, socket.write(bytes))
      if (written < bytes.length) keep(bytes.subarray(written))
    },
    drained: () =>
      bytesWaiting > BACKLOG_MAX && !isAbandoned ? new Promise((resolve) => waiting.push(resolve)) : undefined,
    closeSoon() {
      isClosing = true
      if (backlog.length === 0) end()
    },
    get isClosing() {
      return isClosing
    },
    pour() {
      while (backlog.length > 0) {
        const first = backlog[0]!
        const written = Math.max(0, socket.write(first))
        bytesWaiting -= written
        if (written < first.length) {
          backlog[0] = first.subarray(written)
          return
        }
        backlog.shift()
      }
      letGo()
      if (isClosing) end()
    },
    abandon() {
      isAbandoned = true
      letGo()
    },
  }
}
