/** What a command is given in tests: outputs that can be read, signals that can be sent; it must never touch the real process. */
import type { Io, StopSignal } from '../../src/cli/command.ts'
import { systemClock } from '../../src/clock.ts'

export interface TestIo extends Io {
  out(): string
  err(): string
  signal(signal: StopSignal): void
  hangup(): void
  stray(error: unknown): void
  /** The reader of stdout leaves. */
  closeOut(): void
  /** Resolves as soon as stdout contains the text. */
  untilOut(text: string): Promise<void>
  /** Resolves as soon as stderr contains the text. */
  untilErr(text: string): Promise<void>
}

export interface TestIoOptions {
  readonly isTerminal?: boolean
  /** Of that terminal. */
  readonly columns?: number
  /** What is piped in; without it stdin is a terminal. */
  readonly stdin?: string | Uint8Array | undefined
  readonly files?: Record<string, string | Uint8Array>
  /** When files were written last. */
  readonly modifiedAtMs?: Record<string, number>
}

const bytesOf = (content: string | Uint8Array) =>
  typeof content === 'string' ? new TextEncoder().encode(content) : content

/** An io with this environment; a terminal only when asked. */
export const createIo = (
  env: Record<string, string> = {},
  { isTerminal = false, columns = 80, stdin, files = {}, modifiedAtMs = {} }: TestIoOptions = {},
): TestIo => {
  let out = ''
  let err = ''
  let isClosed = false
  const waiting: { text: string; resolve: () => void }[] = []
  const waitingErr: { text: string; resolve: () => void }[] = []
  const onSignal: ((signal: StopSignal) => void)[] = []
  const onHangup: (() => void)[] = []
  const onStray: ((error: unknown) => void)[] = []
  return {
    env,
    stdin: {
      isTerminal: stdin === undefined,
      read: async () => {
        if (stdin === undefined) throw new Error('a terminal was read unasked')
        return bytesOf(stdin)
      },
    },
    readFile: async (path) => {
      const content = files[path]
      if (content === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' })
      return bytesOf(content)
    },
    openFile: (path) => new Blob([new Uint8Array(bytesOf(files[path] ?? ''))]),
    modifiedAtMs: async (path) => modifiedAtMs[path] ?? (path in files ? systemClock.now() : null),
    host: 'box',
    stdout: {
      isTerminal,
      backlog: 0,
      columns: isTerminal ? columns : null,
      get isClosed() {
        return isClosed
      },
      write: (text) => {
        out += text
        for (const { text: wanted, resolve } of waiting) if (out.includes(wanted)) resolve()
      },
    },
    stderr: {
      isTerminal,
      isClosed: false,
      backlog: 0,
      columns: isTerminal ? columns : null,
      write: (text) => {
        err += text
        for (const { text: wanted, resolve } of waitingErr) if (err.includes(wanted)) resolve()
      },
    },
    fetch: (url, init) => fetch(url, init),
    clock: systemClock,
    version: '9.8.7',
    platform: 'test-arch',
    onSignal: (run) => void onSignal.push(run),
    onHangup: (run) => void onHangup.push(run),
    onStrayError: (run) => void onStray.push(run),
    out: () => out,
    err: () => err,
    signal: (signal) => {
      for (const run of onSignal) run(signal)
    },
    hangup: () => {
      for (const run of onHangup) run()
    },
    stray: (error) => {
      for (const run of onStray) run(error)
    },
    closeOut: () => {
      isClosed = true
    },
    untilErr: (text) =>
      new Promise((resolve) => {
        if (err.includes(text)) resolve()
        else waitingErr.push({ text, resolve })
      }),
    untilOut: (text) =>
      new Promise((resolve) => {
        if (out.includes(text)) resolve()
        else waiting.push({ text, resolve })
      }),
  }
}

/** A server that answers from a table of paths, and what it was asked. */
export const createStub = (answers: Record<string, () => Response | Promise<Response>>) => {
  const requests: { path: string; authorization: string | null }[] = []
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    development: false,
    fetch: (request) => {
      const path = new URL(request.url).pathname
      requests.push({ path, authorization: request.headers.get('authorization') })
      return answers[path]?.() ?? new Response('404 page not found', { status: 404 })
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, requests, stop: () => server.stop(true) }
}

/** A port of this machine that nobody listens on. */
export const closedPort = async (): Promise<number> => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
  const { port } = listener
  listener.stop(true)
  return port
}
