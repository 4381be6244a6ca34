/** `foreman show`: one job in full, or its answer alone; it must never change the job. */
import { createClient } from './client.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { fieldOf, listOf, numberOf, textOf } from './fields.ts'
import { readFlags } from './flags.ts'
import {
  answerText,
  errorOf,
  fetchAnswer,
  isFinalState,
  type Job,
  oneLine,
  outlook,
  pathOf,
  ranMs,
  readIds,
  readJob,
  reportProblem,
  standing,
  timeOf,
  writeAnswer,
} from './job.ts'
import { createStyle, humanBytes, humanSpan, renderPairs, type Style } from './table.ts'
import { webhookPairs } from './webhook-line.ts'

const help = `foreman show prints one job: how it stands, what it cost, how it ended.

Usage:  foreman show ID [--result] [--json]

  --result   print the whole answer and nothing else
  --json     print the job as foreman tells it

Exit codes: 0 done, 1 there is no such job, or no answer for --result; 2 usage; 3 no foreman answered; 4 token.

Examples:
  foreman show 01JQZX4T8M9V2K7C5N3B6D1F0G
  foreman show --result 01JQZX4T8M9V2K7C5N3B6D1F0G > answer.md
  foreman show --json 01JQZX4T8M9V2K7C5N3B6D1F0G | jq .usage
`

export const showCommand: Command = {
  help,
  async run(args, io) {
    const known = { result: { type: 'boolean' }, json: { type: 'boolean' } } as const
    const flags = readFlags(args, known, { io, help, restMax: 1 })
    if (flags.kind === 'exit') return flags.code
    const ids = readIds(io, flags.rest)
    if ('code' in ids) return ids.code
    const created = createClient(io)
    if (created.kind === 'exit') return created.code
    const { client } = created
    const path = pathOf(ids[0] ?? '')
    const reply = await client.request('GET', path)
    const job = reply.kind === 'answered' && reply.status === 200 ? readJob(reply.json) : null
    if (reply.kind === 'failed' || job === null) return reportProblem(io, client, path, reply)
    if (!flags.values.result) {
      io.stdout.write(flags.values.json ? `${reply.text.trim()}\n` : render(job, io))
      return exitCode.ok
    }
    if (job.state !== 'done') {
      const advice = isFinalState(job.state) ? '' : `: \`foreman wait ${job.id}\` waits for it`
      io.stderr.write(`foreman: job ${job.id} has no answer, it is ${standing(job, io.clock.now())}${advice}\n`)
      return exitCode.no
    }
    if (fieldOf(job.json, 'result') === null && !isKept(job.json)) {
      io.stderr.write(`foreman: the answer of job ${job.id} was ${NOT_KEPT}\n`)
      return exitCode.no
    }
    const answer = await fetchAnswer(io, client, job)
    if (answer.kind === 'exit') return answer.code
    if (flags.values.json) io.stdout.write(`${JSON.stringify(answer.text)}\n`)
    else writeAnswer(io, answer.text)
    return exitCode.ok
  },
}

const render = (job: Job, io: Io): string => {
  const style = createStyle(io)
  const nowMs = io.clock.now()
  const { json } = job
  const pairs: [string, string | null][] = [
    ['job', job.id],
    ['state', stateText(job, style)],
    ['model', oneLine(job.model, 200)],
    ['served by', servedText(json)],
    ['attempt', attemptText(json)],
    ['created', whenText(job, 'created_at', nowMs)],
    ['started', whenText(job, 'started_at', nowMs)],
    ['completed', whenText(job, 'completed_at', nowMs)],
    ['took', tookText(job, nowMs)],
    ['tokens', tokensText(json)],
    ...webhookPairs(json, nowMs),
    ['artifacts', artifactsText(json)],
    ['error', oneLine(errorOf(job) ?? '', 1000) || null],
    ['answer', answerLine(json)],
  ]
  return renderPairs(
    pairs.filter((pair): pair is [string, string] => pair[1] !== null),
    style,
  )
}

const stateText = ({ state, json }: Job, style: Style) => {
  if (state === 'done') return style.good(state)
  if (state === 'failed') return style.bad(state)
  return state === 'queued' ? ['queued', outlook(json)].filter((part) => part !== '').join(', ') : state
}

/** Only where it is not the target: that is what everybody expects. */
const servedText = (json: unknown): string | null => {
  if (textOf(json, 'served_by') !== 'fallback') return null
  return `the fallback, by ${oneLine(textOf(json, 'served_model') ?? 'a model of its own', 200)}`
}

const attemptText = (json: unknown): string | null => {
  const attempt = numberOf(json, 'attempt')
  if (attempt === undefined) return null
  const deferrals = numberOf(json, 'deferrals') ?? 0
  const put = `${attempt} of ${numberOf(json, 'max_attempts') ?? '?'}`
  return deferrals === 0 ? put : `${put}; put off ${deferrals === 1 ? 'once' : `${deferrals} times`}, which costs none`
}

const whenText = (job: Job, name: string, nowMs: number): string | null => {
  const at = timeOf(job, name)
  return at === null ? null : `${new Date(at).toISOString()} (${humanSpan(nowMs - at)} ago)`
}

const tookText = (job: Job, nowMs: number): string | null => {
  const ran = ranMs(job, nowMs)
  if (ran === null) return null
  const createdAt = timeOf(job, 'created_at')
  const startedAt = timeOf(job, 'started_at')
  const waited = createdAt === null || startedAt === null ? '' : ` after waiting ${humanSpan(startedAt - createdAt)}`
  return `${humanSpan(ran)}${isFinalState(job.state) ? '' : ' so far'}${waited}`
}

const tokensText = (json: unknown): string | null => {
  const asked = numberOf(json, 'usage', 'prompt_tokens')
  const made = numberOf(json, 'usage', 'completion_tokens')
  return asked === undefined && made === undefined ? null : `${asked ?? '?'} read, ${made ?? '?'} written`
}

const artifactsText = (json: unknown): string | null => {
  const texts = listOf(json, 'artifacts').map((artifact) => {
    const size = numberOf(artifact, 'size')
    return `${oneLine(textOf(artifact, 'name') ?? '?', 100)}${size === undefined ? '' : ` (${humanBytes(size)})`}`
  })
  return texts.length === 0 ? null : texts.join(', ')
}

const NOT_KEPT = 'not kept: it went to the client that waited for it'

/** Nothing of a call on Ollama's own routes outlives its client. */
const isKept = (json: unknown): boolean => listOf(json, 'artifacts').length > 0

const answerLine = (json: unknown): string | null => {
  const result = fieldOf(json, 'result')
  if (result !== null && result !== undefined) return oneLine(answerText(result), 400)
  if (textOf(json, 'state') !== 'done') return null
  return isKept(json) ? 'too large to stand here: --result prints it' : NOT_KEPT
}
