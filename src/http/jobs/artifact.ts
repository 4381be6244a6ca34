/** One artifact over HTTP: the exact bytes, a strong ETag, one range; it must never change or re-encode a byte. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../domain/clock.ts'
import type { StoredArtifact } from '../../domain/job/reading.ts'
import { inSlices } from '../../domain/slices.ts'

/** What a Range header asks for. `whole`: none, several, or not understood, which RFC 9110 lets a server ignore. */
export type RangeAsked =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly start: number /** Inclusive. */; readonly end: number }
  | { readonly kind: 'unsatisfiable' }

/** Reads a single byte range for a body of `size` bytes. */
export const readRange = (header: string | null, size: number): RangeAsked => {
  const [, first, last] = /^\s*bytes\s*=\s*(\d{0,16})\s*-\s*(\d{0,16})\s*$/i.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return { kind: 'whole' }
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', start: size - length, end: size - 1 }
  }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return { kind: 'whole' }
  return start >= size ? { kind: 'unsatisfiable' } : { kind: 'part', start, end }
}

/** Whether If-None-Match names this tag; weak comparison, as RFC 9110 wants it there. */
const matches = (header: string | null, etag: string): boolean =>
  (header ?? '').split(',').some((part) => {
    const tag = part.trim()
    return tag === '*' || tag.replace(/^W\//, '') === etag
  })

/** The response for one artifact, or null when the range cannot be given. */
export const artifactResponse = async (
  clock: Clock,
  request: Request,
  { contentType, body: stored }: StoredArtifact,
): Promise<Response | null> => {
  // SQLite gives bytes of their own: no copy of 64 MiB is needed to be sure.
  const body = stored as Uint8Array<ArrayBuffer>
  const hash = createHash('sha256')
  await inSlices(clock, body, (slice) => void hash.update(slice))
  const etag = `"${hash.digest('hex')}"`
  // A finished job never changes; it only goes.
  const headers: Record<string, string> = {
    ETag: etag,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'private, no-cache',
    // What a model wrote must never run as a page of this origin.
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "default-src 'none'; sandbox",
  }
  if (matches(request.headers.get('if-none-match'), etag)) return new Response(null, { status: 304, headers })
  const ifRange = request.headers.get('if-range')
  const isFresh = ifRange === null || ifRange.trim() === etag
  const range = readRange(isFresh ? request.headers.get('range') : null, body.length)
  if (range.kind === 'unsatisfiable') return null
  headers['Content-Type'] = contentType
  if (range.kind === 'whole') return new Response(body, { headers })
  headers['Content-Range'] = `bytes ${range.start}-${range.end}/${body.length}`
  return new Response(body.subarray(range.start, range.end + 1), { status: 206, headers })
}
