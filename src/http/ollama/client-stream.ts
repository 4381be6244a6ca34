/** The body that a client reads while it is made: a slow client holds its target back, and it must never hold more than its buffer. */

export interface ClientStream {
  readonly readable: ReadableStream<Uint8Array>
  /** True when the last byte that was written ended a line, or none was written. */
  readonly isAtLineStart: boolean
  /** A promise means: the client is slow, wait for it. */
  write(bytes: Uint8Array): void | Promise<void>
  /** Whoever waits for a slow client waits no longer. */
  release(): void
  close(): void
  /** The client sees a connection that is cut. */
  cut(message: string): void
}

const NEWLINE = 0x0a
// What one slow client may hold in memory before the target is asked to wait.
const BUFFER_BYTES = 256 * 1024

/** `cancelled` is called when the client leaves. */
export const createClientStream = (cancelled: () => void): ClientStream => {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  let drained: (() => void) | null = null
  let lastByte = NEWLINE
  const release = () => {
    drained?.()
    drained = null
  }
  const readable = new ReadableStream<Uint8Array>(
    {
      start: (given) => {
        controller = given
      },
      pull: release,
      cancel: cancelled,
    },
    { highWaterMark: BUFFER_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
  )
  return {
    readable,
    release,
    get isAtLineStart() {
      return lastByte === NEWLINE
    },
    write(bytes) {
      if (bytes.length === 0) return
      lastByte = bytes[bytes.length - 1] ?? NEWLINE
      controller?.enqueue(bytes)
      if ((controller?.desiredSize ?? 0) > 0) return
      return new Promise<void>((resolve) => {
        drained = resolve
      })
    },
    close: () => controller?.close(),
    cut: (message) => controller?.error(new Error(message)),
  }
}
