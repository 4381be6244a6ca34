/** The calls that wait for their first attempt: their clients, bodies and places are in memory, and they have no row before they are claimed; it must never write (ADR 0025). */
import type { Ahead } from '../domain/job/reading.ts'

/** A call in the line. */
export interface WaitingCall {
  /** Its place in the one order of calls and rows. */
  readonly seq: number
  readonly id: string
  readonly endpoint: string
  readonly model: string
  readonly residencyKey: string
  readonly maxAttempts: number
  readonly createdAt: number
}

export interface Calls {
  readonly size: number
  /** At the end: numbers only grow. */
  add(call: WaitingCall): void
  /** Out of the line, wherever it stands; false when it does not. */
  remove(id: string): boolean
  find(id: string): WaitingCall | null
  oldest(): WaitingCall | null
  oldestOf(residencyKey: string): WaitingCall | null
  /** From the newest back. */
  newest(): IterableIterator<WaitingCall>
  /** How many stand before this place. */
  below(seq: number): Ahead
}

/** A link of two chains: of all calls, and of those with its key. A Map would walk over all that have left its front. */
interface Link {
  readonly call: WaitingCall
  readonly all: Ends
  readonly own: Ends
}

interface Ends {
  before: Link | null
  after: Link | null
}

type Side = 'all' | 'own'

/** The first and the last of a chain. */
class Chain {
  first: Link | null = null
  last: Link | null = null
  length = 0
  readonly #side: Side

  constructor(side: Side) {
    this.#side = side
  }

  append(link: Link): void {
    link[this.#side].before = this.last
    if (this.last === null) this.first = link
    else this.last[this.#side].after = link
    this.last = link
    this.length++
  }

  drop(link: Link): void {
    const { before, after } = link[this.#side]
    if (before === null) this.first = after
    else before[this.#side].after = after
    if (after === null) this.last = before
    else after[this.#side].before = before
    this.length--
  }
}

const ends = (): Ends => ({ before: null, after: null })

/** A line of nobody. */
export const createCalls = (): Calls => {
  const links = new Map<string, Link>()
  const all = new Chain('all')
  const byKey = new Map<string, Chain>()

  const newest = function* () {
    for (let link = all.last; link !== null; link = link.all.before) yield link.call
  }

  return {
    get size() {
      return all.length
    },
    add(call) {
      const link: Link = { call, all: ends(), own: ends() }
      links.set(call.id, link)
      all.append(link)
      const own = byKey.get(call.residencyKey) ?? new Chain('own')
      if (own.length === 0) byKey.set(call.residencyKey, own)
      own.append(link)
    },
    remove(id) {
      const link = links.get(id)
      if (link === undefined) return false
      links.delete(id)
      all.drop(link)
      const own = byKey.get(link.call.residencyKey)
      own?.drop(link)
      if (own?.length === 0) byKey.delete(link.call.residencyKey)
      return true
    },
    find: (id) => links.get(id)?.call ?? null,
    oldest: () => all.first?.call ?? null,
    oldestOf: (residencyKey) => byKey.get(residencyKey)?.first?.call ?? null,
    newest,
    below(seq) {
      const jobs = new Map([...byKey].map(([key, { length }]) => [key, length]))
      let total = all.length
      // Whoever asks is mostly new: few have come after it.
      for (const { seq: at, residencyKey } of newest()) {
        if (at < seq) break
        jobs.set(residencyKey, (jobs.get(residencyKey) ?? 0) - 1)
        total--
      }
      for (const [key, left] of jobs) if (left === 0) jobs.delete(key)
      return { total, byKey: jobs }
    },
  }
}
