/** Time and chance as arguments, so that a test can own both; nothing here may read a real clock. */

import type { Boot } from './steady-time.ts'

/** A clock for timestamps, a monotonic one for durations, and a timer. The two clocks are never mixed. */
export interface Clock {
  /** Milliseconds since the epoch. The machine's wall clock may jump; what a foreman hands to its parts is steady (ADR 0012). */
  now(): number
  /** Milliseconds that only ever grow. */
  monotonicMs(): number
  /** Calls `run` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, run: () => void): () => void
  /** Null or absent where the machine does not say. */
  boot?(): Boot | null
  /** What the wall clock showed at a time of `now`, for people; absent where both are one. */
  wallAt?(ms: number): number
}

/** A number in [0, 1). */
export type Random = () => number
