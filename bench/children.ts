/** The processes of a bench: started, asked, stopped by their own pid; none may outlive the bench. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { binaryPath, temporaryDirectory } from '../test/support/binary.ts'
import type { LoadOrder, LoadResult } from './load.ts'

/** A process that listens. */
export interface Listening {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

export interface LoadGenerator {
  run(order: LoadOrder): Promise<LoadResult>
  stop(): Promise<void>
}

type Message =
  | { readonly ready: true; readonly port?: number }
  | { readonly result: LoadResult }
  | { readonly problem: string }

/** Runs one of the bench's own scripts; `next` resolves with its next message and rejects when it ends instead. */
const runScript = (name: string, args: readonly string[] = []) => {
  const inbox: Message[] = []
  let wake: (() => void) | null = null
  let over = false
  const changed = () => {
    wake?.()
    wake = null
  }
  const child = Bun.spawn([process.execPath, join(import.meta.dir, name), ...args], {
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    ipc: (message: Message) => {
      inbox.push(message)
      changed()
    },
    onExit: () => {
      over = true
      changed()
    },
  })
  return {
    child,
    async next(): Promise<Message> {
      for (;;) {
        const message = inbox.shift()
        if (message !== undefined) return message
        if (over) throw new Error(`bench/${name} ended`)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    async stop() {
      child.kill('SIGKILL')
      await child.exited
    },
  }
}

type ServerName = 'target.ts' | 'large-target.ts' | 'bare-proxy.ts' | 'bare-submit.ts' | 'receiver.ts'

/** One of the bench's servers. */
export const startServer = async (name: ServerName, ...args: string[]): Promise<Listening> => {
  const { child, next, stop } = runScript(name, args)
  const message = await next()
  if (!('port' in message) || message.port === undefined) throw new Error(`bench/${name} did not say its port`)
  return { pid: child.pid, port: message.port, stop }
}

export const startLoad = async (): Promise<LoadGenerator> => {
  const { child, next, stop } = runScript('load.ts')
  await next()
  return {
    async run(order) {
      child.send(order)
      const message = await next()
      if ('result' in message) return message.result
      throw new Error(`the load failed: ${'problem' in message ? message.problem : 'no result'}`)
    },
    stop,
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

/** The compiled foreman at log level warn in a directory of its own. */
export const startForeman = async (
  targetPort: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<Listening & { readonly firstAnswerMs: number; readonly directory: string }> => {
  const executable = process.env['FOREMAN_BENCH_EXECUTABLE'] ?? (await binaryPath())
  const directory = temporaryDirectory()
  const port = freePort()
  const startedAt = performance.now()
  const child = Bun.spawn([executable, 'serve'], {
    cwd: directory.path,
    env: {
      FOREMAN_ADDR: `127.0.0.1:${port}`,
      FOREMAN_OLLAMA_URL: `http://127.0.0.1:${targetPort}`,
      FOREMAN_DATA_DIR: directory.path,
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
  const firstAnswerMs = performance.now() - startedAt
  return {
    pid: child.pid,
    port,
    firstAnswerMs,
    directory: directory.path,
    async stop() {
      child.kill('SIGKILL')
      await child.exited
      rmSync(directory.path, { recursive: true, force: true })
    },
  }
}

/** Resident memory of a process in bytes; null where /proc does not exist. */
export const residentBytes = (pid: number): number | null => {
  const path = `/proc/${pid}/status`
  if (!existsSync(path)) return null
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(path, 'utf8'))?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}
