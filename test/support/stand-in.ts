/** A directory with a program named `ollama` in it, for tests that start one; whatever it started must be gone with it. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DiaryLine, StandInPlan } from './ollama-stand-in.ts'

export interface StandIn {
  /** The program. */
  readonly path: string
  readonly directory: string
  /** For its next start. */
  plan(plan: StandInPlan): void
  diary(): readonly DiaryLine[]
  /** Processes that belong to it and live, zombies apart: servers and runners. */
  living(): { readonly servers: readonly number[]; readonly runners: readonly number[] }
  /** Runs it with these words. */
  run(
    words: readonly string[],
    host: string,
  ): Promise<{ readonly code: number; readonly out: string; readonly err: string }>
  /** Ends whatever it left, and removes the directory. */
  remove(): void
}

/** A port that was free a moment ago. */
export const freePort = (): number => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } })
  const { port } = listener
  listener.stop(true)
  return port
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    // It ended while it was looked at.
    return ''
  }
}

/** The state letter of a process; Z has ended and nobody has asked how. */
export const stateOf = (pid: number): string | null => {
  const stat = textOf(`/proc/${pid}/stat`)
  return stat === '' ? null : (stat.slice(stat.lastIndexOf(')') + 2)[0] ?? null)
}

const parentOf = (pid: number): number => {
  const stat = textOf(`/proc/${pid}/stat`)
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
}

const isAlive = (pid: number) => ![null, 'Z', 'X'].includes(stateOf(pid))

/** A program named `ollama` that does as planned. */
export const createStandIn = (first: StandInPlan = {}): StandIn => {
  const directory = mkdtempSync(join(tmpdir(), 'foreman-ollama-'))
  const planFile = join(directory, 'plan.json')
  const path = join(directory, 'ollama')
  const script = join(import.meta.dir, 'ollama-stand-in.ts')
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${script}' '${planFile}' "$@"\n`)
  chmodSync(path, 0o755)
  symlinkSync('/bin/sleep', join(directory, 'llama-server'))
  const plan = (next: StandInPlan) => writeFileSync(planFile, JSON.stringify(next))
  plan(first)
  const living = () => {
    const mine = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => ({ pid: Number(name), command: textOf(`/proc/${name}/cmdline`), parent: parentOf(Number(name)) }))
      .filter(({ pid, command }) => command.includes(directory) && isAlive(pid))
    const pids = (holds: (command: string) => boolean) => mine.filter((one) => holds(one.command)).map(({ pid }) => pid)
    const serving = pids((command) => command.includes(planFile) && command.includes('\0serve'))
    // A child has its parent's words until it has its own.
    const children = new Set(mine.filter(({ parent }) => serving.includes(parent)).map(({ pid }) => pid))
    return {
      servers: serving.filter((pid) => !children.has(pid)),
      runners: pids((command) => command.startsWith(join(directory, 'llama-server'))),
    }
  }
  return {
    path,
    directory,
    plan,
    living,
    diary: () =>
      textOf(join(directory, 'diary.jsonl'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as DiaryLine),
    async run(words, host) {
      const child = Bun.spawn([path, ...words], {
        env: { PATH: process.env['PATH'] ?? '', OLLAMA_HOST: host },
        stdout: 'pipe',
        stderr: 'pipe',
      })
      const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
      return { code: await child.exited, out: said[0], err: said[1] }
    },
    remove() {
      const { servers, runners } = living()
      for (const pid of [...servers, ...runners]) process.kill(pid, 'SIGKILL')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
