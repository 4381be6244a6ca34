/** A flag that one loop sleeps on and anybody may raise; it must never lose a nudge that came while the loop was busy. */

export interface Nudge {
  /** Wakes the sleeper, or the next one to sleep. */
  raise(): void
  /** Resolves at the next nudge, at once if one came since the last sleep, or after `timeoutMs`. */
  wait(timeoutMs: number | null): Promise<void>
}

/** A nudge for exactly one sleeper. `after` is the clock's timer. */
export const createNudge = (after: (delayMs: number, run: () => void) => () => void): Nudge => {
  let raised = false
  let wake: (() => void) | null = null
  return {
    raise() {
      raised = true
      wake?.()
    },
    wait: (timeoutMs) =>
      new Promise((resolve) => {
        let cancel: (() => void) | null = null
        const finish = () => {
          wake = null
          raised = false
          cancel?.()
          resolve()
        }
        if (raised) return finish()
        wake = finish
        if (timeoutMs !== null) cancel = after(timeoutMs, finish)
      }),
  }
}
