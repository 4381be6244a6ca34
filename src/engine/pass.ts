/** Passes the target's answer on to its caller, once it is clear that Ollama gave it; how that ends is a value. */
import { concat } from '../domain/bytes.ts'
import type { Clock } from '../domain/clock.ts'
import { failure, failureFromCode } from '../domain/job/failure.ts'
import { type Answer, failureFromText, type Outcome, outcomeOfRefusal } from '../domain/job/outcome.ts'
import { drainBody } from '../domain/wire/body.ts'
import type { Call } from '../domain/wire/call.ts'
import { headerOf } from '../domain/wire/headers.ts'
import { errorText } from '../domain/wire/refusal.ts'
import { isRequestFault } from '../domain/wire/request-fault.ts'
import { retryAfterMs } from '../domain/wire/retry-after.ts'
import {
  createEndWatch,
  createStreamWatch,
  isStream,
  readWholeAnswer,
  type StreamWatch,
} from '../domain/wire/stream-watch.ts'
import { createUnlistedWatch } from '../domain/wire/unlisted.ts'
import { isOpening, type Whose, whoseAnswer, whoseStream } from '../domain/wire/whose.ts'
import type { Caller } from './caller.ts'
import type { ReplyBody, SendTarget } from './ports.ts'
import { type Answered, type End, type Opening, pump, readOpening } from './pump.ts'
import type { Stopper } from './stopper.ts'
import { endedWhenComplete, isJson } from './unended.ts'

export type { Answered } from './pump.ts'

export interface ReadDeps {
  readonly target: SendTarget
  readonly clock: Clock
  /** Whether an Ollama answers on a fresh connection. */
  readonly probe: () => Promise<boolean>
  /** Called for every sign of life. */
  readonly saw: () => void
}

export interface PassDeps extends ReadDeps {
  readonly stopper: Stopper
}

// An answer that never ends must not take the memory of everybody.
const WHOLE_ANSWER_MAX_BYTES = 256 * 1024 ** 2
// What is held until it is whole, so that its failure can still be told with a status.
const HELD_BYTES_MAX = 1024 ** 2

/** The outcome of a connection that failed after the target was reached. */
export const brokenRead = (
  read: { kind: 'broken'; code: string; message: string } | { kind: 'aborted' },
  why: Outcome | null,
): Outcome =>
  read.kind === 'aborted'
    ? (why ?? { kind: 'left' })
    : { kind: 'broken', failure: failureFromCode(read.code, read.message), answer: null, told: false, cut: true }

const unfinished = (answer: Answer | null = null): Outcome => ({
  kind: 'broken',
  failure: failure('unfinished'),
  answer,
  told: false,
})

const tooLarge = (bytesMax: number): Outcome => ({
  kind: 'broken',
  failure: failure('answer_too_large', `more than ${bytesMax} bytes`),
  answer: null,
  told: false,
})

/** Null when Ollama gave the answer; where it shows in nothing, the probe decides. */
const awayIf = async (
  { target, probe }: ReadDeps,
  whose: Whose,
  headers: Answer['headers'],
): Promise<Outcome | null> => {
  if (whose.kind === 'ollama' || (whose.kind === 'doubtful' && (await probe()))) return null
  const message = `${target.origin ?? 'the target'} answered ${whose.words}`
  return { kind: 'away', message, retryAfterMs: retryAfterMs(headers) }
}

/** All of an answer in one piece, if Ollama gave it. */
export const readOwnAnswer = async (
  deps: ReadDeps & Partial<PassDeps>,
  reply: Answered,
  asked: { readonly call: Call; readonly path: string },
): Promise<{ readonly kind: 'answer'; readonly answer: Answer } | Outcome> => {
  const { clock, saw } = deps
  const body = endedWhenComplete(reply.body, clock, isJson)
  const read = await drainBody(body, { max: WHOLE_ANSWER_MAX_BYTES, saw })
  if (read.kind === 'too-large') return tooLarge(WHOLE_ANSWER_MAX_BYTES)
  if (read.kind !== 'whole') return brokenRead(read, deps.stopper?.why ?? null)
  const { status, headers } = reply
  const contentType = headerOf(headers, 'content-type')
  const encoded = headerOf(headers, 'content-encoding') !== ''
  const { flavour, unlisted = false } = asked.call.route
  const path = asked.path.split('?')[0] ?? ''
  const heard = { status, contentType, encoded, body: read.bytes }
  const whose = whoseAnswer(heard, { path, flavour, cloud: asked.call.cloud, unlisted })
  return (await awayIf(deps, whose, headers)) ?? { kind: 'answer', answer: { status, headers, body: read.bytes } }
}

/** What has been read of a body, and then the rest of it. */
const again = (body: ReplyBody, { pieces, next }: Opening): ReplyBody => {
  let at = 0
  return {
    complete: body.complete,
    cancel: () => body.cancel(),
    async read() {
      const bytes = pieces[at++]
      return bytes === undefined ? (next ?? body.read()) : { kind: 'chunk', bytes }
    },
  }
}

/** All that has come of an answer, in one piece. */
const beginning = ({ pieces }: Opening): Uint8Array =>
  pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : concat(pieces)

