/** Settings that say something for each model: one value for all, or `model=value` pairs with an optional `*=value` for the others. */
import type { Parsed } from '../duration.ts'
import { canonicalName } from './model-name.ts'

/** What holds for which model, by canonical name. `rest` is for every model not named; null says nothing about them. */
export interface ModelPairs<T> {
  readonly models: ReadonlyMap<string, T>
  readonly rest: T | null
}

const bad = (problem: string): Parsed<never> => ({ kind: 'bad', problem })

/** `example` completes the sentence "… is not a pair such as …". */
export const parseModelPairs = <T>(
  text: string,
  parseValue: (text: string) => Parsed<T>,
  example: string,
): Parsed<ModelPairs<T>> => {
  const models = new Map<string, T>()
  let rest: T | null = null
  const parts = text.split(',').map((part) => part.trim())
  if (parts.length === 1 && !text.includes('=')) {
    const only = parseValue(text.trim())
    return only.kind === 'ok' ? { kind: 'ok', value: { models, rest: only.value } } : only
  }
  for (const part of parts) {
    const cut = part.lastIndexOf('=')
    if (cut < 1) return bad(`"${part}" is not a pair such as ${example}`)
    const name = part.slice(0, cut).trim()
    const value = parseValue(part.slice(cut + 1).trim())
    if (value.kind === 'bad') return value
    if (name === '*') {
      if (rest !== null) return bad('"*" is given twice')
      rest = value.value
      continue
    }
    const canonical = canonicalName(name)
    if (canonical === null) return bad(`"${name}" is not a model name`)
    if (models.has(canonical)) return bad(`"${name}" is given twice`)
    models.set(canonical, value.value)
  }
  return { kind: 'ok', value: { models, rest } }
}

/** What holds for this model, or null. */
export const valueFor = <T>({ models, rest }: ModelPairs<T>, canonicalModel: string): T | null =>
  models.get(canonicalModel) ?? rest
