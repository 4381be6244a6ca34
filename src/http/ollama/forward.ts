/** Straight to the target and back, beside the queue: bypass and control routes; it must never wait behind a generation. */
import { backoffMs } from '../../domain/backoff.ts'
import type { Clock } from '../../domain/clock.ts'
import { failure, failureFromCode } from '../../domain/job/failure.ts'
import { requestHeaders } from '../../domain/wire/headers.ts'
import type { Flavour } from '../../domain/wire/routes.ts'
import { createLiveness } from '../../engine/liveness.ts'
import type { Reply, TargetClient, TargetRequest } from '../../ollama/client.ts'
import { refusal, refuse } from '../refuse.ts'
import { pathAndQuery } from '../request-path.ts'

export interface ForwardDeps {
  readonly target: Pick<TargetClient, 'send'>
  readonly clock: Clock
  readonly random: () => number
  readonly probe: () => Promise<boolean>
  readonly unreachableDeadlineMs: number
}

export interface ForwardOptions {
  readonly flavour: Flavour
  /** The body already read; null = none; 'stream' = pass the request's own on, whatever its size. */
  readonly body: Uint8Array | null | 'stream'
  /** May run twice: a stale socket or a sleeping target is tried again. */
  readonly repeatable: boolean
  /** Bear an unreachable target until the deadline instead of saying so at once. */
  readonly patient: boolean
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

/** The forwarder of one target. */
export const createForward = (deps: ForwardDeps): Forward => {
  const { target, clock } = deps

  const pause = (delayMs: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const cancel = clock.after(delayMs, resolve)
      signal.addEventListener('abort', () => {
        cancel()
        resolve()
      })
    })

  const sendPatiently = async (
    request: TargetRequest,
    options: ForwardOptions,
    signal: AbortSignal,
  ): Promise<Reply> => {
    const until = clock.monotonicMs() + deps.unreachableDeadlineMs
    let reuse = options.repeatable
    for (let tries = 1; ; tries++) {
      const reply = await target.send(request, { signal, reuse })
      const stale = reply.kind === 'broken' && reply.reused && options.repeatable
      const asleep =
        reply.kind === 'unreached' && reply.code !== 'unsendable' && options.patient && options.body !== 'stream'
      if (!stale && !asleep) return reply
      // The next try gets a socket of its own.
      reuse = false
      if (stale) continue
      const delayMs = Math.min(backoffMs(tries, deps.random()), until - clock.monotonicMs())
      if (delayMs <= 0 || signal.aborted) return reply
      await pause(delayMs, signal)
    }
  }

  const respond = (
    request: Request,
    reply: Answered,
    options: ForwardOptions,
    stop: () => void,
    saw: () => void,
  ): Response => {
    const headers = reply.headers.map(([name, value]): [string, string] => [name, value])
    const init = { status: reply.status, headers }
    if (isBodiless(request.method, reply.status) || reply.body.complete !== null) {
      stop()
      const whole = reply.body.complete
      options.onEnd(reply.status)
      return new Response(isBodiless(request.method, reply.status) ? null : whole, init)
    }
    const done = (ok: boolean) => {
      stop()
      if (ok) options.onEnd(reply.status)
    }
    return new Response(passBody(reply, done, saw), init)
  }

  return async (request, options) => {
    const abort = new AbortController()
    let lost = false
    const leave = () => abort.abort()
    const onLost = () => {
      lost = true
      abort.abort()
    }
    const { saw, stop: unwatch } = createLiveness({ probe: deps.probe, clock, onLost })
    const stop = () => {
      unwatch()
      request.signal.removeEventListener('abort', leave)
    }
    if (request.signal.aborted) leave()
    else request.signal.addEventListener('abort', leave, { once: true })
    const reply = await sendPatiently(outgoing(request, options), options, abort.signal)
    if (reply.kind === 'answered') return respond(request, reply, options, stop, saw)
    stop()
    if (reply.kind === 'aborted' && !lost) return new Response(null, { status: 499 })
    const instead = options.instead?.() ?? null
    if (instead !== null) return instead
    if (reply.kind === 'aborted') return refuse(options.flavour, failure('target_lost'))
    if (reply.kind === 'unreached' && reply.code === 'unsendable') return refusal(options.flavour, 400, reply.message)
    if (reply.kind === 'unreached') return refuse(options.flavour, failure('unreachable', reply.message))
    return refuse(options.flavour, failureFromCode(reply.code, reply.message))
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
