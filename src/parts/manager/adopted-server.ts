/** An Ollama that somebody else runs: never started, ended or signalled from here; a command of the owner's may restart it. */
import { closeSync } from 'node:fs'
import type { Clock } from '../../domain/clock.ts'
import type { OutputFile } from './output-file.ts'
import type { Begun, Server } from './server.ts'

export interface AdoptedServerDeps {
  /** Run through the shell; null = it is not to be restarted. */
  readonly restartCommand: string | null
  /** Run once where nothing answers; null = it is up to somebody else. */
  readonly startCommand: string | null
  readonly environment: Readonly<Record<string, string>>
  readonly platform: string
  readonly clock: Clock
  /** What the commands say. */
  readonly output: OutputFile
}

// `docker restart` waits 10 s for the end, an ssh to a machine that is just waking takes its time.
const COMMAND_TIMEOUT_MS = 120_000

const NO_COMMAND = 'foreman did not start it and FOREMAN_OLLAMA_RESTART_COMMAND is not set: restart it yourself'

/** Runs the owner's command to its end. What it leaves running is not ours: it keeps its output, and is never signalled. */
const run = async (command: string, deps: AdoptedServerDeps, signal: AbortSignal): Promise<Begun> => {
  const shell = deps.platform === 'win32' ? ['cmd', '/c', command] : ['/bin/sh', '-c', command]
  const { environment, output } = deps
  const log = output.open()
  const child = Bun.spawn(shell, { env: { ...environment }, detached: true, stdin: 'ignore', stdout: log, stderr: log })
  closeSync(log)
  let isLate = false
  const end = () => child.kill('SIGKILL')
  const cancel = deps.clock.after(COMMAND_TIMEOUT_MS, () => {
    isLate = true
    end()
  })
  signal.addEventListener('abort', end, { once: true })
  const code = await child.exited
  cancel()
  signal.removeEventListener('abort', end)
  if (code === 0) return { kind: 'begun', how: 'commanded' }
  const how = isLate ? `was not over after ${COMMAND_TIMEOUT_MS / 1_000} s` : `ended with ${code}`
  return { kind: 'failed', words: `\`${command}\` ${how}: ${output.lastWords()}` }
}

export const createAdoptedServer = (deps: AdoptedServerDeps): Server => {
  const { startCommand, restartCommand } = deps
  return {
    pid: null,
    lookEveryMs: 5_000,
    begin: async (signal) =>
      startCommand === null ? { kind: 'begun', how: 'taken up' } : run(startCommand, deps, signal),
    restart: async (signal) =>
      restartCommand === null ? { kind: 'missing', words: NO_COMMAND } : run(restartCommand, deps, signal),
    hasEnded: () => null,
    isAnswering: () => true,
    upkeep: () => undefined,
    lastWords: () => '',
    cpuTicks: () => null,
    onEnd: () => undefined,
  }
}