/** What is whole is the caller's, or says why it is not. */
const giveWhole = (read: Awaited<ReturnType<typeof readOwnAnswer>>, caller: Caller): Outcome => {
  if (read.kind !== 'answer') return read
  const { answer } = read
  if (answer.status >= 300) return outcomeOfRefusal(answer, errorText(answer.body) ?? '', retryAfterMs(answer.headers))
  const { state, usage } = readWholeAnswer(caller.call.route.flavour, answer.body)
  if (state.kind === 'open' && !caller.call.route.unlisted) return unfinished(answer)
  if (state.kind === 'error') return failedWith(state.message, answer)
  // One that its repeat limit cut off is what Ollama gives its client.
  caller.answer(answer)
  return { kind: 'done', usage }
}

/** Passes an answer on in one piece; one that is large and a model's goes on as it comes. */
export const passWhole = async (deps: PassDeps, reply: Answered, caller: Caller): Promise<Outcome> => {
  // Most come with their head.
  if (reply.body.complete !== null) return giveWhole(await readOwnAnswer(deps, reply, caller), caller)
  const body = endedWhenComplete(reply.body, deps.clock, isJson)
  const opening = await readOpening(body, deps.saw, (_, total) => reply.status < 300 && total > HELD_BYTES_MAX)
  if (opening.next === null && whoseStream('', opening.pieces[0] ?? new Uint8Array(0)).kind === 'ollama')
    return passLarge(deps, reply, caller, opening)
  return giveWhole(await readOwnAnswer(deps, { ...reply, body: again(body, opening) }, caller), caller)
}

/** A failure that came with status 200. */
const failedWith = (message: string, answer: Answer): Outcome =>
  isRequestFault(message)
    ? { kind: 'refused', answer, message }
    : { kind: 'broken', failure: failureFromText(message), answer, told: false }

/** Once a byte has gone out nothing can be tried again; but such an answer is made before its first byte comes. */
const passLarge = async (deps: PassDeps, reply: Answered, caller: Caller, opening: Opening): Promise<Outcome> => {
  const watch = createEndWatch()
  const end = await pump(deps, reply, caller, watch, opening)
  if (end === null) {
    reply.body.cancel()
    return tooLarge(caller.answerBytesMax ?? 0)
  }
  if (end.kind !== 'end') return brokenRead(end, deps.stopper.why)
  caller.end()
  return { kind: 'done', usage: watch.usage() }
}

/** Bytes that are no stream of Ollama's show nothing: the probe decides. */
const whoseOpening = (contentType: string, encoded: boolean, opening: Uint8Array): Whose => {
  if (!isStream(contentType))
    return { kind: 'doubtful', words: `${contentType}: that is not Ollama (another service?)` }
  return whoseStream(contentType, opening, encoded)
}

/** Passes a stream on chunk by chunk; from its first line on nothing is held back. */
export const passStream = async (deps: PassDeps, reply: Answered, caller: Caller): Promise<Outcome> => {
  const { status, headers, body } = reply
  const contentType = headerOf(headers, 'content-type')
  const encoded = headerOf(headers, 'content-encoding') !== ''
  const opening = await readOpening(body, deps.saw, isOpening)
  const whose = whoseOpening(contentType, encoded, beginning(opening))
  const away = await awayIf(deps, whose, headers)
  if (away !== null) {
    body.cancel()
    return away
  }
  const { route } = caller.call
  const startWatch = () =>
    route.unlisted
      ? createUnlistedWatch(route, contentType, encoded)
      : createStreamWatch(route.flavour, contentType, encoded)
  if (body.complete !== null) {
    const watch = startWatch()
    watch.push(body.complete)
    const outcome = endOf(deps, reply, watch, { kind: 'end' })
    if (outcome.kind === 'done') caller.answer({ status, headers, body: body.complete })
    // A failure after other chunks is told after them, as if they had come one by one.
    if (outcome.kind === 'done' || (body.chunks ?? 1) <= 1) return outcome
  }
  const watch = startWatch()
  const end = await pump(deps, reply, caller, watch, opening)
  if (end === null) {
    body.cancel()
    return tooLarge(caller.answerBytesMax ?? 0)
  }
  const outcome = endOf(deps, reply, watch, end)
  if (outcome.kind === 'done') caller.end()
  return outcome
}

const endOf = ({ stopper }: PassDeps, reply: Answered, watch: StreamWatch, end: End): Outcome => {
  const state = watch.state()
  if (state.kind === 'error')
    return { kind: 'broken', failure: failureFromText(state.message), answer: null, told: state.told }
  if (watch.endsWithBody && end.kind !== 'end') return brokenRead(end, stopper.why)
  // With the final chunk the answer is whole, however the connection ends after it.
  if (state.kind === 'final') return { kind: 'done', usage: watch.usage() }
  if (end.kind !== 'end') return brokenRead(end, stopper.why)
  // A clean end after text is Ollama's own: its repeat limit. Where the connection itself is the end, it may be a cut.
  if (state.kind === 'cut' && reply.untilClose !== true) return { kind: 'done', usage: watch.usage() }
  return unfinished()
}
