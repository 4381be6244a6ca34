/** The Ollama surface: reads what a request needs, sends it by queue, bypass or control, and answers as Ollama would. */
import { failure } from '../../domain/job/failure.ts'
import { type Refusal, readCallInTurns, unknownModel } from '../../domain/wire/call.ts'
import type { Route } from '../../domain/wire/routes.ts'
import { readUnlistedCall } from '../../domain/wire/unlisted.ts'
import { turn } from '../../engine/turn.ts'
import { decodedForPeek } from '../body.ts'
import { refusal, refusalOf, refuse } from '../refuse.ts'
import { createControl } from './control.ts'
import { createEmbed } from './embed.ts'
import { createKnown } from './known.ts'
import { wayOf } from './stand-in.ts'
import { createStrangers, isNoRoute, type Strangers } from './strangers.ts'
import { bypass, type ConnectionTimer, type OllamaDeps, Passage, queue } from './ways.ts'

/** `client` is the name of the token that it came with. */
export type OllamaHandler = (
  route: Route,
  request: Request,
  timer: ConnectionTimer,
  client: string | null,
) => Promise<Response>

const refuseAs = ({ flavour }: Route, fault: Refusal) => refusalOf(flavour, fault)

const handleQueued = async (deps: OllamaDeps, passage: Passage, bytes: Uint8Array) => {
  const { route, request, timer } = passage
  const { abilities, admission, state, refresh } = deps.engine
  const peeked = decodedForPeek(request, route.path.startsWith('/v1/'), bytes)
  if (peeked === null) return refusal(route.flavour, 400, 'the request body is not valid zstd')
  const read = await readCallInTurns(route, peeked, request.headers.get('content-type') ?? '', turn)
  if (read.kind === 'refused') return refuseAs(route, read)
  const { call } = read
  const way = wayOf(deps.engine, passage, call)
  if (way === 'nowhere') return refuseAs(route, unknownModel(call))
  if (way === 'rescuer-only') return queue(deps, passage, call, bytes, way)
  // A cloud generation may cost money: it is never sent twice.
  if (call.cloud || state.view.inventory.get(call.canonicalModel)?.remote)
    return bypass(deps, passage, bytes, false, timer.timed, call)
  if (!(await admission.isInstalled(call))) return refuseAs(route, unknownModel(call))
  // The words are the target's own, and nobody's model has to go for them.
  if (!call.unloads && (await abilities.refuses(call, peeked)))
    return bypass(deps, passage, bytes, false, (status) => {
      timer.timed()
      if (status < 300) abilities.wasWrong(call)
    })
  if (!call.unloads) return queue(deps, passage, call, bytes, way)
  return bypass(deps, passage, bytes, true, () => {
    timer.timed()
    state.residency.forget(call.canonicalModel)
    void refresh()
  })
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
  const pass = () => control(passage, bytes, ended)
  if (strangers.has(route.path)) return pass()
  const peeked = decodedForPeek(request, route.path.startsWith('/v1/'), bytes)
  const call = peeked === null ? null : await readUnlistedCall(route, peeked, turn)
  if (call === null) return pass()
  const way = wayOf(deps.engine, passage, call)
  if (way === 'nowhere') return refuseAs(route, unknownModel(call))
  if (way === 'rescuer-only' && !deps.isDraining()) return queue(deps, passage, call, bytes, way)
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

const isTooLate = ({ isDraining }: OllamaDeps, route: Route): boolean =>
  isDraining() && (route.writes || (route.class !== 'control' && !route.unlisted))

/** The handler of every route in the table. */
export const createOllamaHandler = (
  deps: OllamaDeps,
  strangers = createStrangers(() => deps.engine.state.view.version),
): OllamaHandler => {
  const known = createKnown({ view: () => deps.engine.state.view, clock: deps.clock })
  const control = createControl({ ...deps, known })
  const embed = createEmbed(deps)
  const unlisted = { ...deps, strangers, control }
  const send = (passage: Passage, bytes: Uint8Array): Promise<Response> => {
    const { route } = passage
    if (route.unlisted) return handleUnlisted(unlisted, passage, bytes)
    if (route.class === 'queued') return handleQueued(deps, passage, bytes)
    return route.class === 'bypass' ? embed(passage, bytes) : control(passage, bytes)
  }
  return async (route, request, timer, client) => {
    const passage = new Passage(route, request, timer, client)
    if (route.writes && deps.readOnly) return refuse(route.flavour, failure('read_only'))
    if (isTooLate(deps, route)) return refuse(route.flavour, failure('draining'))
    // The body last: whoever looks at it has a stream made of it, which costs as much as a short answer.
    if (route.largeBody || (route.class === 'control' && request.body === null)) {
      timer.untimed()
      return control(passage, route.largeBody ? 'stream' : null)
    }
    const read = await deps.bodies.read(request)
    timer.untimed()
    if (read.kind === 'left') return new Response(null, { status: 499 })
    if (read.kind === 'failed') return refuse(route.flavour, read.failure)
    try {
      // The drain may have begun while the body came.
      if (isTooLate(deps, route)) return refuse(route.flavour, failure('draining'))
      return await send(passage, read.bytes)
    } finally {
      passage.answered(read.release)
    }
  }
}
