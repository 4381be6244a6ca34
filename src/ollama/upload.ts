/** Sends one request, as fast as the target takes it and no faster; it must never promise a length and send another. */
import type { Connection } from './connection.ts'
import { isChunked } from './request-head.ts'
import type { TargetRequest } from './wire.ts'

// One write is one system call: below this, copying the body behind the head is cheaper than a second one.
const JOIN_BYTES_MAX = 65_536
const LAST_CHUNK = Buffer.from('0\r\n\r\n')
const CRLF = Buffer.from('\r\n')

/** Told when the caller's body stream failed or kept its own length wrong: the request can never be completed. */
export type UploadFailed = () => void

/** The two things done with a caller's stream. */
interface ChunkReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>
  cancel(): Promise<void>
}

/** The writing side of one exchange. */
export class Upload {
  readonly #connection: Connection
  readonly #failed: UploadFailed
  #queue: Uint8Array[] = []
  #offset = 0
  #ended = false
  #stopped = false
  #reader: ChunkReader | null = null
  #roomy: (() => void) | null = null

  constructor(connection: Connection, failed: UploadFailed) {
    this.#connection = connection
    this.#failed = failed
  }

  /** The kernel has the whole request. */
  get done(): boolean {
    return this.#ended && this.#queue.length === 0
  }

  start(head: string, request: TargetRequest): void {
    const { body } = request
    if (body === null || body instanceof Uint8Array) {
      this.#ended = true
      this.#enqueue(...joined(head, body))
      return
    }
    this.#enqueue(Buffer.from(head, 'latin1'))
    const reader = body.getReader()
    this.#reader = reader
    this.#pump(reader, isChunked(request) ? null : (request.bodyBytes ?? 0))
  }

  drained(): void {
    this.#flush()
    if (this.#queue.length > 0) return
    this.#roomy?.()
    this.#roomy = null
  }

  /** Sends no more and lets go of the caller's stream. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#queue = []
    this.#roomy?.()
    this.#roomy = null
    // The stream's own opinion of being cancelled changes nothing here.
    this.#reader?.cancel().catch(ignored)
  }

  #enqueue(...bytes: Uint8Array[]): void {
    this.#queue.push(...bytes)
    this.#flush()
  }

  #flush(): void {
    for (let bytes = this.#queue[0]; bytes !== undefined; bytes = this.#queue[0]) {
      const taken = this.#connection.write(bytes, this.#offset)
      this.#offset += taken
      if (this.#offset < bytes.length) return
      this.#queue.shift()
      this.#offset = 0
    }
  }

  async #pump(reader: ChunkReader, bytesExpected: number | null): Promise<void> {
    try {
      const missing = await this.#forward(reader, bytesExpected)
      if (this.#stopped) return
      if (missing !== null && missing !== 0) this.#failed()
      else this.#finish(missing === null)
    } catch {
      // The caller's stream broke, which is how a client that leaves during its upload looks from here.
      if (!this.#stopped) this.#failed()
    }
  }

  /** Answers how many of the promised bytes never came (negative: one piece too many, which was not sent); null without a promise. */
  async #forward(reader: ChunkReader, bytesExpected: number | null): Promise<number | null> {
    let missing = bytesExpected
    for (;;) {
      const { done, value } = await reader.read()
      if (this.#stopped || done || value === undefined) return missing
      if (missing !== null) missing -= value.length
      if (missing !== null && missing < 0) return missing
      if (value.length > 0) this.#enqueue(...(missing === null ? framed(value) : [value]))
      if (this.#queue.length > 0) await this.#room()
    }
  }

  #finish(chunked: boolean): void {
    this.#ended = true
    if (chunked) this.#enqueue(LAST_CHUNK)
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#roomy = resolve
    })
  }
}

const joined = (head: string, body: Uint8Array | null): Uint8Array[] => {
  if (body === null) return [Buffer.from(head, 'latin1')]
  if (body.length > JOIN_BYTES_MAX) return [Buffer.from(head, 'latin1'), body]
  const bytes = Buffer.allocUnsafe(head.length + body.length)
  bytes.write(head, 0, 'latin1')
  bytes.set(body, head.length)
  return [bytes]
}

const framed = (chunk: Uint8Array): Uint8Array[] => {
  const size = Buffer.from(`${chunk.length.toString(16)}\r\n`)
  return chunk.length > JOIN_BYTES_MAX ? [size, chunk, CRLF] : [Buffer.concat([size, chunk, CRLF])]
}

const ignored = (): void => undefined
