/** What the simulator counted, and waiting for a count; it must never poll and never hand out the live object. */

/** A snapshot of everything counted since start. */
export interface Counters {
  /** Requests that arrived, by path without query. */
  readonly requests: Readonly<Record<string, number>>
  /** Generations that got a slot of a runner. */
  readonly generationsStarted: number
  /** Generations that reached their own end: done, cut by a script, or crashed by a script. */
  readonly generationsFinished: number
  /** Generations that ended early because their client left or a fault cut the connection. */
  readonly generationsAborted: number
  /** Times a generation request arrived while another one was still open: with NUM_PARALLEL=1 foreman must keep this 0. */
  readonly overlaps: number
  /** Runners unloaded to make room for another model or to reload with other options. */
  readonly swaps: number
  /** Loads begun, aborted and failed ones included. */
  readonly loads: number
  /** Times the line began to wait for an idle model that nobody will unload: Ollama's deadlock. */
  readonly wedges: number
  /** Whether it waits like that right now: 0 or 1 (gauge). */
  readonly wedged: number
  /** Requests whose client left before the answer was complete, whatever they were waiting for. */
  readonly aborts: number
  /** Generation requests open right now (gauge). */
  readonly open: number
  /** The most that were ever open together. */
  readonly openMax: number
  /** TCP connections open right now (gauge). */
  readonly connections: number
  /** How often the model really worked on a prompt that carried `[[id=xyz]]`, by xyz. */
  readonly executions: Readonly<Record<string, number>>
}

type Mutable = { -readonly [K in keyof Counters]: Counters[K] extends number ? number : Record<string, number> }
type NumberKey = { [K in keyof Counters]: Counters[K] extends number ? K : never }[keyof Counters]
type MapKey = Exclude<keyof Counters, NumberKey>

/** The writing side of the counters. */
export interface Tally {
  add(key: NumberKey, by?: number): void
  addTo(key: MapKey, label: string): void
  snapshot(): Counters
  open(): number
  /** Resolves as soon as a change makes `predicate` true, or at once when it already is. */
  waitFor(predicate: (counters: Counters) => boolean): Promise<void>
}

interface Waiter {
  predicate: (counters: Counters) => boolean
  resolve: () => void
  reject: (reason: unknown) => void
}

/** Starts counting from zero. */
export const createTally = (): Tally => {
  const live: Mutable = {
    requests: {},
    generationsStarted: 0,
    generationsFinished: 0,
    generationsAborted: 0,
    overlaps: 0,
    swaps: 0,
    loads: 0,
    wedges: 0,
    wedged: 0,
    aborts: 0,
    open: 0,
    openMax: 0,
    connections: 0,
    executions: {},
  }
  const waiters = new Set<Waiter>()
  const snapshot = (): Counters => ({ ...live, requests: { ...live.requests }, executions: { ...live.executions } })

  const announce = () => {
    if (waiters.size === 0) return
    const now = snapshot()
    for (const waiter of waiters) {
      try {
        if (!waiter.predicate(now)) continue
        waiter.resolve()
      } catch (error) {
        // A throwing predicate is the caller's bug and belongs to the caller's promise, not to the request at hand.
        waiter.reject(error)
      }
      waiters.delete(waiter)
    }
  }

  return {
    add(key, by = 1) {
      live[key] += by
      if (live.open > live.openMax) live.openMax = live.open
      announce()
    },
    addTo(key, label) {
      const map = live[key]
      map[label] = (map[label] ?? 0) + 1
      announce()
    },
    snapshot,
    open: () => live.open,
    waitFor: (predicate) =>
      new Promise((resolve, reject) => {
        waiters.add({ predicate, resolve, reject })
        announce()
      }),
  }
}
