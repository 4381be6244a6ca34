/** Which model of the fallback stands in for which of the target's; one that is not named has none, and nothing is guessed. */
import type { Parsed } from '../../domain/duration.ts'
import { bad, ok } from '../../domain/readers.ts'
import { canonicalName } from '../../domain/wire/model-name.ts'

/** `same`: by the name that the caller wrote. `none`: nothing stands in for it. */
export type Substitute =
  | { readonly kind: 'same' }
  | { readonly kind: 'none' }
  | { readonly kind: 'named'; readonly name: string }

export interface ModelMap {
  readonly models: ReadonlyMap<string, Substitute>
  /** For every model that is not named. */
  readonly rest: Substitute
}

const none: Substitute = { kind: 'none' }

const substituteOf = (text: string): Substitute | null => {
  if (text === 'same') return { kind: 'same' }
  if (text === 'none') return none
  return canonicalName(text) === null ? null : { kind: 'named', name: text }
}

/** `model=other,model=same,*=none`. */
export const parseModelMap = (text: string): Parsed<ModelMap> => {
  const models = new Map<string, Substitute>()
  let rest: Substitute | null = null
  for (const pair of text === '' ? [] : text.split(',').map((one) => one.trim())) {
    const cut = pair.indexOf('=')
    const name = pair.slice(0, Math.max(0, cut)).trim()
    const substitute = cut < 1 ? null : substituteOf(pair.slice(cut + 1).trim())
    if (substitute === null) return bad(`"${pair}" is not a pair such as qwen3:14b=llama3.2:3b or *=same`)
    const canonical = name === '*' ? '*' : canonicalName(name)
    if (canonical === null) return bad(`"${name}" is not a model name`)
    if (name === '*' ? rest !== null : models.has(canonical)) return bad(`"${name}" is given twice`)
    if (name === '*') rest = substitute
    else models.set(canonical, substitute)
  }
  return ok({ models, rest: rest ?? none })
}

export const substituteFor = ({ models, rest }: ModelMap, canonicalModel: string): Substitute =>
  models.get(canonicalModel) ?? rest
