/** How long a model stays loaded: the configured policy and a caller's own value; it must never rewrite what a caller sent. */
import { type Parsed, parseDurationMs, parseGoDurationMs } from '../duration.ts'
import { type ModelPairs, parseModelPairs, valueFor } from './model-pairs.ts'

/** A keep-alive as the JSON literal that goes to Ollama: `-1` and `300` are numbers there, `"10m"` is a string. */
export interface KeepAlive {
  readonly json: string
}

/** What to send for which model; null leaves the choice to Ollama. */
export type KeepAlivePolicy = ModelPairs<KeepAlive>

/** A caller's `keep_alive` as Ollama understands it; `invalid` carries Ollama's own words for its 400. */
export type CallerKeepAlive =
  | { readonly kind: 'absent' }
  | { readonly kind: 'forever' }
  | { readonly kind: 'duration'; readonly ms: number }
  | { readonly kind: 'invalid'; readonly message: string }

/** One value for all models (`-1`, `10m`), or `model=value` pairs with an optional `*=value` for the others. */
export const parseKeepAlivePolicy = (text: string): Parsed<KeepAlivePolicy> =>
  parseModelPairs(text, parseValue, 'llama3.2=10m or *=-1')

/** What to put on a call for this model, or null when the policy has nothing to say about it. */
export const keepAliveFor = (policy: KeepAlivePolicy, canonicalModelName: string): KeepAlive | null =>
  valueFor(policy, canonicalModelName)

/** Reads a decoded JSON `keep_alive` as Ollama does: numbers are seconds, strings are Go durations, negative is forever. */
export const parseCallerKeepAlive = (value: unknown): CallerKeepAlive => {
  if (value === undefined || value === null) return { kind: 'absent' }
  if (typeof value === 'number') {
    if (value < 0) return { kind: 'forever' }
    return { kind: 'duration', ms: Math.trunc(value * 1e9) / 1e6 }
  }
  if (typeof value === 'string') {
    const parsed = parseGoDurationMs(value)
    if (parsed.kind === 'bad') return { kind: 'invalid', message: parsed.problem }
    return parsed.value < 0 ? { kind: 'forever' } : { kind: 'duration', ms: parsed.value }
  }
  const type = typeof value === 'boolean' ? 'bool' : Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}'
  return { kind: 'invalid', message: `Unsupported type: '${type}'` }
}

/** True for the keep-alive of the unload idiom: `0`, `"0"`, `"0s"`; false when the caller sent none or an invalid one. */
export const isZeroKeepAlive = (value: unknown): boolean => {
  const parsed = parseCallerKeepAlive(value)
  return parsed.kind === 'duration' && parsed.ms === 0
}

/** Bare numbers become JSON numbers because Ollama answers 400 to the strings "-1" and "300". */
const parseValue = (text: string): Parsed<KeepAlive> => {
  const trimmed = text.trim()
  const parsed = parseDurationMs(trimmed)
  if (parsed.kind === 'bad') return bad(`"${trimmed}" is not a keep-alive such as -1, 0, 300 or 10m`)
  if (parsed.value < 0) return { kind: 'ok', value: { json: '-1' } }
  if (parsed.value === 0) return { kind: 'ok', value: { json: '0' } }
  const isBare = /^\+?[\d.]+$/.test(trimmed)
  return { kind: 'ok', value: { json: isBare ? String(Number(trimmed)) : JSON.stringify(trimmed) } }
}

const bad = (problem: string): Parsed<never> => ({ kind: 'bad', problem })
