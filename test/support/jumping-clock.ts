/** A machine whose wall clock jumps when a test says so, that can sleep and start anew; its counters are right all the while. */
import type { Boot } from '../../src/domain/steady-time.ts'
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts'

export interface JumpingClock extends VirtualClock {
  /** Sets the wall clock forward, or back. */
  jump(ms: number): void
  /** Real time passes and nothing else does: no timer, no monotonic clock. */
  sleep(ms: number): void
  /** The machine is off for so long, and its counter begins anew. */
  reboot(offMs: number): void
  /** Real milliseconds since the beginning, whatever any clock says. */
  realMs(): number
  boot(): Boot
}

/** A jumping clock on a virtual one. */
export const createJumpingClock = (base: VirtualClock = createVirtualClock()): JumpingClock => {
  let skewMs = 0
  let sleptMs = 0
  let starts = 1
  let bootedAtMs = 0
  const realMs = () => base.monotonicMs() + sleptMs
  return {
    now: () => Math.floor(base.now() + sleptMs + skewMs),
    monotonicMs: base.monotonicMs,
    after: base.after,
    advance: base.advance,
    realMs,
    get pending() {
      return base.pending
    },
    boot: () => ({ id: `start-${starts}`, ms: realMs() - bootedAtMs }),
    jump(ms) {
      skewMs += ms
    },
    sleep(ms) {
      sleptMs += ms
    },
    reboot(offMs) {
      sleptMs += offMs
      starts++
      bootedAtMs = realMs()
    },
  }
}
