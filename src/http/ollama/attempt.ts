/** One try of a request beside the queue: sent, watched, and handed on when an Ollama answers it; network trouble comes back as a value. */
import { requestHeaders } from '../../domain/wire/headers.ts'
import { whoseAnswer } from '../../domain/wire/whose.ts'
import type { Patience } from '../../engine/patience.ts'
import type { Reply, SendTarget } from '../../engine/ports.ts'
import { endedWhenComplete, isJson } from '../../engine/unended.ts'
import { pathAndQuery, pathOf } from '../request-path.ts'
import type { ForwardOptions, Whole } from './forwarding.ts'
import { type Answered, type Cut, gather, relay } from './relay.ts'
import { createWatch, type Watch, type WatchDeps } from './watch.ts'

/** A request as it goes out; a body that streams through says how long it is when its sender did. */
interface TargetRequest {
  readonly method: string
  readonly path: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null
  readonly bodyBytes?: number | undefined
}

/** The target, to which bodies of any size may go. */
export interface ForwardTarget {
  readonly origin?: string
  send(request: TargetRequest, options: Parameters<SendTarget['send']>[1]): Promise<Reply>
}

export interface AttemptDeps extends WatchDeps {
  readonly target: ForwardTarget
}

export type Tried =
  | { readonly kind: 'response'; readonly response: Response }
  /** Never reached, or it fell silent and answers no question: then it may have been `sent`. */
  | { readonly kind: 'away'; readonly message: string; readonly sent: boolean }
  /** Something else answered in its place. */
  | { readonly kind: 'foreign'; readonly message: string }
  | { readonly kind: 'broken'; readonly code: string; readonly message: string }
  | { readonly kind: 'unsendable'; readonly message: string }
  /** The client went away. */
  | { readonly kind: 'left' }

export interface Trying {
  readonly patience: Patience
  /** From 1. */
  readonly tries: number
}

/** What an attempt is made of once it runs. */
interface Passage {
  readonly request: Request
  readonly options: ForwardOptions
  readonly watch: Watch
  /** Nothing of it is left. */
  readonly stop: () => void
  readonly isLost: () => boolean
}

const outgoing = (request: Request, { body }: ForwardOptions): TargetRequest => {
  const length = request.headers.get('content-length')
  return {
    method: request.method,
    path: pathAndQuery(request),
    headers: requestHeaders(request.headers),
    body: body === 'stream' ? (request.body as ReadableStream<Uint8Array> | null) : body,
    bodyBytes: body === 'stream' && length !== null ? Number(length) : undefined,
  }
}

const isBodiless = (method: string, status: number) => method === 'HEAD' || status === 204 || status === 304

const headerOf = (headers: Answered['headers'], name: string): string =>
  headers.find(([key]) => key.toLowerCase() === name)?.[1] ?? ''

/** What to call the answer when an Ollama did not give it; null when one did. A proxy in front may refuse this one request all the same. */
const foreignWords = async ({ target, glance }: AttemptDeps, { request, options }: Passage, whole: Whole) => {
  const { status, headers, bytes: body } = whole
  const contentType = headerOf(headers, 'content-type')
  const hasMember = Buffer.from(body.buffer, body.byteOffset, body.length).includes(`"${options.gather?.member}"`)
  if (status === 200 && hasMember && /^application\/json\b/i.test(contentType)) return null
  const encoded = headerOf(headers, 'content-encoding') !== ''
  const asked = { path: pathOf(request), flavour: options.flavour, cloud: false, hasOrigin: false }
  const whose = whoseAnswer({ status, contentType, encoded, body }, asked)
  if (whose.kind === 'ollama' || (await glance()).kind === 'ollama') return null
  return `${target.origin ?? 'the target'} answered ${whose.words}`
}

const respond = async (deps: AttemptDeps, reply: Answered, passage: Passage): Promise<Tried> => {
  const { request, options, watch, stop } = passage
  const { status, body } = reply
  const headers = reply.headers.map(([name, value]): [string, string] => [name, value])
  const give = (content: Uint8Array | ReadableStream<Uint8Array> | null): Tried => ({
    kind: 'response',
    response: new Response(content, { status, headers }),
  })
  if (isBodiless(request.method, status)) {
    stop()
    options.onEnd(status)
    return give(null)
  }
  const { gather: gathering } = options
  // Only what is held back can be seen to be complete: a document whose end is not sent is over all the same.
  const held = gathering ? endedWhenComplete(body, deps.clock, isJson) : body
  const gathered = await gather(held, gathering?.bytesMax ?? 0, watch.saw)
  if (gathered.kind === 'whole') {
    stop()
    const whole: Whole = { status, headers, bytes: gathered.bytes }
    const words = gathering ? await foreignWords(deps, passage, whole) : null
    if (words !== null) {
      deps.lookNow()
      return { kind: 'foreign', message: words }
    }
    gathering?.heard(whole)
    options.onEnd(status)
    return give(gathered.bytes)
  }
  if (gathered.kind !== 'more') return unanswered(deps, gathered, passage)
  const done = (isWhole: boolean) => {
    stop()
    if (isWhole) options.onEnd(status)
  }
  watch.begun()
  options.onStream()
  return give(relay(body, gathered.pieces, { saw: watch.saw, done }))
}

const unanswered = (deps: AttemptDeps, reply: Exclude<Reply, Answered> | Cut, passage: Passage): Tried => {
  passage.stop()
  if (reply.kind === 'aborted')
    return passage.isLost() ? { kind: 'away', message: 'it stopped answering', sent: true } : { kind: 'left' }
  if (reply.kind === 'broken') return { kind: 'broken', code: reply.code, message: reply.message }
  if (reply.code === 'unsendable') return { kind: 'unsendable', message: reply.message }
  deps.lookNow()
  return { kind: 'away', message: reply.message, sent: false }
}

/** Sends once; once more where a kept socket had gone stale. */
export const attempt = async (
  deps: AttemptDeps,
  request: Request,
  options: ForwardOptions,
  { patience, tries }: Trying,
): Promise<Tried> => {
  const sentAtMs = deps.clock.monotonicMs()
  const abort = new AbortController()
  let lost = false
  const leave = () => abort.abort()
  const watch = createWatch(deps, {
    // The short question has been wrong before: the target was there, and slow.
    endsOn: options.endsOn === 'doubt' && tries > 1 ? 'absence' : options.endsOn,
    isCheap: options.endsOn === 'doubt',
    doubted: () => patience.absent(sentAtMs),
    lost() {
      lost = true
      abort.abort()
    },
  })
  const stop = () => {
    watch.stop()
    request.signal.removeEventListener('abort', leave)
  }
  if (request.signal.aborted) leave()
  else request.signal.addEventListener('abort', leave, { once: true })
  const passage: Passage = { request, options, watch, stop, isLost: () => lost }
  const sent = outgoing(request, options)
  const send = (reuse: boolean) => deps.target.send(sent, { signal: abort.signal, reuse })
  let reply = await send(options.repeatable && tries === 1)
  if (reply.kind === 'broken' && reply.reused && options.repeatable) reply = await send(false)
  if (reply.kind !== 'answered') return unanswered(deps, reply, passage)
  patience.present()
  return respond(deps, reply, passage)
}
