/** Hands the target's answer on: in one piece while it is small, as it comes when it is not; it must never look whole when it is not. */
import { concat } from '../../domain/bytes.ts'
import type { BodyRead, Reply, ReplyBody } from '../../engine/ports.ts'

export type Answered = Extract<Reply, { kind: 'answered' }>

/** How a body ends before its end. */
export type Cut = Extract<BodyRead, { kind: 'broken' | 'aborted' }>

export type Gathered =
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  /** Longer than was to be kept; what came of it so far. */
  | { readonly kind: 'more'; readonly pieces: readonly Uint8Array[] }
  | Cut

/** Reads up to `bytesMax` of a body before any of it is handed on. */
export const gather = async (body: ReplyBody, bytesMax: number, saw: () => void): Promise<Gathered> => {
  if (body.complete !== null) return { kind: 'whole', bytes: body.complete }
  const pieces: Uint8Array[] = []
  for (let bytes = 0; bytes <= bytesMax; ) {
    const read = await body.read()
    if (read.kind === 'end') return { kind: 'whole', bytes: concat(pieces) }
    if (read.kind !== 'chunk') return read
    saw()
    pieces.push(read.bytes)
    bytes += read.bytes.length
  }
  return { kind: 'more', pieces }
}

/** The rest of an answer as it comes, after what is there of it already. */
export const relay = (
  body: ReplyBody,
  first: readonly Uint8Array[],
  { saw, done }: { readonly saw: () => void; readonly done: (isWhole: boolean) => void },
): ReadableStream<Uint8Array> => {
  const pieces = [...first]
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = pieces.shift()
      if (piece !== undefined) return controller.enqueue(piece)
      const read = await body.read()
      saw()
      if (read.kind === 'chunk') return controller.enqueue(read.bytes)
      done(read.kind === 'end')
      if (read.kind === 'end') controller.close()
      // A truncated answer must look truncated: the client's connection is reset.
      else controller.error(new Error(read.kind === 'broken' ? read.message : 'the client left'))
    },
    cancel() {
      done(false)
      body.cancel()
    },
  })
}
