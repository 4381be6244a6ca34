/** The simulator's time and chance: every delay, timestamp and id; while asleep no delay ends. No other file here may ask a clock. */

/** Whether the client of a request is still there. */
export interface Departure {
  readonly gone: boolean
  /** Calls `run` once when the client leaves, or at once when it has left; the result takes it back. */
  onGone(run: () => void): () => void
}

export interface Pulse {
  /** Wall time, milliseconds with a fraction, because Go's stamps have nanoseconds. */
  now(): number
  /** Nanoseconds that only grow. */
  nanoseconds(): number
  /** Calls `run` after `delayMs`, or on waking when the machine sleeps then; the result cancels it. */
  after(delayMs: number, run: () => void): () => void
  /** Resolves true after `delayMs`, false as soon as the client leaves. */
  delay(delayMs: number, departure: Departure): Promise<boolean>
  /** Lets sockets be served in between. */
  breathe(): Promise<void>
  readonly asleep: boolean
  sleep(): void
  wake(): void
  /** Calls `run` now, or on waking. */
  whenAwake(run: () => void): void
  /** A whole number in [0, below). */
  random(below: number): number
  hex(digits: number): string
  stop(): void
}

// setTimeout fires at once above 2^31-1 ms; nothing here lives for 24 days.
const TIMER_MAX_MS = 2 ** 31 - 1

/** The real clock and real chance. */
export const createPulse = (): Pulse => {
  let asleep = false
  let stopped = false
  let waiting: (() => void)[] = []
  const timers = new Set<ReturnType<typeof setTimeout>>()

  const whenAwake = (run: () => void) => {
    if (asleep) waiting.push(run)
    else run()
  }

  const after = (delayMs: number, run: () => void): (() => void) => {
    if (stopped || delayMs > TIMER_MAX_MS) return () => undefined
    let cancelled = false
    const timer = setTimeout(() => {
      timers.delete(timer)
      whenAwake(() => {
        if (!cancelled) run()
      })
    }, delayMs)
    timers.add(timer)
    return () => {
      cancelled = true
      timers.delete(timer)
      clearTimeout(timer)
    }
  }

  const delay = (delayMs: number, departure: Departure): Promise<boolean> =>
    new Promise((resolve) => {
      const cancel = after(delayMs, () => {
        forget()
        resolve(true)
      })
      const forget = departure.onGone(() => {
        cancel()
        resolve(false)
      })
    })

  const random = (below: number) => Math.floor(Math.random() * below)

  return {
    now: () => performance.timeOrigin + performance.now(),
    nanoseconds: () => Bun.nanoseconds(),
    after,
    delay,
    breathe: () => new Promise((resolve) => setImmediate(() => whenAwake(resolve))),
    get asleep() {
      return asleep
    },
    sleep() {
      asleep = true
    },
    wake() {
      asleep = false
      const due = waiting
      waiting = []
      for (const run of due) whenAwake(run)
    },
    whenAwake,
    random,
    hex: (digits) => Array.from({ length: digits }, () => random(16).toString(16)).join(''),
    stop() {
      stopped = true
      for (const timer of timers) clearTimeout(timer)
      timers.clear()
    },
  }
}

const pad = (n: number, width: number) => String(n).padStart(width, '0')

/** RFC 3339 in UTC; fractions of a millisecond fill the nine digits, trailing zeros trimmed as Go does. */
export const utcStamp = (ms: number): string => {
  const whole = Math.floor(ms)
  const iso = new Date(whole).toISOString()
  const fraction = `${iso.slice(20, 23)}${pad(Math.floor((ms - whole) * 1e6), 6)}`.replace(/0+$/, '')
  return `${iso.slice(0, 19)}${fraction === '' ? '' : `.${fraction}`}Z`
}

/** The same instant with the machine's own offset, as /api/ps and /api/tags print it. */
export const localStamp = (ms: number): string => {
  const offsetMinutes = -new Date(ms).getTimezoneOffset()
  const shifted = utcStamp(ms + offsetMinutes * 60_000)
  if (offsetMinutes === 0) return shifted
  const size = Math.abs(offsetMinutes)
  return `${shifted.slice(0, -1)}${offsetMinutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60), 2)}:${pad(size % 60, 2)}`
}
