/** What a command is given and what it answers; it must never touch the process, so that tests can run commands in theirs. */
import type { Environment } from '../config/config.ts'
import type { Clock } from '../domain/clock.ts'

/** The exit codes of every command; `foreman --help` prints them. */
export const exitCode = {
  ok: 0,
  no: 1,
  usage: 2,
  unreachable: 3,
  unauthorized: 4,
  timeout: 5,
  interrupted: 130,
} as const

/** One sentence per exit code, for the help texts and the reference. */
export const exitCodeMeanings: readonly (readonly [number, string])[] = [
  [exitCode.ok, 'done, or the answer is yes'],
  [exitCode.no, 'failed, or the answer is no'],
  [exitCode.usage, 'the command line or a setting is wrong'],
  [exitCode.unreachable, 'no foreman answered'],
  [exitCode.unauthorized, 'foreman wants a token, or another one'],
  [exitCode.timeout, 'the time given with --timeout ran out'],
  [exitCode.interrupted, 'stopped by Ctrl-C; a job goes on'],
]

/** Where text goes. `isTerminal` decides between a table for people and plain text. */
export interface Output {
  write(text: string): void
  readonly isTerminal: boolean
  /** How wide the terminal is; null where it is none. */
  readonly columns: number | null
  /** The reader has left, as `head` does: what comes now is for nobody. */
  readonly isClosed: boolean
  /** Characters written that the reader has not taken yet. */
  readonly backlog: number
}

/** Where text comes from. A terminal is never read unasked: the command would seem to hang. */
export interface Input {
  readonly isTerminal: boolean
  /** Everything until its end. */
  read(): Promise<Uint8Array>
}

export type StopSignal = 'SIGINT' | 'SIGTERM'

/** Everything a command may touch of the outside world. */
export interface Io {
  readonly env: Environment
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  /** The bytes of a file; rejects as node:fs does. */
  readonly readFile: (path: string) => Promise<Uint8Array>
  /** A file that is read as it is sent. */
  readonly openFile: (path: string) => Blob
  /** When a file was written last, in milliseconds since the epoch; null where there is none. */
  readonly modifiedAtMs: (path: string) => Promise<number | null>
  /** This machine's name. */
  readonly host: string
  readonly fetch: (url: string, init: BunFetchRequestInit) => Promise<Response>
  readonly clock: Clock
  readonly version: string
  /** For example linux-x64. */
  readonly platform: string
  /** Calls `run` on each SIGINT or SIGTERM from now on, which then no longer end the process by themselves. */
  onSignal(run: (signal: StopSignal) => void): void
  /** Calls `run` on each SIGHUP from now on, which then no longer ends the process. */
  onHangup(run: () => void): void
  /** Calls `run` for errors that nobody caught, which then no longer end the process. */
  onStrayError(run: (error: unknown) => void): void
}

/** One verb: its help and its work. `run` resolves to the exit code. */
export interface Command {
  readonly help: string
  run(args: readonly string[], io: Io): Promise<number>
}
