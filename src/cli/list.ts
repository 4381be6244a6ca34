/** `foreman list`: jobs newest first, as a table or for scripts; it must never hold more than one page in memory. */
import { type JobKind, jobStates } from '../domain/job/job.ts'
import { nearest } from '../domain/nearest.ts'
import { type Client, createClient } from './client.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { fieldOf, numberOf, textOf } from './fields.ts'
import { readFlags, wrong } from './flags.ts'
import { errorOf, type Job, oneLine, outlook, ranMs, readJob, reportProblem, timeOf } from './job.ts'
import { createStyle, humanSpan, renderTable } from './table.ts'

const help = `foreman list shows jobs, newest first.

Usage:  foreman list [--state STATE] [--model NAME] [--kind sync|async] [--limit N] [--after ID] [--all]

  --state STATE    only queued, loading, working, done, failed or cancelled ones
  --model NAME     only those for this model, as it was submitted
  --kind KIND      async: submitted jobs; sync: calls whose client waited
  --limit N        at most so many; foreman has a limit of its own
  --after ID       only older ones than this job
  --all            follow the pages to the end
  --ids            print ids and nothing else
  --json           print {"jobs":[…],"next":…}

Exit codes: 0 done, 1 refused, 2 usage, 3 no foreman answered, 4 token.

Examples:
  foreman list
  foreman list --state failed --limit 10
  foreman list --state queued --model qwen3:14b --all --ids | xargs -r foreman cancel
  foreman list --all --json | jq -r '.jobs[] | select(.attempt > 1).id'
`

const options = {
  state: { type: 'string' },
  model: { type: 'string' },
  kind: { type: 'string' },
  limit: { type: 'string' },
  after: { type: 'string' },
  all: { type: 'boolean' },
  ids: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

interface Flags {
  readonly state?: string
  readonly model?: string
  readonly kind?: string
  readonly limit?: string
  readonly after?: string
  readonly all?: boolean
  readonly ids?: boolean
  readonly json?: boolean
}

const kinds: readonly JobKind[] = ['sync', 'async']

export const listCommand: Command = {
  help,
  async run(args, io) {
    const flags = readFlags(args, options, { io, help })
    if (flags.kind === 'exit') return flags.code
    const problem = faultOf(flags.values)
    if (problem !== null) return wrong(io, problem).code
    const created = createClient(io)
    if (created.kind === 'exit') return created.code
    return print(io, created.client, flags.values)
  },
}

const faultOf = ({ state, kind, limit, all, ids, json }: Flags): string | null => {
  if (state !== undefined && !jobStates.some((known) => known === state)) {
    const meant = nearest(state, jobStates)
    return `--state is "${state}"${meant ? `, did you mean ${meant}?` : `: expected ${jobStates.join(', ')}`}`
  }
  if (kind !== undefined && !kinds.some((known) => known === kind)) return `--kind is "${kind}": expected sync or async`
  if (limit !== undefined && !/^[1-9]\d{0,6}$/.test(limit))
    return `--limit is "${limit}": expected a whole number from 1`
  if (all && limit !== undefined) return '--all has no --limit'
  return ids && json ? '--ids and --json are two ways to print: choose one' : null
}

/** Pages to one of three forms, each written as its pages come. */
const print = async (io: Io, client: Client, flags: Flags): Promise<number> => {
  const form = flags.json ? jsonForm() : flags.ids ? idsForm() : tableForm(io)
  let after = flags.after
  for (let page = 0; ; page += 1) {
    const path = `/jobs${queryOf(flags, after)}`
    const reply = await client.request('GET', path)
    const jobs = reply.kind === 'answered' && reply.status === 200 ? fieldOf(reply.json, 'jobs') : undefined
    if (reply.kind === 'failed' || !Array.isArray(jobs)) return reportProblem(io, client, path, reply)
    const next = textOf(reply.json, 'next') ?? null
    const isLast = !flags.all || next === null || next === after || io.stdout.isClosed
    io.stdout.write(form({ jobs, isFirst: page === 0, isLast, next: flags.all ? null : next }))
    if (!isLast) {
      after = next
      continue
    }
    if (next !== null && !flags.all && !flags.json && io.stderr.isTerminal)
      io.stderr.write(`There are older ones: --after ${next}, or --all\n`)
    return exitCode.ok
  }
}

const queryOf = ({ state, model, kind, limit, all }: Flags, after: string | undefined) => {
  const given = { state, model, kind, limit: all ? '200' : limit, after }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value)
  return query.size === 0 ? '' : `?${query}`
}

interface Page {
  readonly jobs: readonly unknown[]
  readonly isFirst: boolean
  readonly isLast: boolean
  readonly next: string | null
}

const jsonForm =
  () =>
  ({ jobs, isFirst, isLast, next }: Page) => {
    const items = jobs.map((job) => JSON.stringify(job)).join(',')
    const head = isFirst ? '{"jobs":[' : items === '' ? '' : ','
    return `${head}${items}${isLast ? `],"next":${JSON.stringify(next)}}\n` : ''}`
  }

const idsForm =
  () =>
  ({ jobs }: Page) =>
    readable(jobs)
      .map(({ id }) => `${id}\n`)
      .join('')

const headings = ['ID', 'STATE', 'MODEL', 'AGE', 'TOOK', 'NOTE']

const tableForm =
  (io: Io) =>
  ({ jobs, isFirst }: Page) => {
    const rows = readable(jobs).map((job) => cellsOf(job, io.clock.now()))
    if (isFirst && rows.length === 0) return 'No jobs.\n'
    const table = renderTable(headings, rows, createStyle(io), ['AGE', 'TOOK'], {
      columns: io.stdout.columns,
      narrow: [
        ['NOTE', 12],
        ['MODEL', 8],
      ],
    })
    return isFirst ? table : table.slice(table.indexOf('\n') + 1)
  }

const readable = (jobs: readonly unknown[]): Job[] => jobs.map(readJob).filter((job) => job !== null)

const cellsOf = (job: Job, nowMs: number): string[] => {
  const createdAt = timeOf(job, 'created_at')
  const ran = ranMs(job, nowMs)
  return [
    job.id,
    job.state,
    oneLine(job.model, 40),
    createdAt === null ? '-' : humanSpan(nowMs - createdAt),
    ran === null ? '-' : humanSpan(ran),
    oneLine([attemptNote(job), errorOf(job) ?? outlook(job.json)].filter(Boolean).join(', '), 200),
  ]
}

/** A first attempt is the rule and needs no words. */
const attemptNote = ({ json }: Job): string => {
  const attempt = numberOf(json, 'attempt') ?? 0
  return attempt > 1 ? `attempt ${attempt} of ${numberOf(json, 'max_attempts') ?? '?'}` : ''
}
