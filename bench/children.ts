/** The processes of a bench: started, asked, stopped by their own pid; none may outlive the bench. */
import { join } from 'node:path'
import { binaryPath, temporaryDirectory } from '../test/support/binary.ts'

/** A process that listens. */
export interface Listening {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

/** Has a process ended when the work is over. */
export type Keep = <T extends { stop(): Promise<void> } | null>(child: T) => T

/** Works with processes that end when it is over, the last one first. */
export const during = async <T>(work: (keep: Keep) => Promise<T>): Promise<T> => {
  const started: { stop(): Promise<void> }[] = []
  const keep: Keep = (child) => {
    if (child !== null) started.unshift(child)
    return child
  }
  try {
    return await work(keep)
  } finally {
    for (const child of started) await child.stop()
  }
}

type ServerName = 'target.ts' | 'large-target.ts' | 'bare-proxy.ts' | 'bare-submit.ts' | 'receiver.ts'

/** One of the bench's servers, a process that says its port when it listens. */
export const startServer = async (name: ServerName, ...args: string[]): Promise<Listening> => {
  const listening = Promise.withResolvers<number>()
  const child = Bun.spawn([process.execPath, join(import.meta.dir, name), ...args], {
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    ipc: ({ port }: { readonly port: number }) => listening.resolve(port),
    onExit: () => listening.reject(new Error(`bench/${name} ended`)),
  })
  return {
    pid: child.pid,
    port: await listening.promise,
    async stop() {
      child.kill('SIGKILL')
      await child.exited
    },
  }
}

/** A port that was free a moment ago. */
export const freePort = (): number => {
  const probe = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } })
  const { port } = probe
  probe.stop(true)
  return port
}

/** Resolves with the first 200 of `path`. Refused connects are tried again at once: nothing tells when a process listens. */
export const answered = async (port: number, path: string, exited: Promise<number>): Promise<void> => {
  let over = false
  void exited.then(() => {
    over = true
  })
  while (!over) {
    const reply = await fetch(`http://127.0.0.1:${port}${path}`, { keepalive: false }).catch(() => null)
    if (reply?.status === 200) return
    await Bun.sleep(1)
  }
  throw new Error(`the process ended before it answered ${path}`)
}

export interface Foreman extends Listening {
  readonly firstAnswerMs: number
}

/** The compiled foreman at log level warn, in a directory of its own unless one is given, which then stays. */
export const startForeman = async (
  targetPort: number,
  settings: Readonly<Record<string, string>> = {},
  given?: string,
): Promise<Foreman> => {
  const executable = process.env['FOREMAN_BENCH_EXECUTABLE'] ?? (await binaryPath())
  const own = given === undefined ? temporaryDirectory() : null
  const directory = given ?? own?.path ?? ''
  const port = freePort()
  const startedAt = performance.now()
  const child = Bun.spawn([executable, 'serve'], {
    cwd: directory,
    env: {
      FOREMAN_ADDR: `127.0.0.1:${port}`,
      FOREMAN_OLLAMA_URL: `http://127.0.0.1:${targetPort}`,
      FOREMAN_DATA_DIR: directory,
      FOREMAN_LOG_LEVEL: 'warn',
      // The bench's target holds one model: what goes past the queue is what is measured there.
      FOREMAN_EMBED: 'bypass',
      ...settings,
    },
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
  })
  await answered(port, '/readyz', child.exited)
  return {
    pid: child.pid,
    port,
    firstAnswerMs: performance.now() - startedAt,
    async stop() {
      child.kill('SIGKILL')
      await child.exited
      own?.remove()
    },
  }
}
