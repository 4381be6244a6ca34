/** The Ollama surface: reads what a request needs, sends it by queue, bypass or control, and answers as Ollama would. */
import type { Clock } from '../../domain/clock.ts'
import { failure } from '../../domain/job/failure.ts'
import { type Call, type Refusal, readCallInTurns, unknownModel } from '../../domain/wire/call.ts'
import { requestHeaders } from '../../domain/wire/headers.ts'
import { preferredWaitMs } from '../../domain/wire/prefer.ts'
import type { Route } from '../../domain/wire/routes.ts'
import { readUnlistedCall } from '../../domain/wire/unlisted.ts'
import type { Engine } from '../../engine/engine.ts'
import { turn } from '../../engine/turn.ts'
import { type BodyReader, decodedForPeek } from '../body.ts'
import type { Place } from '../place.ts'
import { refusal, refusalOf, refuse } from '../refuse.ts'
import { pathAndQuery } from '../request-path.ts'
import { SyncCaller } from './answer.ts'
import { createControl } from './control.ts'
import type { Forward } from './forwarding.ts'
import { heartbeatMs, mayBeat, withHeartbeat } from './heartbeat.ts'
import { createKnown } from './known.ts'
import { createStrangers, isNoRoute, type Strangers } from './strangers.ts'

export interface OllamaDeps {
  readonly engine: Pick<
    Engine,
    'abilities' | 'admission' | 'embedsPast' | 'hangs' | 'intake' | 'patience' | 'poller' | 'refresh' | 'state'
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

export type OllamaHandler = (route: Route, request: Request, timer: ConnectionTimer) => Promise<Response>

/** A request on its way through, with its connection's timer. */
interface Passage {
  readonly route: Route
  readonly request: Request
  readonly timer: ConnectionTimer
  /** The body is held on although the answer has begun. */
  readonly holdUntil: (sent: Promise<unknown>) => void
}

const refuseAs = ({ flavour }: Route, fault: Refusal) => refusalOf(flavour, fault)

/** A signal that follows another one and can be given by hand too. */
const followed = (signal: AbortSignal): AbortController => {
  const own = new AbortController()
  if (signal.aborted) own.abort()
  else signal.addEventListener('abort', () => own.abort(), { once: true })
  return own
}

const queue = async (deps: OllamaDeps, { request, timer, holdUntil }: Passage, call: Call, body: Uint8Array) => {
  const { engine, clock } = deps
  const everyMs = mayBeat(call) ? heartbeatMs(request.headers.get('x-foreman-heartbeat'), deps.heartbeatMs) : 0
  const client = everyMs > 0 ? followed(request.signal) : null
  const jobId = deps.newId()
  const caller = new SyncCaller({
    // A body in an encoding that Ollama decodes itself is passed as it is: /v1 takes no keep_alive anyway.
    ...engine.admission.shape({ call, body }),
    jobId,
    path: pathAndQuery(request),
    headers: requestHeaders(request.headers),
    signal: client?.signal ?? request.signal,
    patience: engine.patience(),
    clock,
  })
  caller.onFinished(timer.timed)
  const deadlineMs = preferredWaitMs(request.headers.get('prefer')) ?? (deps.syncDeadlineMs || null)
  const admitted = await engine.intake.admit(jobId, caller, deadlineMs)
  if (admitted.kind === 'refused') caller.fail(admitted.failure, null, false)
  else if (!engine.state.view.reachable) engine.poller.hurry()
  if (client !== null) {
    holdUntil(caller.answered)
    const left = () => client.abort()
    const place = () => deps.placeOf(jobId)
    return withHeartbeat(caller.answered, { clock, call, jobId, everyMs, place, left, opened: timer.streaming })
  }
  const response = await caller.answered
  if (caller.committed) timer.streaming()
  return response
}

/** `repeatable`: running twice costs nothing but time. */
const bypass = (
  { forward }: OllamaDeps,
  { route, request, timer }: Passage,
  body: Uint8Array,
  repeatable: boolean,
  onEnd: (status: number) => void,
) =>
  forward(request, {
    flavour: route.flavour,
    body,
    repeatable,
    patient: true,
    endsOn: repeatable ? 'absence' : 'liveness',
    onStream: timer.streaming,
    onEnd,
  })

const handleQueued = async (deps: OllamaDeps, passage: Passage, bytes: Uint8Array) => {
  const { route, request, timer } = passage
  const { abilities, admission, state, refresh } = deps.engine
  const peeked = decodedForPeek(request, route.path.startsWith('/v1/'), bytes)
  if (peeked === null) return refusal(route.flavour, 400, 'the request body is not valid zstd')
  const read = await readCallInTurns(route, peeked, request.headers.get('content-type') ?? '', turn)
  if (read.kind === 'refused') return refuseAs(route, read)
  const { call } = read
  // A cloud generation may cost money: it is never sent twice.
  if (call.cloud || state.view.inventory.get(call.canonicalModel)?.remote)
    return bypass(deps, passage, bytes, false, timer.timed)
  if (!(await admission.isInstalled(call))) return refuseAs(route, unknownModel(call))
  // The words are the target's own, and nobody's model has to go for them.
  if (!call.unloads && (await abilities.refuses(call, peeked)))
    return bypass(deps, passage, bytes, false, (status) => {
      timer.timed()
      if (status < 300) abilities.wasWrong(call)
    })
  if (!call.unloads) return queue(deps, passage, call, bytes)
  return bypass(deps, passage, bytes, true, () => {
    timer.timed()
    state.residency.forget(call.canonicalModel)
    void refresh()
  })
}

/** Embeddings go past the queue while the target has room for the embedder beside the worker's model; else they wait as everybody does. */
const handleEmbed = async (deps: OllamaDeps, passage: Passage, bytes: Uint8Array) => {
  const { route, request, timer } = passage
  const { state, embedsPast, hangs, refresh } = deps.engine
  const { inventory } = state.view
  const peeked = decodedForPeek(request, route.path.startsWith('/v1/'), bytes)
  const type = request.headers.get('content-type') ?? ''
  const read = peeked === null ? null : await readCallInTurns(route, peeked, type, turn)
  // What foreman cannot read, does not know or need not load is the target's to answer.
  if (read?.kind !== 'call') return bypass(deps, passage, bytes, true, timer.timed)
  const { call } = read
  const known = inventory.get(call.canonicalModel)
  if (call.cloud || known?.remote || (known === undefined && inventory.size > 0))
    return bypass(deps, passage, bytes, true, timer.timed)
  if (!embedsPast(call.canonicalModel)) return queue(deps, passage, call, bytes)
  const onEnd = () => {
    timer.timed()
    void refresh()
  }
  const watch = hangs.watch(call.canonicalModel, 'past')
  return bypass(deps, passage, bytes, true, onEnd).finally(watch.over)
}

interface UnlistedDeps extends OllamaDeps {
  readonly strangers: Strangers
  readonly control: ReturnType<typeof createControl>
}

/** A path that foreman does not know: queued when its body names a model that is installed, else the target's to answer at once. */
const handleUnlisted = async (deps: UnlistedDeps, passage: Passage, bytes: Uint8Array) => {
  const { strangers, control } = deps
  const { route, request, timer } = passage
  const { admission, state, refresh } = deps.engine
  const ended = (status: number) => strangers.answered(route.path, status)
  const pass = () => control({ ...passage, body: bytes, ended })
  if (strangers.has(route.path)) return pass()
  const peeked = decodedForPeek(request, route.path.startsWith('/v1/'), bytes)
  const call = peeked === null ? null : await readUnlistedCall(route, peeked, turn)
  if (call === null) return pass()
  if (call.cloud || state.view.inventory.get(call.canonicalModel)?.remote)
    return bypass(deps, passage, bytes, false, timer.timed)
  if (!(await admission.isInstalled(call))) return pass()
  if (deps.isDraining()) return refuse(route.flavour, failure('draining'))
  const response = await queue(deps, passage, call, bytes)
  if (isNoRoute(response)) strangers.add(route.path)
  // What it loaded, if anything, only the target can say.
  else void refresh()
  return response
}

/** The handler of every route in the table. */
export const createOllamaHandler = (
  deps: OllamaDeps,
  strangers = createStrangers(() => deps.engine.state.view.version),
): OllamaHandler => {
  const known = createKnown({ view: () => deps.engine.state.view, clock: deps.clock })
  const control = createControl({ ...deps, known })
  return async (route, request, timer) => {
    let sent: Promise<unknown> | null = null
    const holdUntil = (later: Promise<unknown>) => {
      sent = later
    }
    const passage = { route, request, timer, holdUntil }
    if (route.writes && deps.readOnly) return refuse(route.flavour, failure('read_only'))
    const isTooLate = () => deps.isDraining() && (route.writes || (route.class !== 'control' && !route.unlisted))
    if (isTooLate()) return refuse(route.flavour, failure('draining'))
    if (route.largeBody || (request.body === null && route.class === 'control')) {
      timer.untimed()
      return control({ ...passage, body: route.largeBody ? 'stream' : null })
    }
    const read = await deps.bodies.read(request)
    timer.untimed()
    if (read.kind === 'left') return new Response(null, { status: 499 })
    if (read.kind === 'failed') return refuse(route.flavour, read.failure)
    const { bytes, release } = read
    try {
      // The drain may have begun while the body came.
      if (isTooLate()) return refuse(route.flavour, failure('draining'))
      if (route.unlisted) return await handleUnlisted({ ...deps, strangers, control }, passage, bytes)
      if (route.class === 'queued') return await handleQueued(deps, passage, bytes)
      if (route.class === 'bypass') return await handleEmbed(deps, passage, bytes)
      return await control({ ...passage, body: bytes })
    } finally {
      // With the first byte of the target's answer the request has been sent for good.
      if (sent === null) release()
      else void (sent as Promise<unknown>).then(release)
    }
  }
}
