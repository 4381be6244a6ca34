/** Straight to the target and back, beside the queue: bypass and control routes; it must never wait behind a generation. */
import { backoffMs } from '../../domain/backoff.ts'
import type { Clock } from '../../domain/clock.ts'
import { failure, failureFromCode } from '../../domain/job/failure.ts'
import { requestHeaders } from '../../domain/wire/headers.ts'
import type { Flavour } from '../../domain/wire/routes.ts'
import { createLiveness, type Liveness } from '../../engine/liveness.ts'
import type { Patience } from '../../engine/patience.ts'
import type { Reply, SendTarget } from '../../engine/ports.ts'
import { refusal, refuse } from '../refuse.ts'
import { pathAndQuery } from '../request-path.ts'

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
  send(request: TargetRequest, options: Parameters<SendTarget['send']>[1]): Promise<Reply>
}

export interface ForwardDeps {
  readonly target: ForwardTarget
  readonly clock: Clock
  readonly random: () => number
  readonly probe: () => Promise<boolean>
  /** The target was not there: whoever keeps its state should look now, and not at the next poll. */
  readonly missed: () => void
  /** A stopwatch for one caller. */
  readonly patience: () => Patience
}

export interface ForwardOptions {
  readonly flavour: Flavour
  /** The body already read; null = none; 'stream' = pass the request's own on, whatever its size. */
  readonly body: Uint8Array | null | 'stream'
  /** May run twice: a stale socket or a sleeping target is tried again. */
  readonly repeatable: boolean
  /** Bear an unreachable target until the deadline instead of saying so at once. */
  readonly patient: boolean
  /** Called when the answer goes on after its head. */
  readonly onStream: () => void
  /** Called with the status once the whole answer has gone by. */
  readonly onEnd: (status: number) => void
  /** What to say when the target says nothing; null = the failure itself. */
  readonly instead?: () => Response | null
}

export type Forward = (request: Request, options: ForwardOptions) => Promise<Response>

type Answered = Extract<Reply, { kind: 'answered' }>

const passBody = (reply: Answered, done: (ok: boolean) => void, saw: () => void): ReadableStream<Uint8Array> => {
  const { body } = reply
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const read = await body.read()
      saw()
      if (read.kind === 'chunk') return controller.enqueue(read.bytes)
      done(read.kind === 'end')
      if (read.kind === 'end') controller.close()
      // A truncated answer must look truncated: the client's connection is reset.
      else controller.error(new Error(read.kind === 'broken' ? read.message : 'the client left'))
    },
    cancel() {
      done(false)
      body.cancel()
    },
  })
}

const isBodiless = (method: string, status: number) => method === 'HEAD' || status === 204 || status === 304

const pause = (clock: Clock, delayMs: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const finish = () => {
      cancel()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const cancel = clock.after(delayMs, finish)
    signal.addEventListener('abort', finish, { once: true })
  })

/** Sends until there is an answer, or the caller has borne a target that is away for long enough. */
const sendPatiently = async (
  { target, clock, random, missed, patience: newPatience }: ForwardDeps,
  request: TargetRequest,
  options: ForwardOptions,
  signal: AbortSignal,
): Promise<Reply> => {
  const patience = newPatience()
  let reuse = options.repeatable
  for (let tries = 1; ; tries++) {
    const reply = await target.send(request, { signal, reuse })
    const stale = reply.kind === 'broken' && reply.reused && options.repeatable
    const absent = reply.kind === 'unreached' && reply.code !== 'unsendable'
    if (absent) missed()
    const asleep = absent && options.patient && options.body !== 'stream'
    if (!stale && !asleep) return reply
    // The next try gets a socket of its own.
    reuse = false
    if (stale) continue
    patience.absent()
    const delayMs = Math.min(backoffMs(tries, random()), patience.leftMs())
    if (delayMs <= 0 || signal.aborted) return reply
    await pause(clock, delayMs, signal)
  }
}

/** The end of one passage: whoever watches it stops, and it is told of once. */
interface Passage {
  readonly liveness: Pick<Liveness, 'saw'>
  readonly stop: () => void
}

const respond = (request: Request, reply: Answered, options: ForwardOptions, { liveness, stop }: Passage): Response => {
  const headers = reply.headers.map(([name, value]): [string, string] => [name, value])
  const init = { status: reply.status, headers }
  if (isBodiless(request.method, reply.status) || reply.body.complete !== null) {
    stop()
    options.onEnd(reply.status)
    return new Response(isBodiless(request.method, reply.status) ? null : reply.body.complete, init)
  }
  const done = (ok: boolean) => {
    stop()
    if (ok) options.onEnd(reply.status)
  }
  options.onStream()
  return new Response(passBody(reply, done, liveness.saw), init)
}

/** What the client is told when there is no answer. */
const unanswered = (reply: Exclude<Reply, Answered>, options: ForwardOptions, lost: boolean): Response => {
  const { flavour } = options
  if (reply.kind === 'aborted' && !lost) return new Response(null, { status: 499 })
  const instead = options.instead?.() ?? null
  if (instead !== null) return instead
  if (reply.kind === 'aborted') return refuse(flavour, failure('target_lost'))
  if (reply.kind === 'unreached' && reply.code === 'unsendable') return refusal(flavour, 400, reply.message)
  if (reply.kind === 'unreached') return refuse(flavour, failure('unreachable', reply.message))
  return refuse(flavour, failureFromCode(reply.code, reply.message))
}

/** The forwarder of one target. */
export const createForward =
  (deps: ForwardDeps): Forward =>
  async (request, options) => {
    const abort = new AbortController()
    let lost = false
    const leave = () => abort.abort()
    const onLost = () => {
      lost = true
      deps.missed()
      abort.abort()
    }
    const liveness = createLiveness({ probe: deps.probe, clock: deps.clock, onLost })
    const stop = () => {
      liveness.stop()
      request.signal.removeEventListener('abort', leave)
    }
    if (request.signal.aborted) leave()
    else request.signal.addEventListener('abort', leave, { once: true })
    const reply = await sendPatiently(deps, outgoing(request, options), options, abort.signal)
    if (reply.kind === 'answered') return respond(request, reply, options, { liveness, stop })
    stop()
    return unanswered(reply, options, lost)
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
