/** The real clocks and the real dice; the only file that reads them. */
import { readFileSync } from 'node:fs'
import type { Clock, Random } from './domain/clock.ts'
import type { Boot } from './domain/steady-time.ts'

/** Linux alone counts sleep in a clock that nobody can set and names its starts; elsewhere a restart believes the wall clock. */
const systemBoot = (): Boot | null => {
  try {
    const id = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const seconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
    return id === '' || !Number.isFinite(seconds) ? null : { id, ms: Math.round(seconds * 1_000) }
  } catch {
    // No Linux, or a container without /proc.
    return null
  }
}

/** Wall time from Date, durations from performance.now. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    // A longer delay would wrap around and fire at once.
    const timer = setTimeout(run, Math.min(delayMs, 2_147_483_647))
    return () => clearTimeout(timer)
  },
  boot: systemBoot,
}

export const systemRandom: Random = () => Math.random()

const POOL_BYTES = 4_096

/** Numbers that nobody can guess, for ids; the system is asked for many at once. */
export const createUnguessable = (): Random => {
  const pool = new Uint8Array(POOL_BYTES)
  let at = POOL_BYTES
  return () => {
    if (at === POOL_BYTES) {
      crypto.getRandomValues(pool)
      at = 0
    }
    return (pool[at++] ?? 0) / 256
  }
}
