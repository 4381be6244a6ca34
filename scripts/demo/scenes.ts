/** What the demo shows of a foreman: a conversation, a swap that is paid for once, a job; each is asked as any client would ask, and must fail aloud. */
import { eachLine } from '../step.ts'

export interface Stage {
  readonly url: string
  readonly print: (line?: string) => void
  /** Without a line's end. */
  readonly write: (text: string) => void
}

interface Turn {
  readonly role: 'user' | 'assistant'
  readonly content: string
}

const FIRST = 'llama3.2:3b'
const SECOND = 'qwen3:8b'
const JSON_TYPE = { 'Content-Type': 'application/json' }

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`

const post = async (url: string, body: unknown): Promise<Response> => {
  const answer = await fetch(url, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(body) })
  if (!answer.ok || answer.body === null)
    throw new Error(`${url} was answered ${answer.status}: ${await answer.text()}`)
  return answer
}

interface JobJson {
  readonly job_id: string
  readonly state: string
  readonly result?: { readonly message?: { readonly content?: string } } | null
}

const contentOf = (line: string): string => {
  const content: unknown = JSON.parse(line)?.message?.content
  return typeof content === 'string' ? content : ''
}

/** One streamed turn, each token printed when it comes; the turns with its answer. */
const say = async ({ url, print, write }: Stage, turns: readonly Turn[], question: string): Promise<Turn[]> => {
  const asked: Turn[] = [...turns, { role: 'user', content: question }]
  print(`\n> ${question}\n`)
  const startedAt = performance.now()
  const answer = await post(`${url}/api/chat`, { model: FIRST, messages: asked })
  let firstMs = 0
  let said = ''
  await eachLine(answer.body as ReadableStream<Uint8Array>, (line) => {
    const content = contentOf(line)
    if (content === '') return
    firstMs ||= performance.now() - startedAt
    said += content
    write(content)
  })
  if (said === '') throw new Error('the chat had no tokens')
  print(`\n\n  first token after ${firstMs.toFixed(0)} ms, the whole after ${seconds(performance.now() - startedAt)}`)
  return [...asked, { role: 'assistant', content: said }]
}

/** Three turns with one model: the first loads it. */
export const conversation = async (stage: Stage): Promise<void> => {
  stage.print(
    `\n1. A conversation with ${FIRST}, streamed through ${stage.url}/api/chat: only its first turn waits for the model.`,
  )
  let turns = await say(stage, [], 'Hello, my name is Ann. Why does a queue help a laptop?')
  turns = await say(stage, turns, 'And why is the sky blue?')
  await say(stage, turns, 'What is my name?')
}

const loadsSoFar = async ({ url }: Stage): Promise<number> => {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^foreman_model_loads_total (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN)
}

/** Calls for two models, mixed, while one is busy: they are answered by model, with one load for all of the other's. */
export const swap = async (stage: Stage): Promise<void> => {
  const { url, print } = stage
  const wanted = [SECOND, FIRST, SECOND, FIRST]
  print(`\n2. A swap. While ${FIRST} speaks, four more calls come in this order: ${wanted.join(', ')}.\n`)
  const before = await loadsSoFar(stage)
  const startedAt = performance.now()
  const busy = await post(`${url}/api/chat`, {
    model: FIRST,
    messages: [{ role: 'user', content: 'Tell me a story [[n=40]]' }],
  })
  let place = 0
  const calls = wanted.map(async (model) => {
    const answer = await post(`${url}/api/generate`, {
      model,
      prompt: 'Why is the sky blue? [[n=20]]',
      stream: false,
      think: false,
    })
    await answer.arrayBuffer()
    place += 1
    const waited = seconds(Number(answer.headers.get('x-foreman-queue-ms') ?? 0))
    print(
      `  ${place}. ${model.padEnd(12)} answered after ${seconds(performance.now() - startedAt)}, of which it waited ${waited}`,
    )
  })
  await Promise.all([busy.arrayBuffer(), ...calls])
  const loads = (await loadsSoFar(stage)) - before
  print(`\n  ${loads} ${loads === 1 ? 'load' : 'loads'}; in the order of their coming it would have been 4.`)
}

/** A job that nobody waits for: its steps as they happen, then what came of it. */
export const job = async (stage: Stage): Promise<void> => {
  const { url, print } = stage
  const body = { model: SECOND, messages: [{ role: 'user', content: 'What is the composition of air?' }], think: false }
  print(`\n3. A job. It is on disk with the 202, and its client may go home: POST ${url}/jobs\n`)
  const accepted = (await (await post(`${url}/jobs`, body)).json()) as JobJson
  print(`  202 ${JSON.stringify(accepted)}`)
  const events = await fetch(`${url}/jobs/${accepted.job_id}/events`)
  await eachLine(events.body as ReadableStream<Uint8Array>, (line) => {
    const state: unknown = line.startsWith('data: {') ? JSON.parse(line.slice(6)).state : undefined
    if (typeof state === 'string') print(`  ${state}`)
  })
  const finished = (await (await fetch(`${url}/jobs/${accepted.job_id}?wait=10s`)).json()) as JobJson
  const said: unknown = finished.result?.message?.content
  if (finished.state !== 'done' || typeof said !== 'string')
    throw new Error(`the job ended ${JSON.stringify(finished)}`)
  print(`  GET /jobs/${accepted.job_id}: "${said}"`)
}
