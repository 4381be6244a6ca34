/** `foreman wait`: until jobs are final, with an exit code about all of them; it must never lose one because foreman restarts. */
import { parseDurationMs } from '../domain/duration.ts'
import { type Awaited, awaitFinal } from './await-final.ts'
import { type Client, createClient } from './client.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { readFlags, wrong } from './flags.ts'
import { isFinalState, type Job, oneLine, pathOf, readIds, readJob, reportProblem, standing } from './job.ts'
import { createInterruption, createProgress, type Interruption, type Progress } from './progress.ts'

const help = `foreman wait waits until jobs are done, failed or cancelled.

Usage:  foreman wait ID… [--timeout DURATION] [--json]

  --timeout DURATION   give up after this long, 0 = after one look; the jobs go on. Default: never
  --json               print each finished job on a line of its own

A foreman that restarts meanwhile is waited for, up to a minute.

Exit codes: 0 all are done, 1 one failed, was cancelled or does not exist, 2 usage, 3 no foreman answered, 4 token,
5 the timeout ran out, 130 Ctrl-C.

Examples:
  foreman wait 01JQZX4T8M9V2K7C5N3B6D1F0G
  foreman wait --timeout 10m $id && foreman show --result $id
  foreman list --state queued --all --ids | xargs -r foreman wait
`

// Longer than a year is a slip of the finger, and more than a timer can hold.
const TIMEOUT_MAX_MS = 24 * 24 * 3_600_000

export const waitCommand: Command = {
  help,
  async run(args, io) {
    const known = { timeout: { type: 'string' }, json: { type: 'boolean' } } as const
    const flags = readFlags(args, known, { io, help, restMax: Number.POSITIVE_INFINITY })
    if (flags.kind === 'exit') return flags.code
    const timeoutMs = flags.values.timeout === undefined ? null : timeoutOf(flags.values.timeout)
    if (typeof timeoutMs === 'string') return wrong(io, timeoutMs).code
    const ids = readIds(io, flags.rest)
    if ('code' in ids) return ids.code
    const created = createClient(io)
    if (created.kind === 'exit') return created.code
    const interruption = createInterruption(io)
    if (timeoutMs !== null && timeoutMs > 0) interruption.limit(timeoutMs)
    const progress = createProgress(io)
    try {
      return await waitAll({
        io,
        client: created.client,
        ids,
        interruption,
        progress,
        timeoutMs,
        isJson: flags.values.json ?? false,
      })
    } finally {
      progress.close()
      interruption.dispose()
    }
  },
}

const timeoutOf = (text: string): number | string => {
  const parsed = parseDurationMs(text)
  if (parsed.kind === 'ok' && parsed.value >= 0 && parsed.value <= TIMEOUT_MAX_MS) return parsed.value
  return `--timeout is "${text}": expected a duration such as 30s or 1.5h, up to 576h`
}

interface Waiting {
  readonly io: Io
  readonly client: Client
  readonly ids: readonly string[]
  readonly interruption: Interruption
  readonly progress: Progress
  readonly timeoutMs: number | null
  readonly isJson: boolean
}

/** One after the other takes as long as the slowest, which is what waiting for all of them takes. */
const waitAll = async (waiting: Waiting): Promise<number> => {
  const { io, client, ids, interruption, progress } = waiting
  const first = await look(waiting)
  if (typeof first === 'number') return first
  // With no time at all one look is taken: what is final already is so.
  if (waiting.timeoutMs === 0) interruption.limit(0)
  let code = first.code
  let finals = 0
  for (const looked of first.jobs) {
    const { id } = looked
    const onLook = (news: Job | 'away' | null) => {
      const text = news === 'away' ? 'foreman does not answer, asking again' : news && standing(news, io.clock.now())
      progress.show(`${ids.length > 1 ? `${finals} of ${ids.length} · ` : ''}${id} ${text ?? ''}`)
    }
    onLook(looked)
    const awaited: Awaited = isFinalState(looked.state)
      ? { kind: 'final', job: looked }
      : await awaitFinal({ io, client, id, signal: interruption.signal, onLook })
    progress.show('')
    if (awaited.kind === 'left') return left(waiting, first.jobs.length - finals)
    if (awaited.kind === 'exit') {
      // A job that was swept meanwhile is one answer; no foreman, or another token, is the same for all that follow.
      if (awaited.code !== exitCode.no) return awaited.code
      code = exitCode.no
      continue
    }
    finals += 1
    report(waiting, awaited.job)
    if (awaited.job.state !== 'done') code = exitCode.no
  }
  return code
}

/** A first look at all of them: a wrong id is told now, not after hours of waiting for the others. */
const look = async (waiting: Waiting) => {
  const { io, client, ids } = waiting
  const { signal } = waiting.interruption
  const jobs: Job[] = []
  let code: number = exitCode.ok
  for (const id of ids) {
    const path = pathOf(id)
    const reply = await client.request('GET', path, { signal })
    const job = reply.kind === 'answered' && reply.status === 200 ? readJob(reply.json) : null
    if (signal.aborted) return left(waiting, ids.length)
    if (job !== null) jobs.push(job)
    else code = reportProblem(io, client, path, reply, ids.length > 1 ? id : null)
    if (code !== exitCode.ok && code !== exitCode.no) return code
  }
  return { jobs, code }
}

const report = ({ io, isJson }: Waiting, job: Job) =>
  io.stdout.write(
    isJson ? `${JSON.stringify(job.json)}\n` : `${job.id}  ${oneLine(standing(job, io.clock.now()), 300)}\n`,
  )

const left = ({ io, interruption, progress }: Waiting, unfinished: number): number => {
  progress.close()
  const code = interruption.code() ?? exitCode.interrupted
  const what = unfinished === 1 ? 'one job is' : `${unfinished} jobs are`
  io.stderr.write(
    `foreman: ${what} not final yet and ${unfinished === 1 ? 'goes' : 'go'} on${code === exitCode.timeout ? ': the time ran out' : ''}\n`,
  )
  return code
}
