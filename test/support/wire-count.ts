/** Counts what happened on a socket and wakes whoever waits for it; tests await this instead of sleeping. */

/** Counts something, and tells when it has happened often enough. */
export interface WireCount {
  readonly value: number
  reached(count: number): Promise<void>
}

/** A count that starts at zero; `add` is for whoever owns it. */
export const createCount = (): WireCount & { add(): void } => {
  let value = 0
  let waiting: { count: number; resolve: () => void }[] = []
  return {
    get value() {
      return value
    },
    add: () => {
      value++
      for (const waiter of waiting) if (waiter.count <= value) waiter.resolve()
      waiting = waiting.filter((waiter) => waiter.count > value)
    },
    reached: (count) =>
      value >= count
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push({ count, resolve })
          }),
  }
}
