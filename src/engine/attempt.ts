/** One attempt's talk with the target: load, then work; how it ends is a value, and only the first cause of an end counts. */

import { failure, failureFromCode } from '../domain/job/failure.ts'
import { type Answer, failureFromText, isRequestFault, type Outcome, outcomeOfRefusal } from '../domain/job/outcome.ts'
import { drainBody } from '../domain/wire/body.ts'
import { type Call, loadBody } from '../domain/wire/call.ts'
import { errorBody, errorText } from '../domain/wire/refusal.ts'
import { retryAfterMs } from '../domain/wire/retry-after.ts'
import { createStreamWatch, isStream, readWholeAnswer } from '../domain/wire/stream-watch.ts'
import type { Caller } from './caller.ts'
import type { Loaded } from './loader.ts'
import type { Reply, ReplyBody, SendTarget } from './ports.ts'
import { type Stopper, stopped } from './stopper.ts'

type Answered = Extract<Reply, { kind: 'answered' }>

const headerOf = (headers: Answer['headers'], name: string): string =>
  headers.find(([key]) => key.toLowerCase() === name)?.[1] ?? ''

const unanswered = (reply: Exclude<Reply, Answered>, why: Outcome | null): Outcome => {
  switch (reply.kind) {
    case 'aborted':
      return why ?? { kind: 'left' }
    case 'unreached':
      return { kind: 'unreached', message: reply.message }
    case 'broken':
      return { kind: 'broken', failure: failureFromCode(reply.code, reply.message), answer: null, told: false }
    default:
      return reply satisfies never
  }
}

// An answer that never ends must not take the memory of everybody.
const WHOLE_ANSWER_MAX_BYTES = 256 * 1024 ** 2

/** All of a body, or the outcome that it broke with. */
const readWhole = async (body: ReplyBody, stopper: Stopper | null, saw: () => void): Promise<Uint8Array | Outcome> => {
  const read = await drainBody(body, { max: WHOLE_ANSWER_MAX_BYTES, saw })
  if (read.kind === 'whole') return read.bytes
  if (read.kind !== 'too-large') return brokenRead(read, stopper?.why ?? null)
  const endless = failure('malformed_answer', `it is larger than ${WHOLE_ANSWER_MAX_BYTES} bytes`)
  return { kind: 'broken', failure: endless, answer: null, told: false }
}

const brokenRead = (
  read: { kind: 'broken'; code: string; message: string } | { kind: 'aborted' },
  why: Outcome | null,
): Outcome =>
  read.kind === 'aborted'
    ? (why ?? { kind: 'left' })
    : { kind: 'broken', failure: failureFromCode(read.code, read.message), answer: null, told: false }

interface WorkDeps {
  readonly target: SendTarget
  readonly caller: Caller
  readonly stopper: Stopper
  /** Called for every sign of life. */
  readonly saw: () => void
}

/** Issues the load idiom with the job's own reload options. */
export const load = async (
  target: SendTarget,
  call: Call,
  signal: AbortSignal,
  keepAliveJson: string | null,
): Promise<Loaded> => {
  const request = {
    method: 'POST',
    path: '/api/generate',
    headers: [['Content-Type', 'application/json']] as const,
    body: loadBody(call, keepAliveJson),
  }
  const reply = await target.send(request, { signal, reuse: true })
  if (reply.kind !== 'answered') return unanswered(reply, null)
  const body = await readWhole(reply.body, null, () => undefined)
  if ('kind' in body) return body
  const message = errorText(body) ?? ''
  if (reply.status < 300) return 'loaded'
  // Whatever is wrong with the request is said best by the answer to the request itself.
  if (isRequestFault(message) || (reply.status < 500 && reply.status !== 429)) return 'unknown'
  const answer: Answer = {
    status: reply.status,
    headers: [['Content-Type', 'application/json; charset=utf-8']],
    body: new TextEncoder().encode(errorBody(call.route.flavour, reply.status, message)),
  }
  return outcomeOfRefusal(answer, message, retryAfterMs(reply.headers))
}

const passWhole = async (reply: Answered, { caller, stopper, saw }: WorkDeps): Promise<Outcome> => {
  const body = await readWhole(reply.body, stopper, saw)
  if ('kind' in body) return body
  const answer: Answer = { status: reply.status, headers: reply.headers, body }
  if (reply.status >= 300) return outcomeOfRefusal(answer, errorText(body) ?? '', retryAfterMs(reply.headers))
  const { state, usage } = readWholeAnswer(caller.call.route.flavour, body)
  if (state.kind === 'open') return { kind: 'broken', failure: failure('unfinished'), answer: null, told: false }
  caller.answer(answer)
  return { kind: 'done', usage }
}

/** Passes a stream on chunk by chunk; nothing is held back, so the first token goes out before the last is made. */
const passStream = async (reply: Answered, { caller, stopper, saw }: WorkDeps): Promise<Outcome> => {
  const { flavour } = caller.call.route
  const encoded = headerOf(reply.headers, 'content-encoding') !== ''
  const watch = createStreamWatch(flavour, headerOf(reply.headers, 'content-type'), encoded)
  const { complete } = reply.body
  if (complete !== null) {
    watch.push(complete)
    if (watch.state().kind === 'final') {
      caller.answer({ status: reply.status, headers: reply.headers, body: complete })
      return { kind: 'done', usage: watch.usage() }
    }
  }
  let next = complete === null ? await reply.body.read() : ({ kind: 'end' } as const)
  while (next.kind === 'chunk') {
    saw()
    watch.push(next.bytes)
    if (!caller.committed && !stopper.signal.aborted) caller.begin(reply.status, reply.headers)
    const slow = caller.write(next.bytes)
    if (slow !== undefined) await Promise.race([slow, stopped(stopper)])
    next = await reply.body.read()
  }
  const state = watch.state()
  if (state.kind === 'error')
    return { kind: 'broken', failure: failureFromText(state.message), answer: null, told: state.told }
  // With the final chunk the answer is whole, however the connection ends after it.
  if (state.kind === 'open' && next.kind !== 'end') return brokenRead(next, stopper.why)
  if (state.kind === 'open') return { kind: 'broken', failure: failure('unfinished'), answer: null, told: false }
  caller.end()
  return { kind: 'done', usage: watch.usage() }
}

/** A request that HTTP cannot carry says nothing about the target: it is the caller's to mend. */
const unsendable = ({ call }: Caller, message: string): Outcome => ({
  kind: 'refused',
  answer: {
    status: 400,
    headers: [['Content-Type', 'application/json; charset=utf-8']],
    body: new TextEncoder().encode(errorBody(call.route.flavour, 400, message)),
  },
  message,
})

/** Sends the request itself and passes the answer on. */
export const work = async (deps: WorkDeps): Promise<Outcome> => {
  const { target, caller, stopper } = deps
  const { path, headers, body } = caller
  const reply = await target.send({ method: 'POST', path, headers, body }, { signal: stopper.signal, reuse: true })
  if (reply.kind === 'unreached' && reply.code === 'unsendable') return unsendable(caller, reply.message)
  if (reply.kind !== 'answered') return unanswered(reply, stopper.why)
  deps.saw()
  const streams = reply.status < 300 && isStream(headerOf(reply.headers, 'content-type'))
  return streams ? passStream(reply, deps) : passWhole(reply, deps)
}
