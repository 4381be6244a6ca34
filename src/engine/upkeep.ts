/** What a part may do to what is loaded, so that the target stays fit: in the words and through the doors of the jobs, never beside them. */
import { type Call, readCall } from '../domain/wire/call.ts'
import type { Inventory } from '../domain/wire/inventory.ts'
import { canonicalName } from '../domain/wire/model-name.ts'
import { matchRoute } from '../domain/wire/routes.ts'
import type { Asked } from './ask.ts'
import type { LoadDoctor } from './load-doctor.ts'
import type { Loaded } from './loader.ts'
import type { Look } from './look.ts'
import type { SendTarget } from './ports.ts'
import type { TargetState } from './state.ts'
import { askUnload } from './unload.ts'
import type { Calls } from './uses.ts'

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
  /** Requests that need a model, jobs and those past the queue. */
  calls(): Calls
  /** Whoever is consulted says what to do about loads of jobs that do not come about. */
  consult(doctor: LoadDoctor): void
}

export interface UpkeepDeps {
  readonly target: SendTarget
  readonly state: TargetState
  readonly look: Look
  readonly hangs: { consult(doctor: LoadDoctor): void; calls(): Calls }
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

/** The upkeep of one engine's target. */
export const createUpkeep = ({ target, state, look, hangs, dispatcher }: UpkeepDeps): Upkeep => {
  const { residency } = state
  return {
    calls: () => hangs.calls(),
    consult: (doctor) => hangs.consult(doctor),
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
