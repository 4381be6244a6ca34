/** Long work on many bytes, a slice at a time: between two slices everybody else has a turn. */
import { roomy } from './bytes.ts'
import type { Clock } from './clock.ts'

// A slice takes a few milliseconds, page faults of fresh memory included.
const SLICE_BYTES = 4 * 1024 ** 2

/** Lets whatever waits have its turn. */
export const breathe = (clock: Clock): Promise<void> => new Promise((go) => void clock.after(0, go))

/** Hands the bytes to `take` slice by slice. */
export const inSlices = async (
  clock: Clock,
  bytes: Uint8Array,
  take: (slice: Uint8Array, at: number) => void,
): Promise<void> => {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    if (at > 0) await breathe(clock)
    take(bytes.subarray(at, at + SLICE_BYTES), at)
  }
}

/** Joins pieces into one array with room behind it; few bytes at once, many with turns for the others in between. */
export const joined = async (clock: Clock, pieces: readonly Uint8Array[]): Promise<Uint8Array> => {
  const all = roomy(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  let sinceBreath = 0
  for (const piece of pieces) {
    await inSlices(clock, piece, (slice, start) => all.set(slice, at + start))
    at += piece.length
    sinceBreath += piece.length
    if (sinceBreath < SLICE_BYTES) continue
    sinceBreath = 0
    await breathe(clock)
  }
  return all
}
