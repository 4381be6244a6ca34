/** Knows which calls the target refuses before it loads anything, so that they need no load of foreman's: in doubt it knows none. */
import type { Clock } from '../domain/clock.ts'
import type { Call } from '../domain/wire/call.ts'
import { precheck } from '../domain/wire/precheck.ts'
import { askTarget } from './ask.ts'
import type { SendTarget } from './ports.ts'
import type { TargetState } from './state.ts'

export interface Abilities {
  /** Whether the target will refuse it without loading a model; asks what the model can do. False when a load would push nothing out. */
  refuses(call: Call, body: Uint8Array): Promise<boolean>
  /** The same from what is known already. */
  refusesForSure(call: Call, body: Uint8Array): boolean
  /** The target took what should have been refused: this model is not judged again. */
  wasWrong(call: Call): void
}

interface AbilitiesDeps {
  readonly target: SendTarget
  readonly state: Pick<TargetState, 'view' | 'residency'>
  readonly clock: Pick<Clock, 'monotonicMs'>
}

// It is read from disk: whoever takes longer gets the call itself.
const SHOW_TIMEOUT_MS = 1_000
// Without an answer the target decides for so long: not every call is to wait for a question that hangs.
const UNANSWERED_MS = 60_000
const MODELS_MAX = 1_000

const capabilitiesOf = (shown: unknown): readonly string[] | null => {
  if (typeof shown !== 'object' || shown === null || !('capabilities' in shown)) return null
  const { capabilities } = shown
  return Array.isArray(capabilities) ? capabilities.filter((one) => typeof one === 'string') : null
}

/** The abilities of one target's models, by digest, so that a model that is pulled anew is asked for again. */
export const createAbilities = ({ target, state, clock }: AbilitiesDeps): Abilities => {
  const known = new Map<string, readonly string[] | null>()
  /** When the last question without an answer was over. */
  const unansweredAtMs = new Map<string, number>()
  const mistaken = new Set<string>()
  const keyOf = ({ canonicalModel }: Call) =>
    state.view.inventory.get(canonicalModel)?.digest || `named ${canonicalModel}`

  const remember = <T>(memory: Map<string, T>, key: string, value: T) => {
    const [oldest] = memory.keys()
    if (memory.size >= MODELS_MAX && oldest !== undefined) memory.delete(oldest)
    memory.set(key, value)
  }
  const isUnanswered = (key: string): boolean =>
    clock.monotonicMs() - (unansweredAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < UNANSWERED_MS

  /** Null = it does not say; undefined = it did not answer. */
  const ask = async (call: Call): Promise<readonly string[] | null | undefined> => {
    const body = JSON.stringify({ model: call.model })
    const asked = await askTarget(target, '/api/show', { body, wholeTimeoutMs: SHOW_TIMEOUT_MS })
    return asked.kind === 'answered' ? capabilitiesOf(asked.json) : undefined
  }

  const listedFor = ({ canonicalModel }: Call) => state.view.inventory.get(canonicalModel)?.capabilities ?? []

  /** What the call needs of its model; true = it is refused whatever that is, null = it is not judged. */
  const judged = (call: Call, body: Uint8Array): true | null | readonly string[] => {
    const { view, residency } = state
    if (call.cloud || !view.reachable || residency.loadedKeys.includes(call.residencyKey)) return null
    if (!view.inventory.has(call.canonicalModel) || mistaken.has(keyOf(call))) return null
    const { isRefused, needs } = precheck(call.route, body)
    return isRefused || needs
  }

  /** Whether these say that something is missing; an old version says nothing. */
  const lacks = (capabilities: readonly string[] | null, needs: readonly string[]): boolean =>
    capabilities !== null && !needs.every((need) => capabilities.includes(need))

  return {
    async refuses(call, body) {
      const needs = judged(call, body)
      if (needs === true || needs === null) return needs ?? false
      const listed = listedFor(call)
      if (listed.length > 0 && !lacks(listed, needs)) return false
      const key = keyOf(call)
      if (!known.has(key)) {
        if (isUnanswered(key)) return false
        const shown = await ask(call)
        if (shown === undefined) {
          remember(unansweredAtMs, key, clock.monotonicMs())
          return false
        }
        remember(known, key, shown)
      }
      return lacks(known.get(key) ?? null, needs)
    },
    refusesForSure(call, body) {
      const needs = judged(call, body)
      if (needs === true || needs === null) return needs ?? false
      const listed = listedFor(call)
      return lacks(known.get(keyOf(call)) ?? (listed.length > 0 ? listed : null), needs)
    },
    wasWrong(call) {
      if (mistaken.size >= MODELS_MAX) mistaken.clear()
      mistaken.add(keyOf(call))
    },
  }
}
