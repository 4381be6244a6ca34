/** Keeps the embedding model warm beside the worker's model, and says once when the target has no room for both. */

import { canonicalName } from '../../domain/wire/model-name.ts'
import type { Part, PartPorts } from '../../engine/part.ts'

export type EmbedderPorts = PartPorts<{ readonly embedModel: string | null }>

// A cold embedder may take minutes to load from a slow disk.
const WARM_TIMEOUT_MS = 10 * 60_000
// One poll may fall into the moment of a load; three in a row do not.
const APART_POLLS = 3

const idle: Part = { start: () => undefined, stop: async () => undefined }

/** The embedder of one target; without a model it does nothing. */
export const createEmbedder = ({ settings, target, quiet, notice }: EmbedderPorts): Part => {
  const { embedModel } = settings
  if (embedModel === null) return idle
  const canonical = canonicalName(embedModel)
  const halt = new AbortController()
  const subscriptions: (() => void)[] = []
  let warming: Promise<void> | null = null
  let warmed = false
  let warned = false
  let apart = 0

  const askOnce = async (signal: AbortSignal) => {
    const body = JSON.stringify({ model: embedModel, input: 'warm', keep_alive: -1 })
    const asked = await target.ask('/api/embed', { body, signal, wholeTimeoutMs: WARM_TIMEOUT_MS })
    if (signal.aborted) return
    // Whatever it pushed out is known before the next job is chosen.
    await target.refresh()
    warmed = asked.kind === 'answered'
    if (asked.kind === 'answered') notice('info', 'embedder_warmed', { model: embedModel })
    else notice('warn', 'embedder_failed', { model: embedModel, message: asked.message })
  }

  /** Jobs go first: a warm-up that had to give way waits for the next quiet moment. */
  const warm = async () => {
    while (!halt.signal.aborted && target.view().reachable) {
      if ((await quiet.run(askOnce, halt.signal)).kind !== 'gave-way') return
    }
  }
  const warmOnce = () => {
    warming ??= warm().finally(() => {
      warming = null
    })
  }

  const observe = () => {
    const { residents } = target.residency()
    if (!warmed || warned || residents.length === 0) return
    // It was warmed to stay for ever: if it is gone while another model is there, it was pushed out.
    apart = residents.some((resident) => resident.canonical === canonical) ? 0 : apart + 1
    if (apart < APART_POLLS) return
    warned = true
    const message = `${embedModel} and the worker's model are never loaded together: set OLLAMA_MAX_LOADED_MODELS=2 on the target`
    notice('warn', 'two_slots_missing', { message })
  }

  return {
    start() {
      const first = target.onPolled(() => {
        first()
        warmOnce()
      })
      subscriptions.push(first, target.onPolled(observe))
      subscriptions.push(target.onReachability((reachable) => reachable && warmOnce()))
    },
    async stop() {
      halt.abort()
      for (const end of subscriptions) end()
      await warming
    },
  }
}
