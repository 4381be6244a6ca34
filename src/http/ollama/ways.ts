/** The two ways of a call that has been read, through the queue and past it, and what they need; neither may look into the body. */
import type { Clock } from '../../domain/clock.ts'
import type { Call } from '../../domain/wire/call.ts'
import { requestHeaders } from '../../domain/wire/headers.ts'
import { patienceMs, preferredWaitMs } from '../../domain/wire/prefer.ts'
import type { Route } from '../../domain/wire/routes.ts'
import type { Engine } from '../../engine/engine.ts'
import type { Way } from '../../engine/rescue.ts'
import type { BodyReader } from '../body.ts'
import type { Place } from '../place.ts'
import { pathAndQuery } from '../request-path.ts'
import { SyncCaller } from './answer.ts'
import type { Forward } from './forwarding.ts'
import { heartbeatMs, mayBeat, withHeartbeat } from './heartbeat.ts'
import { createStandIn, leadPast } from './stand-in.ts'

export interface OllamaDeps {
  readonly engine: Pick<
    Engine,
    | 'abilities'
    | 'admission'
    | 'aside'
    | 'embedsPast'
    | 'hangs'
    | 'intake'
    | 'patience'
    | 'poller'
    | 'refresh'
    | 'rescuers'
    | 'state'
  >
  readonly forward: Forward
  readonly bodies: BodyReader
  readonly clock: Clock
  readonly newId: () => string
  readonly readOnly: boolean
  readonly isDraining: () => boolean
  /** 0 = none. */
  readonly syncDeadlineMs: number
  /** 0 = none. */
  readonly heartbeatMs: number
  /** Where a job stands. */
  readonly placeOf: (jobId: string) => Place
}

/** The server's timer on the request's connection. */
export interface ConnectionTimer {
  /** The body is in hand: waiting takes as long as it takes. */
  untimed(): void
  /** The answer goes on after its head; `timed` follows. */
  streaming(): void
  /** The answer is over: the connection may idle out again. */
  timed(): void
}

/** A request on its way through, with its connection's timer. */
export class Passage {
  readonly route: Route
  readonly request: Request
  readonly timer: ConnectionTimer
  /** The name of the token that it came with. */
  readonly client: string | null
  #heldUntil: Promise<unknown> | null = null

  constructor(route: Route, request: Request, timer: ConnectionTimer, client: string | null) {
    this.route = route
    this.request = request
    this.timer = timer
    this.client = client
  }

  /** The body is held on although the answer has begun. */
  holdUntil(sent: Promise<unknown>): void {
    this.#heldUntil = sent
  }

  /** With the first byte of the target's answer the request has been sent for good. */
  answered(release: () => void): void {
    if (this.#heldUntil === null) release()
    else void this.#heldUntil.then(release)
  }
}

/** A signal that follows another one and can be given by hand too. */
const followed = (signal: AbortSignal): AbortController => {
  const own = new AbortController()
  if (signal.aborted) own.abort()
  else signal.addEventListener('abort', () => own.abort(), { once: true })
  return own
}

/** Through the queue, or past the target to whoever answers in its place. */
export const queue = async (
  deps: OllamaDeps,
  passage: Passage,
  call: Call,
  body: Uint8Array,
  way: Way = 'target',
): Promise<Response> => {
  const { engine, clock } = deps
  const { request, timer } = passage
  const everyMs = mayBeat(call) ? heartbeatMs(request.headers.get('x-foreman-heartbeat'), deps.heartbeatMs) : 0
  const client = everyMs > 0 ? followed(request.signal) : null
  const jobId = deps.newId()
  const caller = new SyncCaller({
    // A body in an encoding that Ollama decodes itself is passed as it is: /v1 takes no keep_alive anyway.
    ...engine.admission.shape({ call, body }),
    ...(engine.rescuers.rescuer !== null && {
      ...{ client: passage.client, bodyAsSent: body },
      marks: engine.rescuers.marks(call),
    }),
    jobId: way === 'target' ? jobId : null,
    path: pathAndQuery(request),
    headers: requestHeaders(request.headers),
    signal: client?.signal ?? request.signal,
    patience: engine.patience(patienceMs(request.headers.get('x-foreman-patience'))),
    clock,
  })
  caller.onFinished(timer.timed)
  const deadlineMs = preferredWaitMs(request.headers.get('prefer')) ?? (deps.syncDeadlineMs || null)
  const admit = async (leftMs = deadlineMs) => {
    caller.jobId = jobId
    const admitted = await engine.intake.admit(jobId, caller, leftMs)
    if (admitted.kind === 'refused') caller.fail(admitted.failure, null, false)
    else if (!engine.state.view.reachable) engine.poller.hurry()
  }
  if (way === 'target') await admit()
  else void leadPast(deps, caller, { deadlineMs, toTarget: way === 'rescuer-only' ? null : admit })
  if (client !== null) {
    passage.holdUntil(caller.answered)
    const left = () => client.abort()
    const place = () => deps.placeOf(jobId)
    return withHeartbeat(caller.answered, {
      clock,
      call,
      jobId: () => caller.jobId,
      everyMs,
      place,
      left,
      opened: timer.streaming,
    })
  }
  const response = await caller.answered
  if (caller.committed) timer.streaming()
  return response
}

/** Past the queue. `repeatable`: running twice costs nothing but time. `call`: somebody else may answer it too. */
export const bypass = (
  deps: OllamaDeps,
  passage: Passage,
  body: Uint8Array,
  repeatable: boolean,
  onEnd: (status: number) => void,
  call: Call | null = null,
) => {
  const { route, request, timer } = passage
  return deps.forward(request, {
    flavour: route.flavour,
    body,
    repeatable,
    patient: true,
    endsOn: repeatable ? 'absence' : 'liveness',
    onStream: timer.streaming,
    onEnd,
    standIn: call === null ? undefined : createStandIn(deps, passage, call, body),
  })
}
