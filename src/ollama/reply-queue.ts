/** Holds the part of a body that has arrived and has not been read; it must never let a slow reader fill the memory. */
import type { BodyRead, ReplyBody } from './wire.ts'

/** What the queue asks of the connection it drinks from. */
export interface Tap {
  pause(): void
  resume(): void
  /** The reader wants no more. */
  cancelled(): void
}

const HIGH_BYTES = 1_048_576
const LOW_BYTES = HIGH_BYTES / 2
// A queued chunk of one byte still costs its objects, so a flood of tiny chunks must count for what it takes.
const CHUNK_COST_BYTES = 128

/** The reading side of one answer. */
export class ReplyQueue implements ReplyBody {
  complete: Uint8Array | null = null
  chunks = 0
  #tap: Tap
  #chunks: Uint8Array[] = []
  #next = 0
  #cost = 0
  #paused = false
  #last: BodyRead | null = null
  #waiting: ((read: BodyRead) => void) | null = null

  constructor(tap: Tap) {
    this.#tap = tap
  }

  push(bytes: Uint8Array): void {
    const waiting = this.#waiting
    if (waiting !== null) {
      this.#waiting = null
      waiting({ kind: 'chunk', bytes })
      return
    }
    this.#chunks.push(bytes)
    this.#cost += bytes.length + CHUNK_COST_BYTES
    if (this.#cost >= HIGH_BYTES && !this.#paused) {
      this.#paused = true
      this.#tap.pause()
    }
  }

  /** Nothing more will come. What has arrived can still be read, unless the work was given up. */
  close(last: BodyRead): void {
    if (this.#last !== null) return
    this.#last = last
    if (last.kind === 'aborted') this.#clear()
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.(last)
  }

  /** To be called once the bytes of the first push have been parsed; only then is it known whether that was all. */
  settle(chunks: number): void {
    if (this.#last?.kind !== 'end' || this.#chunks.length > 1) return
    this.chunks = chunks
    this.complete = this.#chunks[0] ?? new Uint8Array(0)
  }

  read(): Promise<BodyRead> {
    const bytes = this.#chunks[this.#next]
    if (bytes !== undefined) return Promise.resolve({ kind: 'chunk', bytes: this.#shift(bytes) })
    if (this.#last !== null) return Promise.resolve(this.#last)
    if (this.#waiting !== null) throw new Error('a body is read by one reader at a time')
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  cancel(): void {
    if (this.#last !== null) return
    this.close({ kind: 'aborted' })
    this.#tap.cancelled()
  }

  #shift(bytes: Uint8Array): Uint8Array {
    this.#next++
    this.#cost -= bytes.length + CHUNK_COST_BYTES
    if (this.#next === this.#chunks.length) this.#clear()
    if (this.#paused && this.#cost <= LOW_BYTES) {
      this.#paused = false
      if (this.#last === null) this.#tap.resume()
    }
    return bytes
  }

  #clear(): void {
    this.#chunks = []
    this.#next = 0
    this.#cost = 0
  }
}
