/** Whose turn it is among the keys that are loaded: none waits for another one's whole drain, and none costs a swap. */
import type { Clock } from '../domain/clock.ts'

export interface Turns {
  /** The resident keys, the one that had the least of the target lately first; while slots are being filled the key that fills them stays ahead. */
  order(residentKeys: readonly string[], activeKey: string | null): readonly string[]
  /** A job of this key takes a slot; the returned function is called when it has ended. */
  begin(key: string): () => void
}

// Long enough that a small model's calls between two long jobs count as little, short enough that a quiet hour is no credit.
const HALF_LIFE_MS = 10_000
// A target holds a handful of models; whoever is forgotten counts as one that never ran.
const KEYS_MAX = 100

interface Use {
  readonly ms: number
  readonly atMs: number
}

/** Nobody has run yet. */
export const createTurns = (clock: Pick<Clock, 'monotonicMs'>): Turns => {
  const uses = new Map<string, Use>()
  // With several slots a key that shares the target with another one still fills all of them before it gives way.
  let isFilling = true

  const lately = (key: string, nowMs: number): number => {
    const use = uses.get(key)
    return use === undefined ? 0 : use.ms * 2 ** ((use.atMs - nowMs) / HALF_LIFE_MS)
  }
  const used = (key: string, ms: number, nowMs: number) => {
    const sum = lately(key, nowMs) + ms
    uses.delete(key)
    uses.set(key, { ms: sum, atMs: nowMs })
    const [oldest] = uses.keys()
    if (uses.size > KEYS_MAX && oldest !== undefined) uses.delete(oldest)
  }

  return {
    order(residentKeys, activeKey) {
      if (residentKeys.length < 2) return residentKeys
      const nowMs = clock.monotonicMs()
      const rank = (key: string) => (isFilling && key === activeKey ? -1 : lately(key, nowMs))
      return residentKeys.toSorted((a, b) => rank(a) - rank(b))
    },
    begin(key) {
      const beganMs = clock.monotonicMs()
      isFilling = true
      return () => {
        const nowMs = clock.monotonicMs()
        isFilling = false
        used(key, nowMs - beganMs, nowMs)
      }
    },
  }
}
