/** Counts and names the loads of a model that was loaded already, only with other options: what several clients of one model cost; it must never act. */
import type { Reading } from '../../domain/reading.ts'
import { displayNameOf } from '../../domain/wire/model-name.ts'
import { modelOfKey } from '../../domain/wire/residency.ts'
import type { PartPorts } from '../../engine/part.ts'

export interface OptionReloads {
  start(): void
  stop(): void
  /** By model, the most first; empty when there were none. */
  told(): readonly { readonly model: string; readonly reloads: number; readonly between: readonly string[] }[]
  metrics(): readonly Reading[]
}

interface Count {
  reloads: number
  /** As they were asked for, the latest last. */
  readonly variants: Set<string>
}

/** A load that has begun. */
interface Loading {
  readonly from: string
  readonly to: string
  readonly contextBefore: number | null
}

const MODELS_MAX = 20
const VARIANTS_MAX = 8
// One may be an experiment; what comes a third time will come again.
const TOLD_AT = 3

/** What of a key is not the model: `num_ctx=8192`, or that nothing was asked for. */
const optionsOf = (key: string): string => key.slice(modelOfKey(key).length).trim() || "the target's own"
const withoutContext = (key: string): string => key.replace(/ num_ctx=\S+/, '')

/** Nothing has been reloaded yet. */
export const createOptionReloads = ({
  bus,
  target,
  notice,
}: Pick<PartPorts<never>, 'bus' | 'target' | 'notice'>): OptionReloads => {
  const counts = new Map<string, Count>()
  let loading: Loading | null = null
  let ends: (() => void)[] = []
  let unwatch: (() => void) | null = null
  let total = 0

  const contextOf = (model: string): number | null =>
    target.residency().residents.find(({ canonical }) => canonical === model)?.contextLength ?? null

  const count = ({ from, to }: Loading) => {
    const model = modelOfKey(to)
    total++
    const known = counts.get(model) ?? { reloads: 0, variants: new Set<string>() }
    // Whoever is beyond the bound is in the sum alone.
    if (!counts.has(model) && counts.size >= MODELS_MAX) return
    counts.set(model, known)
    known.reloads++
    for (const key of [from, to]) if (known.variants.size < VARIANTS_MAX) known.variants.add(optionsOf(key))
    if (known.reloads !== TOLD_AT) return
    const name = displayNameOf(model)
    const message = `${name} is loaded anew again and again only because its callers ask for different options (${[...known.variants].join('; ')}): FOREMAN_NUM_CTX can give it one context`
    notice('warn', 'option_reloads', { model: name, reloads: known.reloads, message })
  }

  /** The first job after a load says that it has come about; a context that is still the same was never loaded anew. */
  const loaded = (key: string) => {
    const ended = loading
    loading = null
    unwatch?.()
    unwatch = null
    if (ended === null || ended.to !== key) return
    const isSame = ended.contextBefore !== null && contextOf(modelOfKey(key)) === ended.contextBefore
    if (!isSame || withoutContext(ended.from) !== withoutContext(ended.to)) count(ended)
  }

  const begun = (to: string) => {
    const model = modelOfKey(to)
    const from = target.residency().loadedKeys.find((key) => key !== to && modelOfKey(key) === model)
    if (from === undefined) return
    loading = { from, to, contextBefore: contextOf(model) }
    // Heard only while such a load is under way: every job tells that it works.
    unwatch ??= bus.on('job_working', 'residency', ({ residencyKey }) => loaded(residencyKey))
  }

  return {
    start() {
      ends = [bus.on('job_loading', 'residency', ({ residencyKey }) => begun(residencyKey))]
    },
    stop() {
      for (const end of ends) end()
      unwatch?.()
    },
    told: () =>
      [...counts]
        .sort(([, a], [, b]) => b.reloads - a.reloads)
        .map(([model, { reloads, variants }]) => ({ model: displayNameOf(model), reloads, between: [...variants] })),
    metrics() {
      const named = [...counts].map(([model, { reloads }]) => ({
        value: reloads,
        labels: { model: displayNameOf(model) },
      }))
      const others = total - [...counts.values()].reduce((sum, { reloads }) => sum + reloads, 0)
      const samples = [
        ...named,
        ...(others > 0 || named.length === 0 ? [{ value: others, labels: { model: 'other' } }] : []),
      ]
      const help = 'Loads of a model that was loaded already, with other options'
      return [{ name: 'foreman_option_reloads_total', help, type: 'counter', samples }]
    },
  }
}
