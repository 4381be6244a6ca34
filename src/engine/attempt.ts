/** One attempt's talk with the target: load, then work; how it ends is a value, and only the first cause of an end counts. */
import { type Answer, type Outcome, outcomeOfRefusal } from '../domain/job/outcome.ts'
import type { Call } from '../domain/wire/call.ts'
import { loadBody } from '../domain/wire/call-body.ts'
import { headerOf } from '../domain/wire/headers.ts'
import { errorBody, errorText } from '../domain/wire/refusal.ts'
import { isRequestFault } from '../domain/wire/request-fault.ts'
import { retryAfterMs } from '../domain/wire/retry-after.ts'
import type { Route } from '../domain/wire/routes.ts'
import { isStream } from '../domain/wire/stream-watch.ts'
import type { Caller } from './caller.ts'
import type { Loaded } from './loader.ts'
import {
  type Answered,
  brokenRead,
  type PassDeps,
  passStream,
  passWhole,
  type ReadDeps,
  readOwnAnswer,
} from './pass.ts'
import type { Reply } from './ports.ts'

const unanswered = (reply: Exclude<Reply, Answered>, why: Outcome | null): Outcome => {
  switch (reply.kind) {
    case 'aborted':
      return why ?? { kind: 'left' }
    case 'unreached':
      return { kind: 'unreached', message: reply.message }
    case 'broken':
      return brokenRead(reply, why)
    default:
      return reply satisfies never
  }
}

/** Issues the load idiom with the job's own reload options. */
export const load = async (
  deps: ReadDeps,
  call: Call,
  signal: AbortSignal,
  keepAliveJson: string | null,
): Promise<Loaded> => {
  // An embedding model cannot generate, but an embed without input loads it all the same.
  const path = call.route.class === 'bypass' ? '/api/embed' : '/api/generate'
  const headers = [['Content-Type', 'application/json']] as const
  const body = loadBody(call, keepAliveJson)
  const reply = await deps.target.send({ method: 'POST', path, headers, body }, { signal, reuse: true })
  if (reply.kind !== 'answered') return unanswered(reply, null)
  const route = { ...call.route, flavour: 'native' as const }
  const read = await readOwnAnswer(deps, reply, { call: { ...call, route }, path })
  if (read.kind !== 'answer') return read
  const { status } = read.answer
  const message = errorText(read.answer.body) ?? ''
  if (status < 300) return 'loaded'
  // Whatever is wrong with the request is said best by the answer to the request itself.
  if (isRequestFault(message) || (status < 500 && status !== 429)) return 'unknown'
  const answer: Answer = {
    status,
    headers: [['Content-Type', 'application/json; charset=utf-8']],
    body: new TextEncoder().encode(errorBody(call.route.flavour, status, message)),
  }
  return outcomeOfRefusal(answer, message, retryAfterMs(reply.headers))
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

// What a path foreman does not know answers may be sound or pictures of any size; a page is nobody's but a proxy's, and is read whole.
const READ_WHOLE = /^(application\/json|text\/(html|plain))\b|^$/i

const passesAsItComes = (route: Route, contentType: string): boolean =>
  isStream(contentType) || (route.unlisted === true && !READ_WHOLE.test(contentType))

/** Sends the request itself, or what `sent` says in place of it, and passes the answer on. */
export const work = async (
  deps: PassDeps,
  caller: Caller,
  sent: Pick<Caller, 'headers' | 'body'> = caller,
): Promise<Outcome> => {
  const { target, stopper } = deps
  const { call, path } = caller
  const { headers, body } = sent
  const reply = await target.send({ method: 'POST', path, headers, body }, { signal: stopper.signal, reuse: true })
  if (reply.kind === 'unreached' && reply.code === 'unsendable') return unsendable(caller, reply.message)
  if (reply.kind !== 'answered') return unanswered(reply, stopper.why)
  deps.saw()
  const streams = reply.status < 300 && passesAsItComes(call.route, headerOf(reply.headers, 'content-type'))
  return streams ? passStream(deps, reply, caller) : passWhole(deps, reply, caller)
}
