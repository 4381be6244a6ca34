/** What a command is given in tests: outputs that can be read, signals that can be sent; it must never touch the real process. */
import type { Io, StopSignal } from '../../src/cli/command.ts'
import { systemClock } from '../../src/clock.ts'

export interface TestIo extends Io {
  out(): string
  err(): string
  signal(signal: StopSignal): void
  stray(error: unknown): void
  /** Resolves as soon as stdout contains the text. */
  untilOut(text: string): Promise<void>
}

/** An io with this environment; a terminal only when asked. */
export const createIo = (env: Record<string, string> = {}, { isTerminal = false } = {}): TestIo => {
  let out = ''
  let err = ''
  const waiting: { text: string; resolve: () => void }[] = []
  const onSignal: ((signal: StopSignal) => void)[] = []
  const onStray: ((error: unknown) => void)[] = []
  return {
    env,
    stdout: {
      isTerminal,
      write: (text) => {
        out += text
        for (const { text: wanted, resolve } of waiting) if (out.includes(wanted)) resolve()
      },
    },
    stderr: {
      isTerminal,
      write: (text) => {
        err += text
      },
    },
    fetch: (url, init) => fetch(url, init),
    clock: systemClock,
    version: '9.8.7',
    platform: 'test-arch',
    onSignal: (run) => void onSignal.push(run),
    onStrayError: (run) => void onStray.push(run),
    out: () => out,
    err: () => err,
    signal: (signal) => {
      for (const run of onSignal) run(signal)
    },
    stray: (error) => {
      for (const run of onStray) run(error)
    },
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
