/** Tells silence from death while a job runs: a silent target is asked on a fresh connection; it must never end a living one. */
import type { Clock } from '../domain/clock.ts'

// Probes at 8, 16 and 24 s of silence, 5 s each: a half-open socket is noticed after 29 s, below the 45 s promised.
export const SILENCE_MS = 8_000
export const PROBE_TIMEOUT_MS = 5_000
export const PROBE_FAILURES_MAX = 3

export interface Liveness {
  /** Bytes came: the target lives. */
  saw(): void
  stop(): void
}

interface LivenessDeps {
  /** True when the target answers on a fresh connection within PROBE_TIMEOUT_MS. */
  readonly probe: () => Promise<boolean>
  readonly clock: Clock
  /** Called once, after PROBE_FAILURES_MAX failed probes in a row. */
  readonly onLost: () => void
}

/** Watches one attempt. */
export const createLiveness = ({ probe, clock, onLost }: LivenessDeps): Liveness => {
  let lastSeen = clock.monotonicMs()
  let failures = 0
  let stopped = false
  let cancel = () => {}

  const check = async () => {
    const askedAt = clock.monotonicMs()
    const silentMs = askedAt - lastSeen
    if (silentMs < SILENCE_MS) {
      failures = 0
      return schedule(SILENCE_MS - silentMs)
    }
    const alive = await probe()
    if (stopped) return
    // Bytes that came while the probe ran are as good as an answer to it.
    failures = alive || lastSeen > askedAt ? 0 : failures + 1
    if (failures >= PROBE_FAILURES_MAX) {
      stopped = true
      return onLost()
    }
    schedule(Math.max(0, SILENCE_MS - (clock.monotonicMs() - askedAt)))
  }
  const schedule = (delayMs: number) => {
    cancel = clock.after(delayMs, () => void check())
  }

  schedule(SILENCE_MS)
  return {
    saw() {
      lastSeen = clock.monotonicMs()
    },
    stop() {
      stopped = true
      cancel()
    },
  }
}
