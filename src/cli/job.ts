/** A job as GET /jobs/{id} tells it, in words for people; it must never trust that a field is there. */
import { isFinal, jobStates } from '../domain/job/job.ts'
import { type Answered, type Client, type Reply, reportFailure, unexpected } from './client.ts'
import { exitCode, type Io } from './command.ts'
import { fieldOf, listOf, numberOf, textOf } from './fields.ts'
import { wrong } from './flags.ts'
import { humanSpan } from './table.ts'

export interface Job {
  readonly id: string
  readonly model: string
  readonly state: string
  /** What foreman said, whole. */
  readonly json: unknown
}

/** A job out of an answer, or null when it is none. */
export const readJob = (json: unknown): Job | null => {
  const id = textOf(json, 'id') ?? textOf(json, 'job_id')
  const state = textOf(json, 'state')
  return id === undefined || state === undefined ? null : { id, state, model: textOf(json, 'model') ?? '?', json }
}

/** Whether nothing more will happen to it. A state that a newer foreman made up is not final. */
export const isFinalState = (state: string): boolean => jobStates.some((known) => known === state && isFinal(known))

/** Why these words are not job ids, or null. */
const idFault = (ids: readonly string[]): string | null => {
  if (ids.length === 0) return 'which job? Its id is missing, as submit and list print it'
  const bad = ids.find((id) => !/^[0-9A-HJKMNP-TV-Z]{26}$/i.test(id))
  return bad === undefined ? null : `"${bad}" is not a job id: those have 26 letters and digits, as submit prints them`
}

/** The ids of a command line, each once, or the exit code after saying what is wrong with them. */
export const readIds = (io: Io, words: readonly string[]): readonly string[] | { readonly code: number } => {
  const fault = idFault(words)
  return fault === null ? [...new Set(words.map((word) => word.toUpperCase()))] : { code: wrong(io, fault).code }
}

export const pathOf = (id: string): string => `/jobs/${encodeURIComponent(id)}`

/** The sentence of a problem (RFC 9457), of Ollama's error shape, or that no foreman answers like this. */
const problemText = (client: Client, path: string, { json, status }: Answered): string =>
  textOf(json, 'detail') ?? textOf(json, 'title') ?? textOf(json, 'error') ?? unexpected(client.url, path, status)

/** Prints why an answer is not what was asked for and gives the exit code for it; `about` names one job among several. */
export const reportProblem = (
  io: Io,
  client: Client,
  path: string,
  reply: Reply,
  about: string | null = null,
): number => {
  if (reply.kind === 'failed') return reportFailure(io, reply)
  io.stderr.write(`foreman: ${about === null ? '' : `${about}: `}${printable(problemText(client, path, reply))}\n`)
  const isForemans = textOf(reply.json, 'detail') !== undefined || textOf(reply.json, 'title') !== undefined
  return isForemans ? exitCode.no : exitCode.unreachable
}

/** Text that cannot move the cursor or recolour a terminal: model output and prompts of others pass through here. */
export const printable = (text: string): string => text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '')

/** Text for one cell or line. */
export const oneLine = (text: string, max: number): string => {
  const flat = printable(text.replace(/\s+/g, ' ')).trim()
  return flat.length > max ? `${flat.slice(0, max - 1).trimEnd()}…` : flat
}

/** Milliseconds since the epoch of one of its times, or null. */
export const timeOf = ({ json }: Job, name: string): number | null => {
  const at = Date.parse(textOf(json, name) ?? '')
  return Number.isNaN(at) ? null : at
}

/** How long it ran, or runs by now; null before it started. */
export const ranMs = (job: Job, nowMs: number): number | null => {
  const from = timeOf(job, 'started_at')
  return from === null ? null : Math.max(0, (timeOf(job, 'completed_at') ?? nowMs) - from)
}

/** `position 3, about 40s` for a job that waits, as far as foreman knows. */
export const outlook = (json: unknown): string => {
  const position = numberOf(json, 'position')
  const eta = numberOf(json, 'eta_seconds')
  return [
    // 0 is the job on the worker.
    position === undefined || position === 0 ? null : `position ${position}`,
    eta === undefined ? null : `about ${humanSpan(eta * 1000)}`,
  ]
    .filter((part) => part !== null)
    .join(', ')
}

/** `broke_off: the target broke off …`, or null when it has no error. */
export const errorOf = ({ json }: Job): string | null => {
  const parts = [textOf(json, 'error', 'code'), textOf(json, 'error', 'message')].filter((part) => part !== undefined)
  return parts.length === 0 ? null : parts.join(': ')
}

/** One job in half a line: `queued, position 3, about 2m`, `working for 12s, attempt 2`, `failed: broke_off: …`. */
export const standing = (job: Job, nowMs: number): string => {
  const ran = ranMs(job, nowMs)
  const attempt = numberOf(job.json, 'attempt') ?? 1
  const spent = ran === null ? '' : ` ${job.state === 'done' ? 'in' : 'for'} ${humanSpan(ran)}`
  if (job.state === 'queued') return ['queued', outlook(job.json)].filter((part) => part !== '').join(', ')
  if (job.state === 'loading') return `loading ${job.model}`
  if (job.state === 'working') return `working${spent}${attempt > 1 ? `, attempt ${attempt}` : ''}`
  if (job.state === 'done') return `done${spent}`
  const error = errorOf(job)
  return error === null ? job.state : `${job.state}: ${error}`
}

/** The text of a final native answer; what a model called instead of speaking is its JSON. */
export const answerText = (result: unknown): string => {
  const text = textOf(result, 'message', 'content') ?? textOf(result, 'response') ?? ''
  const calls = fieldOf(result, 'message', 'tool_calls')
  return text === '' && listOf(calls).length > 0 ? JSON.stringify(calls) : text
}

// A large answer on a slow link; it is read from disk, so the time is the network's.
const ANSWER_MS = 120_000

/** The answer of a finished job: from the job itself, or fetched when it was too large to stand there. */
export const fetchAnswer = async (
  io: Io,
  client: Client,
  job: Job,
  signal?: AbortSignal,
): Promise<{ kind: 'answer'; text: string } | { kind: 'exit'; code: number }> => {
  const inline = fieldOf(job.json, 'result')
  if (inline !== null && inline !== undefined) return { kind: 'answer', text: answerText(inline) }
  const path = `${pathOf(job.id)}/artifacts/completion`
  const reply = await client.request('GET', path, { timeoutMs: ANSWER_MS, ...(signal && { signal }) })
  if (signal?.aborted) return { kind: 'exit', code: exitCode.interrupted }
  if (reply.kind === 'answered' && reply.status === 200 && reply.json !== undefined)
    return { kind: 'answer', text: answerText(reply.json) }
  return { kind: 'exit', code: reportProblem(io, client, path, reply) }
}

/** Prints an answer: it ends with a line end, and on a terminal it is only text. */
export const writeAnswer = (io: Io, text: string): void => {
  const shown = io.stdout.isTerminal ? printable(text) : text
  io.stdout.write(shown.endsWith('\n') ? shown : `${shown}\n`)
}
