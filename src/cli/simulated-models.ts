/** The models that `foreman simulate --models` names; it must never know what a simulator does with them. */
import { parseSizeBytes } from '../domain/duration.ts'
import { oneSlotFamilies } from '../domain/wire/families.ts'
import { parseModelName } from '../domain/wire/model-name.ts'
import { defaultModels, type SimulatedModel } from '../simulator/simulator.ts'

const FAMILY = /^[a-z][a-z0-9_-]{0,39}$/

const baseOf = (name: string): string => name.split(':')[0] ?? name

/** The family that a real model of this name has, where it matters: `qwen3-vl:8b` is of qwen3vl. */
const familyOf = (name: string): string | undefined => {
  const squeezed = baseOf(name)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
  return [...oneSlotFamilies]
    .filter((family) => squeezed.startsWith(family.replaceAll('_', '')))
    .sort((a, b) => b.length - a.length)[0]
}

/** One model of the list: `tiny`, `big:70b=40GiB`, `vl=4GiB:qwen3vl`. */
const readModel = (part: string): SimulatedModel | undefined => {
  const [name = '', details, ...more] = part.trim().split('=')
  const [size = '', family, ...rest] = (details ?? '').split(':')
  if (parseModelName(name).kind !== 'name' || more.length > 0 || rest.length > 0) return undefined
  if (details === '' || (family !== undefined && !FAMILY.test(family))) return undefined
  const bytes = size === '' ? undefined : parseSizeBytes(size)
  if (bytes?.kind === 'bad') return undefined
  const known = defaultModels.find((model) => baseOf(model.name) === baseOf(name))
  const isEmbedder = /embed|minilm|bge/i.test(name)
  const itsFamily = family ?? known?.family ?? familyOf(name)
  return {
    ...(known ?? (isEmbedder ? { capabilities: ['embedding'] as const } : {})),
    name,
    ...(bytes ? { sizeBytes: bytes.value } : {}),
    ...(itsFamily === undefined ? {} : { family: itsFamily }),
  }
}

/** Model names contain colons, so their details follow an equals sign. A known name keeps its known details. */
export const readModels = (text: string): readonly SimulatedModel[] | undefined => {
  const models = text.split(',').map(readModel)
  return models.every((model) => model !== undefined) ? models : undefined
}
