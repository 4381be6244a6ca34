/** What the target holds in memory as far as foreman knows: its own loads and /api/ps; it must never ask by itself. */
import type { ResidentModel } from '../domain/wire/inventory.ts'
import { modelOfKey } from '../domain/wire/residency.ts'

export interface Residency {
  /** Keys that foreman loaded itself and that nothing has pushed out since: their jobs need no load. */
  readonly loadedKeys: readonly string[]
  /**
   * Keys whose jobs cost no swap: the loaded ones, and models that somebody else loaded, by their plain name. With which options
   * those were loaded cannot be seen; a job that asks for the default is the likeliest to fit.
   */
  readonly residentKeys: readonly string[]
  /** As the last answer of /api/ps listed them. */
  readonly residents: readonly ResidentModel[]
  /** Whether the target has shown that it holds this model beside another one, and not pushed it out since. */
  isBeside(canonicalModel: string): boolean
  /** Grows with every load and unload that foreman knows of: an answer that was asked for before is no news. */
  readonly version: number
  /** A load of `key` begins: whatever was loaded may be on its way out, and is not believed in before a list says that it is still there. */
  loading(key: string): void
  /** `key` is loaded. Without a fresh list nothing else is believed to be there still. */
  loaded(key: string, residents: readonly ResidentModel[] | null): void
  /** /api/ps said so at a moment when foreman loaded nothing. */
  seen(residents: readonly ResidentModel[]): void
  /** Somebody unloaded this model. */
  forget(canonicalModel: string): void
  /** A target that went away, or whose runner crashed, may hold nothing. */
  clear(): void
}

/** Nothing is known to be loaded. */
export const createResidency = (): Residency => {
  const loaded = new Map<string, string>()
  // What was loaded before the load in progress.
  let doubtful = new Map<string, string>()
  let residents: readonly ResidentModel[] = []
  let loadedKeys: readonly string[] = []
  let residentKeys: readonly string[] = []
  let version = 0
  const beside = new Set<string>()

  /** What a list shows about room: who stands in it together, and who has been pushed out by another one. */
  const note = (there: readonly ResidentModel[]) => {
    const names = new Set(there.map(({ canonical }) => canonical))
    for (const { canonical } of residents) if (!names.has(canonical) && names.size > 0) beside.delete(canonical)
    if (names.size > 1) for (const name of names) beside.add(name)
    residents = there
  }

  /** Kept ready: every claim asks for them. */
  const changed = () => {
    version++
    loadedKeys = [...loaded.values()]
    const others = residents.map(({ canonical }) => canonical).filter((canonical) => !loaded.has(canonical))
    residentKeys = [...loadedKeys, ...others]
  }
  return {
    get loadedKeys() {
      return loadedKeys
    },
    get residentKeys() {
      return residentKeys
    },
    get residents() {
      return residents
    },
    get version() {
      return version
    },
    isBeside: (canonicalModel) => beside.has(canonicalModel),
    loading(key) {
      const model = modelOfKey(key)
      for (const [name, before] of loaded) if (name !== model) doubtful.set(name, before)
      doubtful.delete(model)
      loaded.clear()
      residents = residents.filter(({ canonical }) => canonical !== model)
      changed()
    },
    loaded(key, there) {
      const model = modelOfKey(key)
      const names = new Set(there?.map(({ canonical }) => canonical))
      for (const [name, before] of doubtful) loaded.set(name, before)
      doubtful = new Map()
      for (const name of [...loaded.keys()]) if (!names.has(name)) loaded.delete(name)
      note(there ?? [])
      loaded.set(model, key)
      changed()
    },
    seen(there) {
      const names = new Set(there.map(({ canonical }) => canonical))
      for (const model of [...loaded.keys()]) if (!names.has(model)) loaded.delete(model)
      // After a load that came to nothing: with which options it is there now nobody knows.
      doubtful = new Map()
      note(there)
      changed()
    },
    forget(canonicalModel) {
      loaded.delete(canonicalModel)
      doubtful.delete(canonicalModel)
      residents = residents.filter(({ canonical }) => canonical !== canonicalModel)
      changed()
    },
    clear() {
      loaded.clear()
      doubtful.clear()
      residents = []
      changed()
    },
  }
}
