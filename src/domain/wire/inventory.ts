/** What the target has installed and what it holds in memory, as its last answers said; it must never ask by itself. */
import { nearest } from '../nearest.ts'
import { canonicalName } from './model-name.ts'

export interface InstalledModel {
  /** As /api/tags prints it. */
  readonly name: string
  /** The model runs elsewhere (a stub): nothing is loaded here. */
  readonly remote: boolean
  /** Of the manifest; empty when the target does not say. */
  readonly digest: string
  readonly families: readonly string[]
  /** `completion`, `embedding`, `tools`, …; empty when the target does not say. */
  readonly capabilities: readonly string[]
}

/** Installed models by canonical name. */
export type Inventory = ReadonlyMap<string, InstalledModel>

export interface ResidentModel {
  readonly name: string
  readonly canonical: string
  readonly contextLength: number | null
  /** RFC 3339, as the target prints it. */
  readonly expiresAt: string | null
  /** What it takes, and how much of that is video memory; null where the target does not say. */
  readonly sizeBytes: number | null
  readonly vramBytes: number | null
}

const modelsOf = (body: unknown): Record<string, unknown>[] | null => {
  if (typeof body !== 'object' || body === null || !('models' in body)) return null
  // Go encodes an empty list as null on some versions.
  if (body.models === null) return []
  if (!Array.isArray(body.models)) return null
  return body.models.filter((m: unknown): m is Record<string, unknown> => typeof m === 'object' && m !== null)
}

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []

const installedFrom = (name: string, model: Record<string, unknown>): InstalledModel => {
  const details: unknown = model['details']
  const { family, families } = Object(details) as { family?: unknown; families?: unknown }
  return {
    name,
    remote: Boolean(model['remote_host'] || model['remote_model']),
    digest: typeof model['digest'] === 'string' ? model['digest'] : '',
    families: [...new Set([...textsOf([family]), ...textsOf(families)])],
    capabilities: textsOf(model['capabilities']),
  }
}

/** Reads an answer of /api/tags, or null when it is none. */
export const inventoryFrom = (tags: unknown): Inventory | null => {
  const models = modelsOf(tags)
  if (models === null) return null
  const inventory = new Map<string, InstalledModel>()
  for (const model of models) {
    const name = typeof model['name'] === 'string' ? model['name'] : ''
    const canonical = canonicalName(name)
    if (canonical !== null) inventory.set(canonical, installedFrom(name, model))
  }
  return inventory
}

/** The installed model that was probably meant: another size of the same name, else the nearest spelling; null when nothing is close. */
export const installedLike = (inventory: Inventory, name: string): string | null => {
  const names = [...inventory.values()].map((model) => model.name)
  const baseOf = (one: string) => one.toLowerCase().split(':')[0] ?? ''
  const ofBase = (base: string | null) => names.find((one) => baseOf(one) === base) ?? null
  // A tag such as :latest is longer than a typo, so names are compared with and without theirs.
  return ofBase(baseOf(name)) ?? nearest(name, names) ?? ofBase(nearest(baseOf(name), names.map(baseOf)))
}

/** Reads an answer of /api/ps, or null when it is none. */
export const residentsFrom = (ps: unknown): ResidentModel[] | null => {
  const models = modelsOf(ps)
  if (models === null) return null
  return models.flatMap((model) => {
    const name = typeof model['name'] === 'string' ? model['name'] : ''
    const canonical = canonicalName(name)
    if (canonical === null) return []
    const contextLength = typeof model['context_length'] === 'number' ? model['context_length'] : null
    const bytesOf = (member: string) => (typeof model[member] === 'number' ? model[member] : null)
    const expiresAt = typeof model['expires_at'] === 'string' ? model['expires_at'] : null
    return [{ name, canonical, contextLength, expiresAt, sizeBytes: bytesOf('size'), vramBytes: bytesOf('size_vram') }]
  })
}

/** Nothing is left where several were: a disk that is not mounted, not somebody who cleared up. */
export const isEmptied = (before: Inventory, now: Inventory): boolean => before.size > 1 && now.size === 0

/** What to say of a target that is emptied. */
export const emptiedWords = (origin: string | undefined, before: Inventory): string =>
  `${origin ?? 'the target'} lists no models where it had ${before.size}: is their disk mounted?`
