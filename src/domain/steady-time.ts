/** Time that follows the wall clock but does not jump with it; pure: readings of the machine's clocks come in (ADR 0012). */

/** Which start of the machine this is, and for how long it has been up, sleep included. */
export interface Boot {
  readonly id: string
  readonly ms: number
}

/** The machine's clocks at one moment. */
export interface Reading {
  readonly wallMs: number
  /** Need not go on while the machine sleeps. */
  readonly monotonicMs: number
}

/** Where steady time stood. */
export interface SteadyMark {
  readonly steadyMs: number
  /** What the wall clock was ahead. */
  readonly offsetMs: number
  readonly boot: Boot | null
}

export interface SteadyTime {
  at(reading: Reading): number
  /** What the wall clock is ahead of steady time; it changes when a jump is seen, in `at`. */
  readonly offsetMs: number
}

// Below this the wall clock is followed: so it is corrected in small steps, and as far as this it may be misread after a restart.
const JUMP_MS = 1_000
// Within one such span it is followed by one JUMP_MS at most: a clock that runs too fast is as wrong as one that jumps.
const SPAN_MS = 60_000

/** What has passed since the mark, as far as it can be known. */
const passedSince = (mark: SteadyMark, wallMs: number, boot: Boot | null): number => {
  // Within one start of the machine its own counter knows.
  if (mark.boot !== null && boot !== null && mark.boot.id === boot.id && boot.ms >= mark.boot.ms)
    return boot.ms - mark.boot.ms
  // After another one the wall clock is believed, unless it says that time ran backwards.
  return Math.max(0, wallMs - mark.offsetMs - mark.steadyMs)
}

/** Steady time that goes on from a mark, or begins as the wall clock says. `boot` is asked whenever the wall clock has jumped. */
export const createSteadyTime = (mark: SteadyMark | null, first: Reading, boot: () => Boot | null): SteadyTime => {
  const firstBoot = boot()
  const firstMonotonicMs = first.monotonicMs
  let offsetMs = mark?.offsetMs ?? 0
  // The span that runs: where it began, and when.
  let spanSteadyMs = mark === null ? first.wallMs : mark.steadyMs + passedSince(mark, first.wallMs, firstBoot)
  let spanMonotonicMs = firstMonotonicMs
  let sleptMs = 0
  let lastMs = 0

  /** Sleep that was not counted yet: the monotonic clock may stand still meanwhile, and the wall clock seems to jump. */
  const sleptSince = (monotonicMs: number): number => {
    const now = boot()
    if (now === null || firstBoot === null || now.id !== firstBoot.id) return 0
    const newlyMs = now.ms - firstBoot.ms - (monotonicMs - firstMonotonicMs) - sleptMs
    if (newlyMs <= JUMP_MS) return 0
    sleptMs += newlyMs
    return newlyMs
  }

  const at = ({ wallMs, monotonicMs }: Reading): number => {
    const isOff = (ms: number) => Math.abs(wallMs - offsetMs - ms) > JUMP_MS
    let expectedMs = spanSteadyMs + monotonicMs - spanMonotonicMs
    if (isOff(expectedMs)) {
      expectedMs += sleptSince(monotonicMs)
      if (isOff(expectedMs)) offsetMs = Math.round(wallMs - expectedMs)
      spanSteadyMs = wallMs - offsetMs
      spanMonotonicMs = monotonicMs
    } else if (monotonicMs - spanMonotonicMs > SPAN_MS) {
      spanSteadyMs = wallMs - offsetMs
      spanMonotonicMs = monotonicMs
    }
    lastMs = Math.max(lastMs, wallMs - offsetMs)
    return lastMs
  }

  at(first)
  return {
    at,
    get offsetMs() {
      return offsetMs
    },
  }
}
