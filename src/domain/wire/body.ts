/** Reads a body to its end within a bound; it must never hold more than it was allowed. */
import { concat } from '../bytes.ts'

type Cut = { readonly kind: 'broken'; readonly code: string; readonly message: string } | { readonly kind: 'aborted' }

/** A body that is read step by step. */
export interface BodySource {
  read(): Promise<{ readonly kind: 'chunk'; readonly bytes: Uint8Array } | { readonly kind: 'end' } | Cut>
  cancel(): void
}

/** `too-large`: the bound was reached, and the rest has been cancelled. */
type Short = { readonly kind: 'too-large' } | Cut

export interface DrainOptions {
  /** The most bytes that are kept, or a rule that says so as they come. */
  readonly max: number | ((totalBytes: number) => boolean)
  /** Called for every step. */
  readonly saw?: () => void
}

/** All pieces of a body, not joined: joining a large one in one go takes its time. */
export const drainPieces = async (
  source: BodySource,
  { max, saw }: DrainOptions,
): Promise<{ readonly kind: 'pieces'; readonly pieces: readonly Uint8Array[] } | Short> => {
  const admits = typeof max === 'number' ? (total: number) => total <= max : max
  const pieces: Uint8Array[] = []
  let total = 0
  for (;;) {
    const step = await source.read()
    saw?.()
    if (step.kind === 'end') return { kind: 'pieces', pieces }
    if (step.kind !== 'chunk') return step
    total += step.bytes.length
    if (!admits(total)) {
      source.cancel()
      return { kind: 'too-large' }
    }
    pieces.push(step.bytes)
  }
}

/** A whole body in one piece. `complete` spares the reading where all of it came with the head. */
export const drainBody = async (
  source: BodySource & { readonly complete?: Uint8Array | null },
  options: DrainOptions,
): Promise<{ readonly kind: 'whole'; readonly bytes: Uint8Array } | Short> => {
  if (source.complete) return { kind: 'whole', bytes: source.complete }
  const drained = await drainPieces(source, options)
  return drained.kind === 'pieces' ? { kind: 'whole', bytes: concat(drained.pieces) } : drained
}
