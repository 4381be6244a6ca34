/** Whose processes are whose: the server that foreman started, its runners, and whoever else holds the port; it must never count a stranger among its own. */
import type { Process, Processes } from './processes.ts'
import { type Identity, livingOf } from './record.ts'

export interface Family {
  /** `ollama serve` itself; more than one only where something went wrong before. */
  readonly servers: readonly Process[]
  /** Everything else that it started and that lives, also when the server does not. */
  readonly others: readonly Process[]
}

export type Holder =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'ours'; readonly server: Process }
  /** `pid` null: it belongs to another user. */
  | { readonly kind: 'other'; readonly pid: number | null; readonly words: string }

export interface FamilyDeps {
  readonly processes: Processes
  /** What every process that foreman starts for this data directory carries in its environment, and hands on to its own. */
  readonly mark: string
  readonly record: () => Identity | null
}

const isServe = (words: readonly string[]) => words.includes('serve')

/** All of them that live. */
export const familyOf = ({ processes, mark, record }: FamilyDeps): Family => {
  const recorded = livingOf(processes, record())?.pid
  const all = processes.all().filter(({ pid }) => pid === recorded || processes.hasVariable(pid, mark))
  const serving = new Set(
    all.filter(({ pid }) => pid === recorded || isServe(processes.words(pid))).map(({ pid }) => pid),
  )
  // A server that is about to start a runner looks like two for a moment: the child has its parent's words until it has its own.
  const isServer = ({ pid, parent }: Process) => serving.has(pid) && !serving.has(parent)
  return { servers: all.filter(isServer), others: all.filter((one) => !isServer(one)) }
}

/** A program and its first words; options may hold a secret, and anybody may read the health. */
const commandOf = ([program = '', ...words]: readonly string[]): string => {
  const at = words.findIndex((word) => word.startsWith('-'))
  return [program, ...words.slice(0, at < 0 ? 2 : Math.min(at, 2))].join(' ')
}

/** Who listens on the port of the target. */
export const holderOf = (deps: FamilyDeps, port: number): Holder => {
  const { processes, mark, record } = deps
  const listening = processes.listener(port)
  if (listening === null) return { kind: 'nobody' }
  const { pid } = listening
  const found = pid === null ? null : processes.of(pid)
  if (pid === null || found === null) return { kind: 'other', pid, words: '' }
  const isRecorded = livingOf(processes, record())?.pid === pid
  if (isRecorded || processes.hasVariable(pid, mark)) return { kind: 'ours', server: found }
  return { kind: 'other', pid, words: commandOf(processes.words(pid)) }
}

/** A sentence for a person. */
export const holderWords = ({ pid, words }: Extract<Holder, { kind: 'other' }>, port: number): string => {
  const who = pid === null ? 'a process of another user' : `process ${pid} (${words.slice(0, 200) || 'unknown'})`
  return `port ${port} is taken by ${who}, which foreman did not start and will not end: stop it, or set FOREMAN_MANAGE=adopt`
}
