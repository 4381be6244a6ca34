/** The Ollama surface: reads what a request needs, sends it by queue, bypass or control, and answers as Ollama would. */

import type { Clock } from '../../domain/clock.ts'
import { failure } from '../../domain/job/failure.ts'
import { type Call, type Refusal, readCall, unknownModel, withKeepAlive } from '../../domain/wire/call.ts'
import { requestHeaders } from '../../domain/wire/headers.ts'
import { type KeepAlivePolicy, keepAliveFor } from '../../domain/wire/keep-alive.ts'
import { preferredWaitMs } from '../../domain/wire/prefer.ts'
import type { Route } from '../../domain/wire/routes.ts'
import type { Intake } from '../../engine/intake.ts'
import type { Poller } from '../../engine/poller.ts'
import type { TargetState } from '../../engine/state.ts'
import { type BodyReader, decodedForPeek } from '../body.ts'
import { refusal, refuse } from '../refuse.ts'
import { pathAndQuery } from '../request-path.ts'
import { createSyncCaller } from './answer.ts'
import type { Forward } from './forward.ts'

export interface OllamaDeps {
  readonly intake: Intake
  readonly poller: Pick<Poller, 'poll' | 'hurry'>
  readonly state: TargetState
  readonly forward: Forward
  readonly bodies: BodyReader
  readonly clock: Clock
  readonly newId: () => string
  readonly keepAlive: KeepAlivePolicy
  readonly readOnly: boolean
  readonly isDraining: () => boolean
  readonly unreachableDeadlineMs: number
  /** 0 = none. */
  readonly syncDeadlineMs: number
}

/** The server's timer on the request's connection. */
export interface ConnectionTimer {
  /** The body is in hand: waiting takes as long as it takes. */
  untimed(): void
  /** The answer is over: the connection may idle out again. */
  timed(): void
}

export type OllamaHandler = (route: Route, request: Request, timer: ConnectionTimer) => Promise<Response>

const refuseAs = (route: Route, { status, message }: Refusal) => refusal(route.flavour, status, message)

/** The handler of every route in the table. */
export const createOllamaHandler = (deps: OllamaDeps): OllamaHandler => {
  const { intake, poller, state, forward, bodies, clock } = deps

  const isInstalled = (call: Call): boolean =>
    state.view.inventory.size === 0 || state.view.inventory.has(call.canonicalModel)

  /** One poll more before a model is called missing: it may have been pulled behind our back. */
  const missing = async (call: Call): Promise<Refusal | null> => {
    if (isInstalled(call)) return null
    if (state.view.reachable) await poller.poll()
    return isInstalled(call) ? null : unknownModel(call.route, call.model)
  }

  const queue = async (request: Request, call: Call, bytes: Uint8Array, timer: ConnectionTimer) => {
    const policy = call.keepAlive === undefined ? keepAliveFor(deps.keepAlive, call.canonicalModel) : null
    const jobId = deps.newId()
    const caller = createSyncCaller({
      jobId,
      call,
      path: pathAndQuery(request),
      headers: requestHeaders(request.headers),
      body: policy === null ? bytes : withKeepAlive(bytes, call, policy.json),
      signal: request.signal,
      clock,
      unreachableDeadlineMs: deps.unreachableDeadlineMs,
    })
    caller.onFinished(timer.timed)
    const deadlineMs = preferredWaitMs(request.headers.get('prefer')) ?? (deps.syncDeadlineMs || null)
    const admitted = await intake.admit(jobId, caller, deadlineMs)
    if (admitted.kind === 'refused') caller.fail(admitted.failure, null, false)
    else if (!state.view.reachable) poller.hurry()
    return caller.answered
  }

  /** `repeatable`: running twice costs nothing but time. */
  const bypass = (
    route: Route,
    request: Request,
    body: Uint8Array,
    repeatable: boolean,
    onEnd: (status: number) => void,
  ) => forward(request, { flavour: route.flavour, body, repeatable, patient: true, onEnd })

  const handleQueued = async (route: Route, request: Request, bytes: Uint8Array, timer: ConnectionTimer) => {
    const peeked = decodedForPeek(request, route.path.startsWith('/v1/'), bytes)
    if (peeked === null) return refusal(route.flavour, 400, 'the request body is not valid zstd')
    const read = readCall(route, peeked, request.headers.get('content-type') ?? '')
    if (read.kind === 'refused') return refuseAs(route, read)
    const { call } = read
    // A cloud generation may cost money: it is never sent twice.
    if (call.cloud || state.view.inventory.get(call.canonicalModel)?.remote)
      return bypass(route, request, bytes, false, timer.timed)
    const fault = await missing(call)
    if (fault !== null) return refuseAs(route, fault)
    if (call.unloads) {
      const forget = () => {
        timer.timed()
        state.forget(call.canonicalModel)
      }
      return bypass(route, request, bytes, true, forget)
    }
    // A body in an encoding that Ollama decodes itself is passed as it is: /v1 takes no keep_alive anyway.
    return queue(request, call, bytes, timer)
  }

  const lastTags = (route: Route): Response | null => {
    const { tagsBody } = state.view
    if (route.path !== '/api/tags' || tagsBody === null) return null
    return new Response(tagsBody.slice(), { headers: { 'Content-Type': 'application/json; charset=utf-8' } })
  }

  const handleControl = async (
    route: Route,
    request: Request,
    body: Uint8Array | null | 'stream',
    timer: ConnectionTimer,
  ) => {
    const cached = state.view.reachable ? null : lastTags(route)
    if (cached !== null) return cached
    const repeatable = request.method === 'GET' || request.method === 'HEAD'
    const onEnd = (status: number) => {
      timer.timed()
      // What is installed may have changed: look at once.
      if (route.writes && status < 300) void poller.poll()
    }
    // It may have fallen asleep since the last poll.
    const instead = () => lastTags(route)
    return forward(request, { flavour: route.flavour, body, repeatable, patient: false, onEnd, instead })
  }

  return async (route, request, timer) => {
    if (route.writes && deps.readOnly) return refuse(route.flavour, failure('read_only'))
    if (deps.isDraining() && (route.writes || route.class !== 'control'))
      return refuse(route.flavour, failure('draining'))
    if (route.largeBody || (request.body === null && route.class === 'control')) {
      timer.untimed()
      return handleControl(route, request, route.largeBody ? 'stream' : null, timer)
    }
    const read = await bodies.read(request)
    timer.untimed()
    if (read.kind === 'left') return new Response(null, { status: 499 })
    if (read.kind === 'failed') return refuse(route.flavour, read.failure)
    const { bytes, release } = read
    try {
      if (route.class === 'queued') return await handleQueued(route, request, bytes, timer)
      if (route.class === 'bypass') return await bypass(route, request, bytes, true, timer.timed)
      return await handleControl(route, request, bytes, timer)
    } finally {
      // With the first byte of the answer the request has been sent for good.
      release()
    }
  }
}
