/** One line on a terminal that says what is being waited for; it must never write where nobody watches. */
import { exitCode, type Io } from './command.ts'
import { oneLine } from './job.ts'

export interface Progress {
  /** Replaces the line. */
  show(text: string): void
  /** Takes the line away for good: from here on the terminal belongs to the answer. */
  close(): void
}

// Longer lines would wrap, and a wrapped line cannot be replaced.
const WIDTH = 78

export const createProgress = ({ stderr }: Pick<Io, 'stderr'>): Progress => {
  let shown = ''
  let isClosed = !stderr.isTerminal
  const put = (text: string) => {
    if (isClosed || text === shown) return
    shown = text
    stderr.write(`\r\x1b[2K${text}`)
  }
  return {
    show: (text) => put(oneLine(text, WIDTH)),
    close: () => {
      put('')
      isClosed = true
    },
  }
}

/** What ends waiting early: Ctrl-C, a stop signal, or the time given. */
export interface Interruption {
  readonly signal: AbortSignal
  /** The time given runs from here on. */
  limit(timeoutMs: number): void
  /** The exit code for why it ended early; null while it did not. */
  code(): number | null
  dispose(): void
}

/** Signals end the waiting from now on, never the process: the line on the terminal is taken away first. */
export const createInterruption = (io: Io): Interruption => {
  const controller = new AbortController()
  let code: number | null = null
  const end = (why: number) => {
    code ??= why
    controller.abort()
  }
  io.onSignal(() => end(exitCode.interrupted))
  let cancel: () => void = () => undefined
  return {
    signal: controller.signal,
    limit(timeoutMs) {
      if (timeoutMs <= 0) end(exitCode.timeout)
      else cancel = io.clock.after(timeoutMs, () => end(exitCode.timeout))
    },
    code: () => code,
    dispose: () => cancel(),
  }
}

/** Resolves after `delayMs`, or at once when the signal fires. */
export const pause = (io: Io, delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const finish = () => {
      cancel()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const cancel = io.clock.after(delayMs, finish)
    signal.addEventListener('abort', finish, { once: true })
    if (signal.aborted) finish()
  })
