/** The compiled executable as the outside sees it: spawned, watched, signalled; it must never reach into the process. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dir, '../..')
const built = join(root, 'dist/foreman')

const newestSourceMs = (): number => {
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
  const files = sources.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const recipe = ['package.json', 'scripts/build.ts'].map((name) => join(root, name))
  return Math.max(...[...files, ...recipe].map((file) => statSync(file).mtimeMs))
}

const isFresh = () => {
  const modifiedMs = statSync(built, { throwIfNoEntry: false })?.mtimeMs
  return modifiedMs !== undefined && modifiedMs > newestSourceMs()
}

const build = async (): Promise<string> => {
  if (isFresh()) return built
  const builder = Bun.spawn([process.execPath, join(root, 'scripts/build.ts')], { stdout: 'pipe', stderr: 'pipe' })
  const said = await Promise.all([new Response(builder.stdout).text(), new Response(builder.stderr).text()])
  if ((await builder.exited) !== 0) throw new Error(`the build failed: ${said.join('\n')}`)
  return built
}

// One build for the whole run, whoever asks first.
let path: Promise<string> | undefined

/** The executable: dist/foreman as it is when neither its sources nor its recipe are newer, else built now. */
export const binaryPath = (): Promise<string> => {
  path ??= build()
  return path
}

/** A directory that is gone after `remove`. */
export const temporaryDirectory = (): { readonly path: string; remove(): void } => {
  const directory = mkdtempSync(join(tmpdir(), 'foreman-crash-'))
  return { path: directory, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

export interface SpawnOptions {
  /** The whole environment; nothing is inherited. */
  readonly env?: Record<string, string>
  readonly cwd?: string
}

/** A process of the executable. */
export interface Spawned {
  readonly pid: number
  /** Milliseconds, `performance.now()`, of the spawn. */
  readonly spawnedAt: number
  /** Lines of stdout so far. */
  readonly lines: readonly string[]
  readonly stderr: () => string
  /** Resolves with the exit code (128 + signal when one ended it) once all output has been read. */
  readonly exited: Promise<number>
  /** Resolves with the `nth` JSON line of this event (1: the first), past or future; rejects when the process ends before. */
  logged(event: string, nth?: number): Promise<Record<string, unknown>>
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGINT'): void
}

const parsed = (line: string): Record<string, unknown> => {
  const value: unknown = line.startsWith('{') ? JSON.parse(line) : {}
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
}

/** Runs the executable with these arguments. */
export const spawnBinary = async (args: readonly string[], options: SpawnOptions = {}): Promise<Spawned> => {
  const executable = await binaryPath()
  const spawnedAt = performance.now()
  const child = Bun.spawn([executable, ...args], {
    env: options.env ?? {},
    cwd: options.cwd ?? tmpdir(),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const lines: string[] = []
  let stderr = ''
  let over = false
  let watchers: (() => void)[] = []
  const changed = () => {
    for (const watch of watchers) watch()
  }
  const readOut = async () => {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const bytes of child.stdout) {
      const pieces = (rest + decoder.decode(bytes, { stream: true })).split('\n')
      rest = pieces.pop() ?? ''
      lines.push(...pieces)
      changed()
    }
  }
  const readErr = async () => {
    stderr = await new Response(child.stderr).text()
  }
  const exited = Promise.all([child.exited, readOut(), readErr()]).then(([code]) => {
    over = true
    changed()
    return code
  })
  return {
    pid: child.pid,
    spawnedAt,
    lines,
    stderr: () => stderr,
    exited,
    kill: (signal) => child.kill(signal),
    logged: (event, nth = 1) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const line = lines.filter((text) => text.includes(`"event":"${event}"`))[nth - 1]
          if (line === undefined && !over) return
          watchers = watchers.filter((watch) => watch !== look)
          if (line !== undefined) resolve(parsed(line))
          else reject(new Error(`ended without "${event}": ${stderr}${lines.join('\n')}`))
        }
        watchers.push(look)
        look()
      }),
  }
}

/** A running daemon. */
export interface Daemon extends Spawned {
  /** Resolves with the base URL as soon as /readyz says 200. */
  ready(): Promise<string>
}

/** `foreman serve` on a free port in front of `targetUrl`. */
export const spawnForeman = async (
  targetUrl: string,
  dataDir: string,
  env: Record<string, string> = {},
): Promise<Daemon> => {
  const spawned = await spawnBinary(['serve'], {
    env: { FOREMAN_ADDR: '127.0.0.1:0', FOREMAN_OLLAMA_URL: targetUrl, FOREMAN_DATA_DIR: dataDir, ...env },
  })
  return {
    ...spawned,
    async ready() {
      const { url } = await spawned.logged('serving')
      const { status } = await fetch(`${url}/readyz`, { keepalive: false })
      if (status !== 200) throw new Error(`/readyz says ${status}`)
      return String(url)
    },
  }
}
