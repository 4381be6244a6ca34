/** Hands an answer to its caller piece by piece, no faster than the caller takes it; it must never hold a piece back. */
import type { Clock } from '../domain/clock.ts'
import type { StreamWatch } from '../domain/wire/stream-watch.ts'
import type { Caller } from './caller.ts'
import type { BodyRead, Reply, ReplyBody } from './ports.ts'
import { type Stopper, unlessStopped } from './stopper.ts'
import { readWithin } from './unended.ts'

export type Answered = Extract<Reply, { kind: 'answered' }>

export type End = Exclude<BodyRead, { kind: 'chunk' }>

/** How an answer begins; `next` is what came after these pieces when that was its end. */
export interface Opening {
  readonly pieces: readonly Uint8Array[]
  readonly next: End | null
}

export interface PumpDeps {
  readonly clock: Clock
  readonly stopper: Stopper
  /** Called for every sign of life. */
  readonly saw: () => void
}

/** Reads until what has come is enough to go by, or all there is. */
export const readOpening = async (
  body: ReplyBody,
  saw: () => void,
  isEnough: (last: Uint8Array, totalBytes: number) => boolean,
): Promise<Opening> => {
  if (body.complete !== null) return { pieces: [body.complete], next: { kind: 'end' } }
  const pieces: Uint8Array[] = []
  let totalBytes = 0
  for (;;) {
    const next = await body.read()
    if (next.kind !== 'chunk') return { pieces, next }
    saw()
    pieces.push(next.bytes)
    totalBytes += next.bytes.length
    if (isEnough(next.bytes, totalBytes)) return { pieces, next: null }
  }
}

/** The next piece; after the final chunk a body that does not end is ended. */
const readOn = async (body: ReplyBody, clock: Clock): Promise<BodyRead> => {
  const read = await readWithin(body.read(), clock)
  if (read === null) body.cancel()
  return read ?? { kind: 'end' }
}

/** Hands every piece to the caller as it comes; how the reading ended, or null when the caller can keep no more. */
export const pump = async (
  { clock, stopper, saw }: PumpDeps,
  { status, headers, body }: Answered,
  caller: Caller,
  watch: Pick<StreamWatch, 'push' | 'isFinal'>,
  { pieces, next }: Opening,
): Promise<End | null> => {
  const bytesMax = caller.answerBytesMax ?? Number.POSITIVE_INFINITY
  let bytes = 0
  for (let at = 0; ; at++) {
    let piece = pieces[at]
    if (piece === undefined) {
      if (next !== null) return next
      const read = await (watch.isFinal ? readOn(body, clock) : body.read())
      if (read.kind !== 'chunk') return read
      saw()
      piece = read.bytes
    }
    bytes += piece.length
    if (bytes > bytesMax) return null
    watch.push(piece)
    if (!caller.committed && !stopper.signal.aborted) caller.begin(status, headers)
    const slow = caller.write(piece)
    if (slow !== undefined) await unlessStopped(stopper, slow)
  }
}
