/** Embeddings: past the queue while the target has room for the embedder beside the worker's model, else through it as everybody; it must never read more of a body than that takes. */
import { type Call, readCallInTurns, unknownModel } from '../../domain/wire/call.ts'
import { createModelPeek } from '../../domain/wire/model-peek.ts'
import { turn } from '../../engine/turn.ts'
import { decodedForPeek } from '../body.ts'
import { refusalOf } from '../refuse.ts'
import { wayOf } from './stand-in.ts'
import { bypass, type OllamaDeps, type Passage, queue } from './ways.ts'

/** Past the queue, and looked after: another client's model may stand in the way of this one. */
const embedPast = async (
  deps: OllamaDeps,
  passage: Passage,
  bytes: Uint8Array,
  canonicalModel: string,
  call: Call | null,
) => {
  const { engine } = deps
  const watch = engine.hangs.watch(canonicalModel, 'past')
  const onEnd = () => {
    passage.timer.timed()
    void engine.refresh()
  }
  try {
    return await bypass(deps, passage, bytes, true, onEnd, call)
  } finally {
    watch.over()
  }
}

/** The handler of all routes that embed. */
export const createEmbed = (deps: OllamaDeps) => {
  const { state, embedsPast, rescuers } = deps.engine
  const peek = createModelPeek()
  return async (passage: Passage, bytes: Uint8Array): Promise<Response> => {
    const { route, request, timer } = passage
    const { inventory } = state.view
    const peeked = decodedForPeek(request, route.path.startsWith('/v1/'), bytes)
    // Where somebody else may answer too, what is asked must be known.
    const model = peeked === null || rescuers.rescuer !== null ? null : peek(peeked)
    // Most of them: all else that is in the body is for the target to read.
    if (model !== null && inventory.get(model)?.remote === false && embedsPast(model))
      return embedPast(deps, passage, bytes, model, null)
    const type = request.headers.get('content-type') ?? ''
    const read = peeked === null ? null : await readCallInTurns(route, peeked, type, turn)
    // What foreman cannot read, does not know or need not load is the target's to answer.
    if (read?.kind !== 'call') return bypass(deps, passage, bytes, true, timer.timed)
    const { call } = read
    const way = wayOf(deps.engine, passage, call)
    if (way === 'nowhere') return refusalOf(route.flavour, unknownModel(call))
    if (way === 'rescuer-only') return queue(deps, passage, call, bytes, way)
    const known = inventory.get(call.canonicalModel)
    if (call.cloud || known?.remote || (known === undefined && inventory.size > 0))
      return bypass(deps, passage, bytes, true, timer.timed, call)
    if (!embedsPast(call.canonicalModel)) return queue(deps, passage, call, bytes, way)
    return embedPast(deps, passage, bytes, call.canonicalModel, call)
  }
}
