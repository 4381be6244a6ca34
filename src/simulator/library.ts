/** The models and blobs on the simulated disk, found as Ollama finds them; it must never know what is loaded. */
import { canonicalOf, displayName, type ModelName, parseModelName } from '../domain/wire/model-name.ts'
import { type InstalledModel, install, type SimulatedModel } from './model.ts'
import type { Pulse } from './pulse.ts'

/** What a name in a request leads to. */
export type Lookup =
  | { readonly kind: 'found'; readonly model: InstalledModel }
  | { readonly kind: 'missing'; readonly name: ModelName }
  | { readonly kind: 'cloud'; readonly name: ModelName }
  | { readonly kind: 'empty' }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'invalid' }

export interface Library {
  /** Newest first, as /api/tags sorts. */
  list(): InstalledModel[]
  find(text: string): Lookup
  /** /api/embeddings alone compares the case too. */
  findExact(text: string): Lookup
  add(spec: SimulatedModel): InstalledModel
  remove(model: InstalledModel): void
  hasBlob(digest: string): boolean
  addBlob(digest: string): void
  /** Whether any cloud stub is installed. */
  hasStubs(): boolean
}

/** A library with `models` on its disk. */
export const createLibrary = (models: readonly SimulatedModel[], pulse: Pulse): Library => {
  const byName = new Map<string, InstalledModel>()
  const spellings = new Map<string, Lookup>()
  const blobs = new Set<string>()
  let stubs = false

  const add = (spec: SimulatedModel): InstalledModel => {
    const model = install(spec, pulse.now())
    byName.set(canonicalOf(model.parsed), model)
    blobs.add(`sha256:${model.weights}`)
    spellings.clear()
    stubs ||= spec.remoteHost !== undefined
    return model
  }
  for (const model of models) add(model)

  const lookUp = (text: string): Lookup => {
    const parsed = parseModelName(text)
    if (parsed.kind !== 'name') return parsed
    const model = byName.get(canonicalOf(parsed.name))
    // `:local` hides cloud stubs.
    if (model && !(parsed.forcedLocal && model.spec.remoteHost !== undefined)) return { kind: 'found', model }
    return { kind: parsed.source === 'cloud' ? 'cloud' : 'missing', name: parsed.name }
  }

  const find = (text: string): Lookup => {
    const known = spellings.get(text)
    if (known) return known
    const found = lookUp(text)
    // Callers repeat a handful of spellings; the bound keeps a hostile one from growing this.
    if (spellings.size > 1000) spellings.clear()
    spellings.set(text, found)
    return found
  }

  return {
    list: () => [...byName.values()].sort((a, b) => b.modifiedAtMs - a.modifiedAtMs),
    find,
    findExact(text) {
      const found = find(text)
      const parsed = parseModelName(text)
      if (found.kind !== 'found' || parsed.kind !== 'name' || displayName(parsed.name) === found.model.name)
        return found
      return { kind: 'missing', name: parsed.name }
    },
    add,
    remove(model) {
      byName.delete(canonicalOf(model.parsed))
      spellings.clear()
    },
    hasBlob: (digest) => blobs.has(digest),
    addBlob(digest) {
      blobs.add(digest)
    },
    hasStubs: () => stubs,
  }
}
