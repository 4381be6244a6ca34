/** Answers of the target that were heard before, bounded in number and bytes; it must never give one whose reason to be true is gone. */

export interface Remembered {
  readonly contentType: string
  readonly bytes: Uint8Array
  /** Milliseconds of the clock when it was heard. */
  readonly at: number
  /** What must still be so for it to hold: a digest, a list. */
  readonly holds: unknown
}

export interface Memory {
  keep(key: string, remembered: Remembered): void
  /** Null when it was never heard, or `holds` is another now: then it is forgotten. */
  find(key: string, holds: unknown): Remembered | null
  readonly bytes: number
}

export interface MemoryBounds {
  readonly entriesMax: number
  readonly bytesMax: number
}

/** What has not been used for longest goes first. */
export const createMemory = ({ entriesMax, bytesMax }: MemoryBounds): Memory => {
  const entries = new Map<string, Remembered>()
  let bytes = 0
  const costOf = (key: string, remembered: Remembered) => key.length + remembered.bytes.length
  const drop = (key: string) => {
    const dropped = entries.get(key)
    if (dropped === undefined) return
    entries.delete(key)
    bytes -= costOf(key, dropped)
  }
  return {
    keep(key, remembered) {
      drop(key)
      if (costOf(key, remembered) > bytesMax) return
      entries.set(key, remembered)
      bytes += costOf(key, remembered)
      for (const oldest of entries.keys()) {
        if (entries.size <= entriesMax && bytes <= bytesMax) break
        drop(oldest)
      }
    },
    find(key, holds) {
      const found = entries.get(key)
      if (found === undefined) return null
      if (found.holds !== holds) {
        drop(key)
        return null
      }
      entries.delete(key)
      entries.set(key, found)
      return found
    },
    get bytes() {
      return bytes
    },
  }
}
