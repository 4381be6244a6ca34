/** `foreman status`: what /status says, for people and scripts; it must never call a sleeping target a failure of foreman. */
import { createClient, reportFailure, unexpected } from './client.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { booleanOf, fieldOf, listOf, numberOf, textOf } from './fields.ts'
import { readFlags } from './flags.ts'
import { oneLine } from './job.ts'
import { renderHanging, renderWhy, wordsOf } from './status-why.ts'
import { createStyle, humanSpan, type Style } from './table.ts'

const help = `foreman status shows how a running foreman and its target are doing.

Usage:  foreman status [--why] [--json]

  --why     also the reason of each judgement, and what happened lately: alarms, restarts, cures
  --json    print the answer of /status as it came

Exit codes: 0 all is well, 1 degraded (the target cannot be reached) or unhealthy, 2 usage, 3 no foreman answered, 4 token.

Examples:
  foreman status
  foreman status --why
  foreman status --json | jq .queue.queued
  FOREMAN_URL=http://nas:8080 foreman status
`

export const statusCommand: Command = {
  help,
  async run(args: readonly string[], io: Io) {
    const flags = readFlags(args, { json: { type: 'boolean' }, why: { type: 'boolean' } }, { io, help })
    if (flags.kind === 'exit') return flags.code
    const created = createClient(io)
    if (created.kind === 'exit') return created.code
    const { client } = created
    const asked = await client.request('GET', '/status')
    // A foreman from before the document says the half of it.
    const isOlder = asked.kind === 'answered' && asked.status === 404
    const reply = isOlder ? await client.request('GET', '/healthz') : asked
    if (reply.kind === 'failed') return reportFailure(io, reply)
    const health = reply.json
    if (textOf(health, 'status') === undefined) {
      io.stderr.write(`foreman: ${unexpected(client.url, '/status', reply.status)}\n`)
      return exitCode.unreachable
    }
    const style = createStyle(io)
    io.stdout.write(flags.values.json ? `${reply.text.trim()}\n` : render(health, client.url, io, style))
    if (flags.values.why && !flags.values.json) io.stdout.write(renderWhy(health, io, style))
    const isWell = reply.status === 200 && textOf(health, 'status') === 'ok' && booleanOf(health, 'degraded') === false
    return isWell ? exitCode.ok : exitCode.no
  },
}

const render = (health: unknown, url: string, io: Io, style: Style) => {
  const isDegraded = booleanOf(health, 'degraded') ?? true
  const status = textOf(health, 'status') ?? 'unknown'
  const reason = textOf(health, 'reason')
  const isReachable = booleanOf(health, 'target', 'reachable') ?? false
  return renderHanging(
    [
      ['foreman', `${url} ${isDegraded ? style.bad(`${status}, degraded`) : style.good(status)}`],
      ['target', targetText(health, io, style)],
      ...(reason === undefined ? [] : [['because', oneLine(reason, 300)] as const]),
      ['loaded', residentNames(health).join(', ') || (isReachable ? 'no model' : 'not known while it is away')],
      ['queue', queueText(health)],
      ...workerTexts(health).map((text, i) => [i === 0 ? 'worker' : '', text] as const),
      ...partTexts(health),
      ...listOf(health, 'alarms').map(
        (alarm) => ['alarm', style.bad(oneLine(textOf(alarm, 'words') ?? '', 300))] as const,
      ),
      ['last poll', ago(fieldOf(health, 'last_poll'), io)],
    ],
    io,
    style,
  )
}

const targetText = (health: unknown, io: Io, style: Style) => {
  const url = textOf(health, 'target', 'url') ?? 'unknown'
  if (!booleanOf(health, 'target', 'reachable')) {
    const since = textOf(health, 'target', 'away_since')
    const span = since === undefined ? '' : ` (away for ${humanSpan(io.clock.now() - Date.parse(since))})`
    return `${url} ${style.bad('cannot be reached')}${span}, jobs wait for it`
  }
  const version = textOf(health, 'target', 'version')
  return `${url} ${style.good('reachable')}${version ? `, Ollama ${version}` : ''}`
}

const residentNames = (health: unknown) =>
  listOf(health, 'target', 'resident').map((item) => (typeof item === 'string' ? item : (textOf(item, 'name') ?? '?')))

const queueText = (health: unknown) => {
  const age = numberOf(health, 'queue', 'oldest_age_seconds')
  const waiting = numberOf(health, 'queue', 'queued') ?? 0
  const running = numberOf(health, 'queue', 'working') ?? 0
  return `${waiting} waiting${waiting > 0 && age !== undefined ? `, the oldest for ${humanSpan(age * 1000)}` : ''}; ${running} running`
}

/** A line for each job that runs; one that says what the worker does when none does. */
const workerTexts = (health: unknown): string[] => {
  const textOfOne = (one: unknown) =>
    [textOf(one, 'state') ?? 'unknown', textOf(one, 'model'), textOf(one, 'job_id')]
      .filter((part) => part !== undefined)
      .join(' ')
  const slots = listOf(health, 'worker', 'slots').map(textOfOne)
  return slots.length > 0 ? slots : [textOfOne(fieldOf(health, 'worker'))]
}

/** What a part tells of itself, whichever parts there are: a line for each thing it has to say. */
const partTexts = (health: unknown): (readonly [string, string])[] => {
  const parts = fieldOf(health, 'parts')
  if (typeof parts !== 'object' || parts === null) return []
  return Object.entries(parts).flatMap(([name, told]) => {
    const isTable = typeof told === 'object' && told !== null && !Array.isArray(told)
    const lines = isTable
      ? Object.entries(told).flatMap(([key, value]) => (value === null ? [] : [`${key}: ${wordsOf(value)}`]))
      : [wordsOf(told)]
    return lines.map((line, i) => [i === 0 ? oneLine(name, 40) : '', oneLine(line, 300)] as const)
  })
}

const ago = (when: unknown, io: Io) => {
  const at = typeof when === 'string' || typeof when === 'number' ? new Date(when).getTime() : Number.NaN
  return Number.isNaN(at) ? 'never' : `${humanSpan(io.clock.now() - at)} ago`
}
