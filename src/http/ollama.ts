/** The Ollama surface: reads what a request needs, sends it by queue, bypass or control, and answers as Ollama would. */
import { type Call, type Refusal, readCall, unknownModel, withKeepAlive } from '../domain/call.ts'
import type { Clock } from '../domain/clock.ts'
import { failure } from '../domain/failure.ts'
import { type KeepAlivePolicy, keepAliveFor } from '../domain/keep-alive.ts'
import { preferredWaitMs } from '../domain/prefer.ts'
import type { Route } from '../domain/routes.ts'
import type { Intake } from '../engine/intake.ts'
import type { Poller } from '../engine/poller.ts'
import type { TargetState } from '../engine/target-state.ts'
import { requestHeaders } from '../target/headers.ts'
import { createSyncCaller } from './answer.ts'
import { type BodyReader, decodedForPeek } from './body.ts'
import type { Forward } from './forward.ts'
import { refusal, refuse } from './refuse.ts'
import { pathAndQuery } from './request-path.ts'

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
  readonly unreachableDeadlineMs: number
  /** 0 = none. */
  readonly syncDeadlineMs: number
}

/** `bodyRead` is called once the body is in hand, so that the server stops timing the connection. */
export type OllamaHandler = (route: Route, request: Request, bodyRead: () => void) => Promise<Response>

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

  const queue = async (request: Request, call: Call, bytes: Uint8Array) => {
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
    const deadlineMs = preferredWaitMs(request.headers.get('prefer')) ?? (deps.syncDeadlineMs || null)
    const admitted = await intake.admit(jobId, caller, deadlineMs)
    if (admitted.kind === 'refused') caller.fail(admitted.failure, null, false)
    else if (!state.view.reachable) poller.hurry()
    return caller.answered
  }

  const bypass = (route: Route, request: Request, bytes: Uint8Array, onEnd?: (status: number) => void) =>
    forward(request, { flavour: route.flavour, body: bytes, repeatable: true, patient: true, ...(onEnd && { onEnd }) })

  const handleQueued = async (route: Route, request: Request, bytes: Uint8Array) => {
    const peeked = decodedForPeek(request, route.path.startsWith('/v1/'), bytes)
    if (peeked === null) return refusal(route.flavour, 400, 'the request body is not valid zstd')
    const read = readCall(route, peeked, request.headers.get('content-type') ?? '')
    if (read.kind === 'refused') return refuseAs(route, read)
    const { call } = read
    if (call.cloud || state.view.inventory.get(call.canonicalModel)?.remote) return bypass(route, request, bytes)
    const fault = await missing(call)
    if (fault !== null) return refuseAs(route, fault)
    if (call.unloads) return bypass(route, request, bytes, () => state.forget(call.canonicalModel))
    // A body in an encoding that Ollama decodes itself is passed as it is: /v1 takes no keep_alive anyway.
    return queue(request, call, bytes)
  }

  const offlineTags = (route: Route): Response | null => {
    const { reachable, tagsBody } = state.view
    if (route.path !== '/api/tags' || reachable || tagsBody === null) return null
    return new Response(tagsBody.slice(), { headers: { 'Content-Type': 'application/json; charset=utf-8' } })
  }

  const handleControl = async (route: Route, request: Request, body: Uint8Array | null | 'stream') => {
    const cached = offlineTags(route)
    if (cached !== null) return cached
    const repeatable = request.method === 'GET' || request.method === 'HEAD'
    // What is installed may have changed: look at once.
    const onEnd = (status: number) => void (status < 300 && poller.poll())
    const response = await forward(request, {
      flavour: route.flavour,
      body,
      repeatable,
      patient: false,
      ...(route.writes && { onEnd }),
    })
    return response.status === 503 ? (offlineTags(route) ?? response) : response
  }

  return async (route, request, bodyRead) => {
    if (route.writes && deps.readOnly) return refuse(route.flavour, failure('read_only'))
    if (route.largeBody) {
      bodyRead()
      return handleControl(route, request, 'stream')
    }
    if (request.body === null && route.class === 'control') return handleControl(route, request, null)
    const read = await bodies.read(request)
    bodyRead()
    if (read.kind === 'left') return new Response(null, { status: 499 })
    if (read.kind === 'failed') return refuse(route.flavour, read.failure)
    const { bytes, release } = read
    try {
      if (route.class === 'queued') return await handleQueued(route, request, bytes)
      return await (route.class === 'bypass' ? bypass(route, request, bytes) : handleControl(route, request, bytes))
    } finally {
      // With the first byte of the answer the request has been sent for good.
      release()
    }
  }
}
