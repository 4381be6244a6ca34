/** What a part may do to what is loaded, so that the target stays fit: in the words and through the doors of the jobs, never beside them. */
import { type Call, readCall } from '../domain/wire/call.ts'
import type { Inventory } from '../domain/wire/inventory.ts'
import { canonicalName } from '../domain/wire/model-name.ts'
import { matchRoute } from '../domain/wire/routes.ts'
import { type Asked, askTarget } from './ask.ts'
import type { Loaded } from './loader.ts'
import type { Look } from './look.ts'
import type { SendTarget } from './ports.ts'
import type { TargetState } from './state.ts'

/** A model that foreman itself wants to have loaded. */
export interface Wish {
  readonly model: string
  /** Null leaves the context to the target. */
  readonly numCtx: number | null
  /** In seconds; -1 is for ever. */
  readonly keepAlive: number
}

export interface Upkeep {
  /**
   * Loads a model as a job would; for quiet moments: a job that needs the same joins the load, one that needs another model ends it. What is
   * resident is known when it resolves.
   */
  load(wish: Wish, until: AbortSignal): Promise<Loaded>
  /** Unloads a model; what works on it is let finish, and who comes meanwhile has it loaded again. What is resident is known when it resolves. */
  unload(name: string, signal?: AbortSignal): Promise<Asked>
}

export interface UpkeepDeps {
  readonly target: SendTarget
  readonly state: TargetState
  readonly look: Look
  readonly dispatcher: { load(call: Call, until: AbortSignal): Promise<Loaded> }
}

/** An embedding model cannot generate; an embed without input loads it. */
const isEmbedder = (model: string, inventory: Inventory): boolean => {
  const { capabilities = [] } = inventory.get(canonicalName(model) ?? '') ?? {}
  return capabilities.includes('embedding') && !capabilities.includes('completion')
}

/** The call, which is never sent: its load is. */
const wishedCall = ({ model, numCtx, keepAlive }: Wish, inventory: Inventory): Call => {
  const matched = matchRoute('POST', isEmbedder(model, inventory) ? '/api/embed' : '/api/generate')
  const body = { model, keep_alive: keepAlive, ...(numCtx !== null && { options: { num_ctx: numCtx } }) }
  const bytes = new TextEncoder().encode(JSON.stringify(body))
  const read = matched.kind === 'route' ? readCall(matched.route, bytes, 'application/json') : null
  if (read?.kind !== 'call') throw new Error(`"${model}" cannot be loaded: it is not a model's name`)
  return read.call
}

// Measured on a real server: an unload frees everything behind it within 8 s.
const UNLOAD_TIMEOUT_MS = 15_000

/** The unload idiom: at once where the model is idle, else when its work ends. */
export const askUnload = (target: SendTarget, name: string, signal?: AbortSignal): Promise<Asked> => {
  const body = JSON.stringify({ model: name, keep_alive: 0 })
  return askTarget(target, '/api/generate', { body, wholeTimeoutMs: UNLOAD_TIMEOUT_MS, ...(signal && { signal }) })
}

/** The upkeep of one engine's target. */
export const createUpkeep = ({ target, state, look, dispatcher }: UpkeepDeps): Upkeep => {
  const { residency } = state
  return {
    load: (wish, until) => dispatcher.load(wishedCall(wish, state.view.inventory), until),
    async unload(name, signal) {
      const asked = await askUnload(target, name, signal)
      // Given up or not: whoever is claimed next has it loaded if it has gone.
      residency.forget(canonicalName(name) ?? name)
      const before = residency.version
      const there = await look()
      if (there !== null && residency.version === before) residency.seen(there)
      return asked
    },
  }
}
