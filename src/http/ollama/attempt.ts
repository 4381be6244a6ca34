/** One try of a request beside the queue: sent, watched, and handed on when an Ollama answers it; network trouble comes back as a value. */
import type { Clock } from '../../domain/clock.ts'
import { Stop, type StopListener, type StopSignal } from '../../domain/stop-signal.ts'
import { type HeaderPairs, headerOf, requestHeaders } from '../../domain/wire/headers.ts'
import { whoseAnswer } from '../../domain/wire/whose.ts'
import { Countdown, Counted } from '../../engine/countdown.ts'
import type { Patience } from '../../engine/patience.ts'
import type { Reply } from '../../engine/ports.ts'
import { endedWhenComplete, isJson } from '../../engine/unended.ts'
import { pathAndQuery, pathOf } from '../request-path.ts'
import type { ForwardOptions, Gathering, Whole } from './forwarding.ts'
import { type Answered, type Cut, gather, relay } from './relay.ts'
import type { EndsOn, Watch, WatchDeps, Watched } from './watch.ts'

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
  send(request: TargetRequest, options: { readonly signal: StopSignal; readonly reuse: boolean }): Promise<Reply>
}

export interface AttemptDeps extends Pick<WatchDeps, 'clock' | 'glance' | 'lookNow'> {
  readonly target: ForwardTarget
  /** Those whose clients nobody looks after yet. */
  readonly fresh: Countdown<Counted>
  readonly watch: (watched: Watched, nowMs: number) => Watch
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
  /** The caller's stopwatch, which most never need. */
  readonly patience: () => Patience
  /** From 1. */
  readonly tries: number
}

// Most are answered by then, and have spared the signal, which is made when somebody asks for it. It is noticed in time all the same who has left.
const FRESH_MS = 20

/** The countdown in front of `Passage`. */
export const createFresh = (clock: Clock): Countdown<Counted> => new Countdown(clock, FRESH_MS)

/** A request on its way: watched, and given up when its client leaves or its target is lost. */
class Passage extends Counted implements Watched, StopListener {
  readonly request: Request
  readonly options: ForwardOptions
  readonly endsOn: EndsOn
  readonly isCheap: boolean
  readonly watch: Watch
  readonly stop = new Stop()
  isLost = false
  readonly #patience: () => Patience
  readonly #fresh: Countdown<Counted>
  readonly #sentAtMs: number
  #isLookedAfter = false
  #isDoubted = false

  constructor(deps: AttemptDeps, request: Request, options: ForwardOptions, { patience, tries }: Trying) {
    super()
    this.request = request
    this.options = options
    this.isCheap = options.endsOn === 'doubt'
    // The short question has been wrong before: the target was there, and slow.
    this.endsOn = this.isCheap && tries > 1 ? 'absence' : options.endsOn
    this.#patience = patience
    this.#fresh = deps.fresh
    this.#sentAtMs = deps.clock.monotonicMs()
    this.watch = deps.watch(this, this.#sentAtMs)
    // Where it waited before, its client may have left since.
    if (tries > 1) this.ranOut()
    else this.#fresh.begin(this, this.#sentAtMs)
  }

  /** From now on its client is looked after. */
  ranOut(): void {
    const { signal } = this.request
    this.#isLookedAfter = true
    if (signal.aborted) this.stop.abort()
    else signal.addEventListener('abort', this)
  }

  /** The client left: the EventListener side of it. */
  handleEvent(): void {
    this.stop.abort()
  }

  doubted(): void {
    this.#isDoubted = true
    this.#patience().absent(this.#sentAtMs)
  }

  /** It answers. */
  heard(): void {
    if (this.#isDoubted) this.#patience().present()
  }

  lost(): void {
    this.isLost = true
    this.stop.abort()
  }

  /** Nothing of it is left. */
  over(): void {
    this.watch.stop()
    this.#fresh.end(this)
    if (this.#isLookedAfter) this.request.signal.removeEventListener('abort', this)
  }
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

/** Built of the target's own headers, as they came. */
const responseOf = (status: number, headers: HeaderPairs, content: Uint8Array | ReadableStream<Uint8Array> | null) =>
  new Response(content, { status, headers: headers as [string, string][] })

const given = (response: Response): Tried => ({ kind: 'response', response })

/** An answer that came whole with its head, as most short ones do, or that has no body. */
const respondWhole = ({ status, headers }: Answered, passage: Passage, content: Uint8Array | null): Tried => {
  passage.over()
  passage.options.onEnd(status)
  return given(responseOf(status, headers, content))
}

/** One that is held back until it is whole or too long for that. */
const respondGathered = async (
  deps: AttemptDeps,
  reply: Answered,
  passage: Passage,
  gathering: Gathering,
): Promise<Tried> => {
  const { watch, options } = passage
  const { status, headers } = reply
  // Only what is held back can be seen to be complete: a document whose end is not sent is over all the same.
  const held = endedWhenComplete(reply.body, deps.clock, isJson)
  const gathered = await gather(held, gathering.bytesMax, watch.saw.bind(watch))
  if (gathered.kind === 'more') return respondOn(reply, passage, gathered.pieces)
  if (gathered.kind !== 'whole') return unanswered(deps, gathered, passage)
  passage.over()
  const whole: Whole = { status, headers, bytes: gathered.bytes }
  const words = await foreignWords(deps, passage, whole)
  if (words !== null) {
    deps.lookNow()
    return { kind: 'foreign', message: words }
  }
  gathering.heard(whole)
  options.onEnd(status)
  return given(responseOf(status, headers, gathered.bytes))
}

/** One that goes on as it comes. */
const respondOn = ({ status, headers, body }: Answered, passage: Passage, pieces: readonly Uint8Array[]): Tried => {
  const { watch, options } = passage
  const done = (isWhole: boolean) => {
    passage.over()
    if (isWhole) options.onEnd(status)
  }
  watch.begun()
  options.onStream()
  return given(responseOf(status, headers, relay(body, pieces, { saw: watch.saw.bind(watch), done })))
}

const unanswered = (deps: AttemptDeps, reply: Exclude<Reply, Answered> | Cut, passage: Passage): Tried => {
  passage.over()
  if (reply.kind === 'aborted')
    return passage.isLost ? { kind: 'away', message: 'it stopped answering', sent: true } : { kind: 'left' }
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
  trying: Trying,
): Promise<Tried> => {
  const passage = new Passage(deps, request, options, trying)
  const sent = outgoing(request, options)
  const signal = passage.stop
  let reply = await deps.target.send(sent, { signal, reuse: options.repeatable && trying.tries === 1 })
  if (reply.kind === 'broken' && reply.reused && options.repeatable)
    reply = await deps.target.send(sent, { signal, reuse: false })
  if (reply.kind !== 'answered') return unanswered(deps, reply, passage)
  passage.heard()
  if (isBodiless(request.method, reply.status)) return respondWhole(reply, passage, null)
  if (options.gather) return respondGathered(deps, reply, passage, options.gather)
  if (reply.body.complete !== null) return respondWhole(reply, passage, reply.body.complete)
  return respondOn(reply, passage, [])
}
