/** Keeps the embedding model warm beside the worker's model, and says once when the target has no room for both. */

import type { Emit } from '../domain/job/events.ts'
import type { ResidentModel } from '../domain/wire/inventory.ts'
import { canonicalName } from '../domain/wire/model-name.ts'
import { askTarget } from './ask.ts'
import type { SendTarget } from './ports.ts'

export interface EmbedderDeps {
  readonly target: SendTarget
  readonly emit: Emit
  readonly embedModel: string | null
}

export interface Embedder {
  /** At start and after each return of the target. */
  warm(): Promise<void>
  /** Looks at a poll's residents. */
  observe(residents: readonly ResidentModel[]): void
}

// A cold embedder may take minutes to load from a slow disk.
const WARM_TIMEOUT_MS = 10 * 60_000
// One poll may fall into the moment of a load; three in a row do not.
const APART_POLLS = 3

/** The embedder of one target; without a model it does nothing. */
export const createEmbedder = ({ target, emit, embedModel }: EmbedderDeps): Embedder => {
  const canonical = embedModel === null ? null : canonicalName(embedModel)
  let warmed = false
  let warned = false
  let apart = 0
  return {
    async warm() {
      if (embedModel === null) return
      const body = JSON.stringify({ model: embedModel, input: 'warm', keep_alive: -1 })
      const asked = await askTarget(target, '/api/embed', { body, wholeTimeoutMs: WARM_TIMEOUT_MS })
      warmed = asked.kind === 'answered'
      if (asked.kind === 'answered') emit({ event: 'embedder_warmed', model: embedModel })
      else emit({ event: 'embedder_failed', model: embedModel, message: asked.message })
    },
    observe(residents) {
      if (canonical === null || !warmed || warned || residents.length === 0) return
      // It was warmed to stay for ever: if it is gone while another model is there, it was pushed out.
      apart = residents.some((r) => r.canonical === canonical) ? 0 : apart + 1
      if (apart < APART_POLLS) return
      warned = true
      const message = `${embedModel} and the worker's model are never loaded together: set OLLAMA_MAX_LOADED_MODELS=2 on the target`
      emit({ event: 'two_slots_missing', message })
    },
  }
}
