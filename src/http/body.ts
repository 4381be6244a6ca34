/** Reads request bodies within bounds: each one, and all waiting ones together. */
import { constants, zstdDecompressSync } from 'node:zlib'
import { concat } from '../domain/bytes.ts'
import { type Failure, failure } from '../domain/job/failure.ts'

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

/** All waiting sync bodies together; above it new ones are refused like a full queue. */
export const HELD_BODIES_MAX_BYTES = 1024 ** 3
// Ollama's own bound on a zstd body.
const ZSTD_MAX_BYTES = 20 * 1024 ** 2

const contentLength = (request: Request): number | null => {
  const text = request.headers.get('content-length')
  return text === null ? null : Number(text)
}

const readCounted = async (
  stream: ReadableStream<Uint8Array>,
  admits: (totalBytes: number) => boolean,
): Promise<Uint8Array | null> => {
  const reader = stream.getReader()
  const pieces: Uint8Array[] = []
  let total = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return concat(pieces)
    total += value.byteLength
    if (!admits(total)) {
      await reader.cancel().catch(() => undefined)
      return null
    }
    pieces.push(value)
  }
}

/** A reader that shares one account of held bytes. */
export const createBodyReader = (maxBodyBytes: number): BodyReader => {
  let heldBytes = 0
  const readBytes = async (
    request: Request,
    length: number | null,
    admits: (totalBytes: number) => boolean,
  ): Promise<Uint8Array | null> => {
    if (length !== null) return new Uint8Array(await request.arrayBuffer())
    return request.body === null ? new Uint8Array(0) : readCounted(request.body, admits)
  }
  return {
    get heldBytes() {
      return heldBytes
    },
    async read(request) {
      const length = contentLength(request)
      if (length !== null && length > maxBodyBytes) return { kind: 'failed', failure: failure('body_too_large') }
      // Announced bytes are held before they arrive, or many slow uploads together would pass the bound.
      let held = length ?? 0
      if (heldBytes + held > HELD_BODIES_MAX_BYTES) return { kind: 'failed', failure: failure('queue_full') }
      const hold = (bytes: number) => {
        heldBytes += bytes - held
        held = bytes
      }
      heldBytes += held
      try {
        const admits = (totalBytes: number) => {
          hold(totalBytes)
          return totalBytes <= maxBodyBytes && heldBytes <= HELD_BODIES_MAX_BYTES
        }
        const bytes = await readBytes(request, length, admits)
        if (bytes === null) {
          const reason = held > maxBodyBytes ? 'body_too_large' : 'queue_full'
          hold(0)
          return { kind: 'failed', failure: failure(reason) }
        }
        hold(bytes.length)
        return { kind: 'body', bytes, release: () => hold(0) }
      } catch (error) {
        hold(0)
        // The connection ended before its body did: nobody is there to be told.
        if (request.signal.aborted || error instanceof Error) return { kind: 'left' }
        throw error
      }
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
