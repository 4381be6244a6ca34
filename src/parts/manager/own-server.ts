/** An `ollama serve` of our own: started in its own process group with a declared environment, taken up again by the next foreman, ended with its runners. */
import { closeSync } from 'node:fs'
import type { Clock } from '../../domain/clock.ts'
import { endFamily } from './ending.ts'
import { familyOf, holderOf, holderWords } from './family.ts'
import type { OutputFile } from './output-file.ts'
import type { Process, Processes } from './processes.ts'
import { type Identity, identityOf, livingOf, readRecord, writeRecord } from './record.ts'
import type { Begun, Server } from './server.ts'

export interface OwnServerDeps {
  readonly processes: Processes
  readonly clock: Clock
  readonly dataDir: string
  readonly port: number
  /** `NAME=value` in the environment of all that is started here. */
  readonly mark: string
  /** The program to start, or a sentence why there is none; asked anew at each start. */
  readonly program: () => { readonly path: string } | { readonly words: string }
  /** What it is started with, or a sentence why that cannot be read. */
  readonly environment: () => Record<string, string> | string
  readonly output: OutputFile
}

const FAMILY_AGE_MS = 5_000

const signalled = (pid: number, signal: 'SIGTERM' | 'SIGKILL') => {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended just now.
  }
}

/** Starts the child; how it ended is told. */
const spawnServe = (path: string, env: Record<string, string>, output: OutputFile, ended: (how: string) => void) => {
  const log = output.open()
  try {
    const child = Bun.spawn([path, 'serve'], { env, detached: true, stdin: 'ignore', stdout: log, stderr: log })
    child.unref()
    void child.exited.then((code) =>
      ended(child.signalCode === null ? `it ended with code ${code}` : `it was ended by ${child.signalCode}`),
    )
    return child.pid
  } finally {
    closeSync(log)
  }
}

class OwnServer implements Server {
  readonly #deps: OwnServerDeps
  #identity: Identity | null
  #listener: () => void = () => undefined
  #howEnded = ''
  #isChild = false
  /** Processes of the tree, looked up now and then: a walk through all of /proc is no work for every second. */
  #tree: { readonly atMs: number; readonly pids: readonly number[] } = { atMs: Number.NEGATIVE_INFINITY, pids: [] }

  constructor(deps: OwnServerDeps) {
    this.#deps = deps
    this.#identity = readRecord(deps.dataDir)
  }

  get pid(): number | null {
    return this.#living()?.pid ?? null
  }

  /** The end of another foreman's child is told to nobody. */
  get lookEveryMs(): number {
    return this.#isChild ? 5_000 : 1_000
  }

  onEnd(listener: () => void): void {
    this.#listener = listener
  }

  hasEnded(): boolean {
    return this.#living() === null
  }

  isAnswering(): boolean {
    const holder = holderOf(this.#family(), this.#deps.port)
    if (holder.kind === 'ours') return holder.server.pid === this.#identity?.pid
    // A program with capabilities of its own hides its sockets. Before it was started the port was free, and without it the child would end.
    return holder.kind === 'other' && holder.pid === null && this.#living() !== null
  }

  upkeep(): void {
    this.#deps.output.bound()
  }

  lastWords(): string {
    return [this.#howEnded, this.#deps.output.lastWords()].filter((words) => words !== '').join('; its last words: ')
  }

  cpuTicks(): number | null {
    const { processes, clock } = this.#deps
    if (this.#living() === null) return null
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#tree.atMs > FAMILY_AGE_MS) {
      const { servers, others } = familyOf(this.#family())
      this.#tree = { atMs: nowMs, pids: [...servers, ...others].map(({ pid }) => pid) }
    }
    return this.#tree.pids.reduce((sum, pid) => sum + (processes.of(pid)?.cpuTicks ?? 0), 0)
  }

  async begin(signal: AbortSignal): Promise<Begun> {
    const { port } = this.#deps
    const { servers } = familyOf(this.#family())
    const holder = holderOf(this.#family(), port)
    // It may not listen yet: it was started a moment before foreman died.
    const server = holder.kind === 'ours' ? holder.server : holder.kind === 'nobody' ? servers[0] : undefined
    if (server !== undefined && servers.length === 1) {
      this.#keep(server)
      return { kind: 'begun', how: 'taken up' }
    }
    return this.restart(signal)
  }

  async restart(signal: AbortSignal): Promise<Begun> {
    const { port, program, environment } = this.#deps
    // Nothing is ended that could not be started again.
    const found = program()
    const env = environment()
    if ('words' in found) return { kind: 'missing', words: found.words }
    if (typeof env === 'string') return { kind: 'missing', words: env }
    const left = await endFamily({ ...this.#family(), port, clock: this.#deps.clock, signal: signalled }, signal)
    if (left !== null) return { kind: 'failed', words: left }
    const holder = holderOf(this.#family(), port)
    if (holder.kind === 'other') return { kind: 'conflict', words: holderWords(holder, port) }
    return this.#start(found.path, env)
  }

  #start(path: string, env: Record<string, string>): Begun {
    const { processes, output } = this.#deps
    this.#howEnded = ''
    let pid: number
    try {
      pid = spawnServe(path, env, output, (how) => {
        if (pid === this.#identity?.pid) this.#howEnded = how
        this.#listener()
      })
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return { kind: 'failed', words: `${path} cannot be started: ${why}` }
    }
    const started = processes.of(pid)
    if (started === null) return { kind: 'failed', words: `${path} ended at once` }
    this.#isChild = true
    this.#keep(started)
    return { kind: 'begun', how: 'started' }
  }

  #keep(server: Process): void {
    this.#identity = identityOf(this.#deps.processes, server)
    this.#tree = { atMs: Number.NEGATIVE_INFINITY, pids: [] }
    writeRecord(this.#deps.dataDir, this.#identity)
  }

  #living(): Process | null {
    return livingOf(this.#deps.processes, this.#identity)
  }

  #family() {
    const { processes, mark } = this.#deps
    return { processes, mark, record: () => this.#identity }
  }
}

export const createOwnServer = (deps: OwnServerDeps): Server => new OwnServer(deps)
