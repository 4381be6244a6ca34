/** How many wait in the table and in memory, whose rows are on their way, and when the first backoff ends: kept beside the table, because counting it at every submit would cost 0.5 ms. */

/** What is known of the waiting rows without a look at them. */
export interface WaitingRows {
  /** Those on their way into the table included. */
  readonly size: number
  /** When the first backoff ends at the earliest; null = nobody backs off. */
  readonly ripeAt: number | null
  recount(stored: { readonly queued: number; readonly nextDueAt: number | null }): void
  came(rows: number): void
  went(): void
  /** One backs off until then. */
  backsOff(until: number): void
  ripened(nextDueAt: number | null): void
  isArriving(residencyKey: string): boolean
  /** Counts a row in while it is written; it stays counted when it was `taken`. */
  arrive<T>(residencyKey: string, write: () => Promise<T>, taken: (written: T) => boolean): Promise<T>
}

/** Nothing is known before `recount`. */
export const createWaitingRows = (): WaitingRows => {
  let size = 0
  let ripeAt: number | null = null
  const arriving = new Map<string, number>()
  return {
    get size() {
      return size
    },
    get ripeAt() {
      return ripeAt
    },
    recount({ queued, nextDueAt }) {
      size = queued
      ripeAt = nextDueAt
    },
    came(rows) {
      size += rows
    },
    went() {
      size--
    },
    backsOff(until) {
      ripeAt = ripeAt === null ? until : Math.min(ripeAt, until)
    },
    ripened(nextDueAt) {
      ripeAt = nextDueAt
    },
    isArriving: (residencyKey) => arriving.has(residencyKey),
    async arrive(residencyKey, write, taken) {
      size++
      arriving.set(residencyKey, (arriving.get(residencyKey) ?? 0) + 1)
      let isTaken = false
      try {
        const written = await write()
        isTaken = taken(written)
        return written
      } finally {
        if (!isTaken) size--
        const rows = (arriving.get(residencyKey) ?? 0) - 1
        if (rows === 0) arriving.delete(residencyKey)
        else arriving.set(residencyKey, rows)
      }
    },
  }
}
