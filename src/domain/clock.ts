/** Time and chance as arguments, so that a test can own both; nothing here may read a real clock. */

/** A wall clock for timestamps, a monotonic one for durations, and a timer. The two clocks are never mixed. */
export interface Clock {
  /** Wall time, milliseconds since the epoch. It may jump. */
  now(): number
  /** Milliseconds that only ever grow. */
  monotonicMs(): number
  /** Calls `run` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, run: () => void): () => void
}

/** A number in [0, 1). */
export type Random = () => number
