/** `foreman submit`: a prompt to a job, and on request its answer; once it printed an id, that job is safe on disk. */
import { type Awaited, awaitFinal } from './await-final.ts'
import { type Client, createClient } from './client.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { numberOf, textOf } from './fields.ts'
import { readFlags, wrong } from './flags.ts'
import { errorOf, fetchAnswer, type Job, outlook, readJob, reportProblem, standing, writeAnswer } from './job.ts'
import { payloadOptions, readPayload, withModel } from './payload.ts'
import { createInterruption, createProgress, type Interruption } from './progress.ts'
import { streamAnswer } from './stream-answer.ts'

const help = `foreman submit puts a prompt into the queue and prints the job's id.

Usage:  foreman submit MODEL [flags] [PROMPT] [-]

The prompt is the argument, --file, or what is piped in; "-" adds stdin to an argument.

  --model NAME             the model, where it is not the first word; \`foreman models\` lists them
  --system TEXT            the system message
  --file PATH              read the prompt from a file ("-" is stdin)
  --image PATH             send a picture along; may be repeated
  --option KEY=VALUE       a model option such as num_ctx=8192; may be repeated
  --format json|PATH       ask for JSON, or for what the JSON schema in this file says
  --raw-body PATH          send this JSON as it is ("-" is stdin), instead of all the flags above and --webhook
  --webhook URL            where foreman reports each step of the job
  --webhook-events EVENTS  of these alone: final, all, or states such as working,done
  --idempotency-key KEY    submitting again with the same key gives the same job
  --wait                   wait until it is done and print the answer
  --stream                 print the answer while it is made
  --json                   print foreman's answer as it came; with --wait the finished job

Without --wait and --stream it prints the id: alone in a pipe, with what to do next on a terminal.
Ctrl-C while waiting leaves the job in the queue.

Exit codes: 0 accepted, or done; 1 refused, failed or cancelled; 2 usage; 3 no foreman answered; 4 token; 130 Ctrl-C.

Examples:
  foreman submit qwen3:14b "Why is the sky blue?"
  foreman submit qwen3:14b --stream "Why is the sky blue?"
  git diff | foreman submit qwen3:14b --wait "Review this change:" -
  foreman submit --model gemma3:4b --image cat.jpg --wait "What is this?"
  id=$(foreman submit --model qwen3:14b --webhook http://nas:9000/hook --file prompt.txt)
  foreman submit --raw-body payload.json --idempotency-key nightly-2026-01-31
`

const options = {
  ...payloadOptions,
  'idempotency-key': { type: 'string' },
  wait: { type: 'boolean' },
  stream: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

// Pictures go over slow links; what is accepted is answered after one fsync.
const SUBMIT_MS = 120_000

export const submitCommand: Command = {
  help,
  async run(args, io) {
    const flags = readFlags(args, options, { io, help, restMax: Number.POSITIVE_INFINITY })
    if (flags.kind === 'exit') return flags.code
    const { values } = flags
    const { flags: said, words: rest } = withModel(values, flags.rest)
    const extra = rest.length > 1 ? rest.filter((word) => word !== '-')[1] : undefined
    if (extra !== undefined) return wrong(io, `"${extra}" is one word too many: put the prompt in quotes`).code
    if (values.stream && values.json) return wrong(io, '--stream prints text: use --wait with --json').code
    const payload = await readPayload(io, said, rest)
    if (payload.kind === 'wrong') return wrong(io, payload.problem).code
    const created = createClient(io)
    if (created.kind === 'exit') return created.code
    const { client } = created
    const key = values['idempotency-key']
    const reply = await client.request('POST', '/jobs', {
      body: payload.body,
      headers: { 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': key }) },
      timeoutMs: SUBMIT_MS,
    })
    const accepted = reply.kind === 'answered' && reply.status >= 200 && reply.status < 300 ? readJob(reply.json) : null
    if (reply.kind === 'failed' || accepted === null) return reportProblem(io, client, '/jobs', reply)
    if (values.wait || values.stream) return answered(io, client, accepted, { ...values })
    if (values.json) io.stdout.write(`${reply.text.trim()}\n`)
    else io.stdout.write(io.stdout.isTerminal ? receipt(accepted) : `${accepted.id}\n`)
    return exitCode.ok
  },
}

const receipt = ({ id, state, json }: Job) => `Job ${id} is ${[state, outlook(json)].filter(Boolean).join(', ')}.

  foreman show ${id}      how it stands, or its answer
  foreman wait ${id}      until it is done
  foreman cancel ${id}
`

/** Waits for the job and prints what came of it. */
const answered = async (io: Io, client: Client, job: Job, flags: { stream?: boolean; json?: boolean }) => {
  const interruption = createInterruption(io)
  const progress = createProgress(io)
  const show = (news: Job) => progress.show(`${job.id} ${standing(news, io.clock.now())}`)
  show(job)
  const onLook = (news: Job | 'away' | null) => {
    if (news === null) progress.close()
    else if (news === 'away') progress.show(`${job.id} foreman does not answer, asking again`)
    // A transition says no position; the one that is known is better than none.
    else if (news.state !== 'queued' || numberOf(news.json, 'position') !== undefined) show(news)
  }
  const { signal } = interruption
  try {
    const awaited = await (flags.stream ? streamAnswer : awaitFinal)({ io, client, id: job.id, signal, onLook })
    progress.close()
    return await concluded(io, client, job.id, awaited, interruption, flags)
  } finally {
    progress.close()
    interruption.dispose()
  }
}

const concluded = async (
  io: Io,
  client: Client,
  id: string,
  awaited: Awaited,
  interruption: Interruption,
  { stream = false, json = false }: { stream?: boolean; json?: boolean },
): Promise<number> => {
  if (awaited.kind === 'exit') return awaited.code
  if (awaited.kind === 'left') {
    io.stderr.write(`foreman: the job goes on: \`foreman wait ${id}\` waits again, \`foreman cancel ${id}\` stops it\n`)
    return interruption.code() ?? exitCode.interrupted
  }
  const { job } = awaited
  if (json) io.stdout.write(`${JSON.stringify(job.json)}\n`)
  if (job.state !== 'done') {
    if (!json) io.stderr.write(`foreman: ${failureText(job)}\n`)
    return exitCode.no
  }
  if (json || stream) return exitCode.ok
  const answer = await fetchAnswer(io, client, job, interruption.signal)
  if (answer.kind === 'exit') return answer.code
  writeAnswer(io, answer.text)
  return exitCode.ok
}

const failureText = (job: Job) =>
  textOf(job.json, 'state') === 'cancelled'
    ? `job ${job.id} was cancelled`
    : `job ${job.id} failed: ${errorOf(job) ?? 'no reason is known'}`
