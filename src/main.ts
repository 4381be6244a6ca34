/** argv to one command to an exit code, and the only place that touches the process; it must never export anything. */
import { stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { version } from '../package.json' with { type: 'json' }
import type { Io, Output } from './cli/command.ts'
import { runCommandLine } from './cli/run.ts'
import { systemClock } from './clock.ts'

interface FlushableOutput extends Output {
  /** Resolves when everything written so far has left; process.exit would cut what a slow pipe has not taken yet. */
  flushed(): Promise<void>
}

const output = (stream: NodeJS.WriteStream): FlushableOutput => {
  let lastWrite = Promise.resolve()
  let isClosed = false
  let backlog = 0
  // A reader that left (`| head`) is no reason for a daemon to die; each write's callback tells the same.
  stream.on('error', () => {
    isClosed = true
  })
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.isTTY === true ? stream.columns : null
    },
    get isClosed() {
      return isClosed
    },
    write: (text) => {
      // An empty write calls back before the earlier ones have left.
      if (text === '') return
      backlog += text.length
      lastWrite = new Promise((resolve) =>
        stream.write(text, () => {
          backlog -= text.length
          resolve()
        }),
      )
    },
    get backlog() {
      return backlog
    },
    flushed: () => lastWrite,
  }
}

/** Go programs never send loopback calls through HTTP_PROXY; Bun does unless it is told. */
const bypassProxyForLoopback = () => {
  const given = process.env['NO_PROXY'] ?? process.env['no_proxy']
  process.env['NO_PROXY'] = [given, 'localhost', '127.0.0.1', '::1'].filter(Boolean).join(',')
}

const stdout = output(process.stdout)
const stderr = output(process.stderr)
// What was asked to stop waits this long for a reader that takes nothing, a log collector that hangs; nobody else waits less than for ever.
const LAST_WORDS_MS = 1_000
const stopAsked = Promise.withResolvers<void>()

const io: Io = {
  env: process.env,
  stdin: { isTerminal: process.stdin.isTTY === true, read: () => Bun.stdin.bytes() },
  stdout,
  stderr,
  readFile: (path) => Bun.file(path).bytes(),
  openFile: (path) => Bun.file(path),
  modifiedAtMs: async (path) => (await stat(path).catch(() => null))?.mtimeMs ?? null,
  host: hostname(),
  fetch: (url, init) => fetch(url, init),
  clock: systemClock,
  version,
  platform: `${process.platform}-${process.arch}`,
  onSignal: (run) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        stopAsked.resolve()
        run(signal)
      })
    }
  },
  onHangup: (run) => void process.on('SIGHUP', run),
  onStrayError: (run) => {
    process.on('unhandledRejection', run)
    process.on('uncaughtException', run)
  },
}

bypassProxyForLoopback()
/** A throw here is a bug, and it must not look like success to whatever supervises us. */
const run = async (): Promise<number> => {
  try {
    return await runCommandLine(process.argv.slice(2), io)
  } catch (error) {
    stderr.write(`foreman: unexpected failure: ${error instanceof Error ? error.stack : error}\n`)
    return 1
  }
}

const code = await run()
const enough = stopAsked.promise.then(
  () => new Promise<void>((resolve) => void systemClock.after(LAST_WORDS_MS, resolve)),
)
await Promise.race([Promise.all([stdout.flushed(), stderr.flushed()]), enough])
process.exit(code)
