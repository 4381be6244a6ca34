/** What loads take, by residency key: near the longest of the last ones, because whoever asks wants to know whether a load is too long. */
import { residencyKey } from '../domain/wire/residency.ts'

export interface LoadTimes {
  took(key: string, ms: number): void
  /** What the load of a model takes with these options, or without any; null = nobody knows. */
  usual(model: string, key?: string): number | null
}

// A short load says little about a long one: a disk that was warm, a model that was half there.
const WEIGHT = 0.1
const KEYS_MAX = 200

/** Nothing is known; what was silent longest is forgotten when there are too many. */
export const createLoadTimes = (): LoadTimes => {
  const times = new Map<string, number>()
  return {
    took(key, ms) {
      const before = times.get(key) ?? ms
      times.delete(key)
      times.set(key, Math.max(ms, before + WEIGHT * (ms - before)))
      const [oldest] = times.keys()
      if (times.size > KEYS_MAX && oldest !== undefined) times.delete(oldest)
    },
    usual: (model, key = model) =>
      times.get(key) ?? times.get(residencyKey(model, { options: {}, shift: undefined })) ?? null,
  }
}
