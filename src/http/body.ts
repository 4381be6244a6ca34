/** Reads request bodies within bounds: each one, all that wait together, and the time they take; only what has arrived counts. */
import { constants, zstdDecompressSync } from 'node:zlib'
import type { Clock } from '../domain/clock.ts'
import { type Failure, failure } from '../domain/job/failure.ts'
import { joined } from '../domain/slices.ts'
import { type BodySource, drainPieces } from '../domain/wire/body.ts'

export type BodyOutcome =
  | {
      readonly kind: 'body'
      readonly bytes: Uint8Array /** Call it when the bytes are no longer held. */
      release(): void
    }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'left' }

export interface BodyReader {
  read(request: Request): Promise<BodyOutcome>
  /** Bytes of all bodies that are held now. */
  readonly heldBytes: number
}

export interface BodyBounds {
  readonly maxBodyBytes: number
  /** All bodies that are held together; above it new ones are refused like a full queue. */
  readonly maxBodiesBytes: number
}

// Ollama's own bound on a zstd body.
const ZSTD_MAX_BYTES = 20 * 1024 ** 2
// Read in one go: nobody can hold much with it, and most bodies are smaller.
const SMALL_BYTES = 64 * 1024
// A body must bring so much in each window or be whole: 2 KiB/s, a tenth of the slowest link that anybody chats over.
const WINDOW_MS = 30_000
const WINDOW_BYTES = 64 * 1024
const LENGTH = /^\d{1,15}$/

/** The announced length; null where none is told or it cannot be read. Equal announcements are one (RFC 9112, section 6.3). */
export const announcedBytes = (request: Request): number | null => {
  const header = request.headers.get('content-length')
  if (header === null || LENGTH.test(header)) return header === null ? null : Number(header)
  const [only = '', ...more] = new Set(header.split(',').map((one) => one.trim()))
  return more.length === 0 && LENGTH.test(only) ? Number(only) : null
}

/** A request's own stream; an error of it means that the connection ended before its body did. */
const sourceOf = (stream: ReadableStream<Uint8Array>): BodySource => {
  const reader = stream.getReader()
  return {
    async read() {
      try {
        const { done, value } = await reader.read()
        return done ? { kind: 'end' } : { kind: 'chunk', bytes: value }
      } catch {
        return { kind: 'aborted' }
      }
    },
    cancel: () => void reader.cancel().catch(() => undefined),
  }
}

/** Counts what one body holds of the account of all. */
interface Share {
  hold(bytes: number): void
  readonly bytes: number
}

/** Ends a body that trickles: `arrived` says how many bytes there are. */
const watchTrickle = (clock: Clock, arrived: () => number, end: () => void): (() => void) => {
  let before = 0
  let cancel = () => {}
  const look = () => {
    const now = arrived()
    if (now - before < WINDOW_BYTES) return end()
    before = now
    cancel = clock.after(WINDOW_MS, look)
  }
  cancel = clock.after(WINDOW_MS, look)
  return () => cancel()
}

const readLarge = async (
  stream: ReadableStream<Uint8Array>,
  share: Share,
  clock: Clock,
  why: (totalBytes: number) => Failure | null,
): Promise<Uint8Array | Failure | null> => {
  const source = sourceOf(stream)
  let refusal: Failure | null = null
  const max = (totalBytes: number) => {
    share.hold(totalBytes)
    refusal = why(totalBytes)
    return refusal === null
  }
  const stop = watchTrickle(
    clock,
    () => share.bytes,
    () => {
      refusal = failure('body_too_slow')
      source.cancel()
    },
  )
  const drained = await drainPieces(source, { max })
  stop()
  if (refusal !== null) return refusal
  return drained.kind === 'pieces' ? joined(clock, drained.pieces) : null
}

/** A reader that shares one account of held bytes. */
export const createBodyReader = ({ maxBodyBytes, maxBodiesBytes }: BodyBounds, clock: Clock): BodyReader => {
  let heldBytes = 0
  const open = (): Share => {
    let bytes = 0
    return {
      hold(now) {
        heldBytes += now - bytes
        bytes = now
      },
      get bytes() {
        return bytes
      },
    }
  }
  const why = (totalBytes: number): Failure | null => {
    if (totalBytes > maxBodyBytes) return failure('body_too_large')
    return heldBytes > maxBodiesBytes ? failure('queue_full') : null
  }
  const readSmall = async (request: Request): Promise<Uint8Array | null> => {
    try {
      return new Uint8Array(await request.arrayBuffer())
    } catch (error) {
      if (error instanceof Error) return null
      throw error
    }
  }
  return {
    get heldBytes() {
      return heldBytes
    },
    async read(request) {
      const length = announcedBytes(request)
      if (length !== null && length > maxBodyBytes) return { kind: 'failed', failure: failure('body_too_large') }
      // The body is looked at only where it must be: a stream is made of it then.
      const body = length !== null && length <= SMALL_BYTES ? null : request.body
      const share = open()
      const read = await (body === null ? readSmall(request) : readLarge(body, share, clock, why))
      if (read instanceof Uint8Array) {
        share.hold(read.length)
        const refusal = why(read.length)
        if (refusal === null) return { kind: 'body', bytes: read, release: () => share.hold(0) }
        share.hold(0)
        return { kind: 'failed', failure: refusal }
      }
      share.hold(0)
      // The connection ended before its body did: nobody is there to be told.
      return read === null ? { kind: 'left' } : { kind: 'failed', failure: read }
    },
  }
}

/** What Ollama reads on /v1 when the body is zstd: the decoded bytes, or null when they are not that. */
export const decodedForPeek = (request: Request, isV1: boolean, bytes: Uint8Array): Uint8Array | null => {
  if (!isV1 || request.headers.get('content-encoding')?.trim().toLowerCase() !== 'zstd') return bytes
  try {
    const options = { maxOutputLength: ZSTD_MAX_BYTES, params: { [constants.ZSTD_d_windowLogMax]: 25 } }
    return new Uint8Array(zstdDecompressSync(bytes, options))
  } catch (error) {
    if (error instanceof Error) return null
    throw error
  }
}
