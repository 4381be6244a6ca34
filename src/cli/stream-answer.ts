/** Prints a job's answer as it is made; however often the connection breaks, the whole answer must be there in the end. */
import { type Awaited, createPatience, isPassing, RETRY_MS, type WaitOptions } from './await-final.ts'
import { exitCode } from './command.ts'
import { jsonOf, textOf } from './fields.ts'
import { fetchAnswer, isFinalState, pathOf, printable, readJob, reportProblem } from './job.ts'
import { pause } from './progress.ts'
import { createEventReader, type ServerEvent } from './server-events.ts'
import { createTranscript, type Transcript } from './transcript.ts'

// foreman beats every 15 s, also while a model reads a long prompt: four beats missed is a dead connection.
const SILENCE_MS = 60_000

/** One stream and where it stands. */
interface Following {
  readonly options: WaitOptions
  readonly transcript: Transcript
  /** Ends the stream: the job is final, or nobody listens any more. */
  readonly left: AbortController
  lastId: string
  isFinal: boolean
}

/** Follows /jobs/{id}/events, connecting again when it breaks, then prints what the stream did not bring. */
export const streamAnswer = async (options: WaitOptions): Promise<Awaited> => {
  const { io, client, id, signal } = options
  const left = new AbortController()
  const leave = () => left.abort()
  const write = (text: string) => {
    options.onLook(null)
    io.stdout.write(io.stdout.isTerminal ? printable(text) : text)
  }
  const transcript = createTranscript(write)
  signal.addEventListener('abort', leave, { once: true })
  try {
    const failure = await follow({ options, transcript, left, lastId: '', isFinal: false })
    if (failure !== null) return { kind: 'exit', code: failure }
    if (signal.aborted) return { kind: 'left' }
    if (io.stdout.isClosed) return { kind: 'exit', code: exitCode.no }
    const path = pathOf(id)
    const reply = await client.request('GET', path, { signal })
    if (signal.aborted) return { kind: 'left' }
    const job = reply.kind === 'answered' && reply.status === 200 ? readJob(reply.json) : null
    if (job === null) return { kind: 'exit', code: reportProblem(io, client, path, reply) }
    if (job.state === 'done') {
      const answer = await fetchAnswer(io, client, job, signal)
      if (answer.kind === 'exit') return answer
      finish(options, transcript.printed, answer.text, write)
    } else if (transcript.printed !== '') write('\n')
    return { kind: 'final', job }
  } finally {
    signal.removeEventListener('abort', leave)
  }
}

/** Until the job is final or nobody listens any more; an exit code when it cannot be followed. */
const follow = async (following: Following): Promise<number | null> => {
  const { options, transcript, left } = following
  const { io, client, id, onLook } = options
  const path = `${pathOf(id)}/events`
  const patience = createPatience(io)
  while (!left.signal.aborted) {
    const end = await client.stream(path, {
      headers: following.lastId === '' ? {} : { 'last-event-id': following.lastId },
      signal: left.signal,
      silenceMs: SILENCE_MS,
      onOpen: () => {
        patience.good()
        transcript.begin()
      },
      onText: createEventReader((event) => take(following, event)),
    })
    if (left.signal.aborted) return null
    // Nothing more will come: the job is final, and its last transition was seen.
    if (end.kind === 'answered' && end.status === 204) return null
    const isRefused = end.kind === 'answered' || end.kind === 'failed'
    if (isRefused && (!isPassing(end) || !patience.bad())) return reportProblem(io, client, path, end)
    onLook('away')
    await pause(io, RETRY_MS, left.signal)
  }
  return null
}

const take = (following: Following, { event, data, id }: ServerEvent) => {
  const { options, transcript, left } = following
  if (following.isFinal) return
  const json = jsonOf(data)
  if (event === 'transition') {
    following.lastId = id
    const job = readJob(json)
    if (job === null) return
    // Another attempt has an answer of its own; what the last one said cannot be taken back.
    if (job.state === 'queued') transcript.begin()
    options.onLook(job)
    following.isFinal = isFinalState(job.state)
    if (following.isFinal) left.abort()
  }
  if (event === 'chunk') transcript.token(textOf(json, 'message', 'content') ?? textOf(json, 'response') ?? '')
  // Nobody reads any more: `| head` has what it wanted.
  if (options.io.stdout.isClosed) left.abort()
}

/** The rest of the answer, or all of it when what was printed is not its beginning. */
const finish = ({ io }: WaitOptions, before: string, answer: string, write: (text: string) => void) => {
  const isBeginning = answer.startsWith(before)
  if (!isBeginning) {
    if (!before.endsWith('\n')) write('\n')
    io.stderr.write('foreman: the job was tried again or the stream had a gap; this is the whole answer:\n')
  }
  write(isBeginning ? answer.slice(before.length) : answer)
  if (!answer.endsWith('\n')) write('\n')
}
