/** Three faults in a row and nobody is led there for a while; it must never stay open because nobody asks. */
import type { Clock } from '../../domain/clock.ts'
import type { Reading } from '../../domain/reading.ts'

export interface Breaker {
  /** It opened and nothing good has been heard since. */
  readonly isOpen: boolean
  /** It opened so lately that it is not even tried. */
  readonly isHeld: boolean
  fault(): void
  /** Something good was heard: it is closed. */
  well(): void
  metric(name: Reading['name'], help: string): Reading
}

const FAULTS_MAX = 3
const HOLD_MS = 30_000

/** A closed one; `changed` hears of every change. */
export const createBreaker = (clock: Pick<Clock, 'monotonicMs'>, changed: (isOpen: boolean) => void): Breaker => {
  let faults = 0
  let heldUntilMs: number | null = null
  return {
    get isOpen() {
      return heldUntilMs !== null
    },
    get isHeld() {
      return heldUntilMs !== null && clock.monotonicMs() < heldUntilMs
    },
    fault() {
      faults++
      if (faults < FAULTS_MAX) return
      const wasOpen = heldUntilMs !== null
      // A trial that fails holds it for as long again.
      heldUntilMs = clock.monotonicMs() + HOLD_MS
      if (!wasOpen) changed(true)
    },
    well() {
      faults = 0
      if (heldUntilMs === null) return
      heldUntilMs = null
      changed(false)
    },
    metric: (name, help) => ({ name, help, type: 'gauge', samples: [{ value: Number(heldUntilMs !== null) }] }),
  }
}
