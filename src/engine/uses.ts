/** Which models are in use, by whom; it counts and must never decide. */

/** Who a request is for: a job on a slot, or a call that went past the queue. */
export type Way = 'job' | 'past'

/** How many have begun since the start, and whether one is open now. */
export interface Calls {
  readonly begun: number
  readonly isOpen: boolean
}

/** Counts of requests on their way, by model. */
export const createUses = () => {
  const uses = new Map<string, Record<Way, number>>()
  let begun = 0
  return {
    begin(way: Way, model: string) {
      begun++
      const use = uses.get(model)
      if (use === undefined) uses.set(model, { job: 0, past: 0, [way]: 1 })
      else use[way]++
    },
    end(way: Way, model: string) {
      const use = uses.get(model)
      if (use === undefined) return
      use[way]--
      if (use.job + use.past === 0) uses.delete(model)
    },
    calls: (): Calls => ({ begun, isOpen: uses.size > 0 }),
    has: (way: Way, model: string) => (uses.get(model)?.[way] ?? 0) > 0,
  }
}
