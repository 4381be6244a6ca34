/** Shares the tries out among receivers, so that those that hang or are down neither take them all nor cost anything; it must never wait. */

/** How a receiver took a try: it has it, it answered that it has not, or nothing was heard of it. */
export type Reaction = 'took' | 'declined' | 'silent'

/** All receivers (scheme, host and port) that something is under way to or that rest. Times are monotonic. */
export interface Lanes<T> {
  /** How many more of this receiver's there is room for. */
  room(origin: string, nowMs: number): number
  /** Keeps what a look found until it can be started; `hasMore`: the look left some behind. */
  shelve(origin: string, found: readonly T[], hasMore: boolean): void
  /** Keeps one before all others: the next of a job that has just been told something. */
  shelveFirst(origin: string, owed: T, nowMs: number): void
  /** The next to be started, one receiver after the other; it is under way from here on. */
  take(nowMs: number): { readonly origin: string; readonly owed: T } | null
  /** A try is over. */
  leave(origin: string, reaction: Reaction | 'aborted', nowMs: number): void
  /** There is room for what the last look left behind. */
  wantsMore(origin: string, nowMs: number): boolean
  /** Nothing is under way to it, and nothing kept. */
  isIdle(origin: string): boolean
  /** When the first of the receivers that rest may be asked again; null = none rests. Those whose rest is over take their turns again. */
  restsUntilMs(nowMs: number): number | null
  /** Forgets who has nothing under way and nothing left; to be called when all that is due has been shelved. */
  prune(nowMs: number): void
  /** Gives back what is kept and not started. */
  clear(): void
  kept(): readonly T[]
}

interface Lane<T> {
  readonly origin: string
  inFlight: number
  /** Tries at a time. */
  width: number
  shelf: T[]
  hasMore: boolean
  last: Reaction
  /** Reactions of the last kind in a row. */
  streak: number
  restsUntilMs: number
}

// A shelf is filled when half of it is gone, so that a look gives many tries and none waits for a look.
const SHELF_PER_WIDTH = 4
const REFILL_PER_WIDTH = 2
// One that cannot be reached is only asked whether it is there again. Below the pauses of the delivery that is asked with.
const SILENT_RESTS_MS = [800, 1_600, 3_200, 6_400, 12_800] as const
// One that answers and takes nothing (a proxy before an application that is down) is asked at most 10 times a second.
const DECLINED_REST_MAX_MS = 100

const restMs = (last: Exclude<Reaction, 'took'>, streak: number): number => {
  if (last === 'declined') return Math.min(2 ** (streak - 1), DECLINED_REST_MAX_MS)
  return SILENT_RESTS_MS[Math.min(streak, SILENT_RESTS_MS.length) - 1] ?? 0
}

/** Notes a reaction. Of several tries that fail together only the first counts, or a hiccup would mean the longest rest. */
const react = <T>(lane: Lane<T>, reaction: Reaction, widthMax: number, nowMs: number): void => {
  if (reaction === lane.last && nowMs < lane.restsUntilMs) return
  lane.streak = reaction === lane.last ? lane.streak + 1 : 1
  lane.last = reaction
  lane.width = reaction === 'took' ? Math.min(lane.width * 2, widthMax) : 1
  lane.restsUntilMs = reaction === 'took' ? 0 : nowMs + restMs(reaction, lane.streak)
}

const roomOf = <T>(lane: Lane<T> | undefined, nowMs: number): number => {
  if (lane === undefined) return SHELF_PER_WIDTH
  if (lane.restsUntilMs > nowMs || lane.shelf.length >= REFILL_PER_WIDTH * lane.width) return 0
  return SHELF_PER_WIDTH * lane.width - lane.shelf.length
}

/**
 * A receiver starts with one try at a time, earns twice as many with each answer up to `widthMax`, and falls back to one when a try
 * fails: 100 receivers that hang hold 100 tries and not 100 times `widthMax`. One that fails rests, whatever it is owed.
 */
class ReceiverLanes<T> implements Lanes<T> {
  readonly #widthMax: number
  readonly #lanes = new Map<string, Lane<T>>()
  // Those that have something to start and may, in the order of their turns.
  readonly #ready = new Set<Lane<T>>()

  constructor(widthMax: number) {
    this.#widthMax = widthMax
  }

  room(origin: string, nowMs: number): number {
    return roomOf(this.#lanes.get(origin), nowMs)
  }

  shelve(origin: string, found: readonly T[], hasMore: boolean): void {
    const lane = this.#laneOf(origin)
    lane.shelf.push(...found)
    lane.hasMore = hasMore
    this.#sort(lane)
  }

  shelveFirst(origin: string, owed: T, nowMs: number): void {
    const lane = this.#laneOf(origin)
    if (lane.restsUntilMs > nowMs) return
    lane.shelf.unshift(owed)
    this.#sort(lane)
  }

  take(nowMs: number): { origin: string; owed: T } | null {
    for (const lane of this.#ready) {
      this.#ready.delete(lane)
      if (lane.restsUntilMs > nowMs) continue
      const owed = lane.shelf.shift()
      if (owed === undefined) continue
      lane.inFlight++
      // To the end of the line, if it has more.
      this.#sort(lane)
      return { origin: lane.origin, owed }
    }
    return null
  }

  leave(origin: string, reaction: Reaction | 'aborted', nowMs: number): void {
    const lane = this.#lanes.get(origin)
    if (lane === undefined || lane.inFlight === 0) throw new Error(`nothing is under way to ${origin}`)
    lane.inFlight--
    if (reaction !== 'aborted') react(lane, reaction, this.#widthMax, nowMs)
    // What is owed to one that is not there need not be kept: it is found again.
    if (reaction === 'silent') lane.shelf = []
    this.#sort(lane)
  }

  wantsMore(origin: string, nowMs: number): boolean {
    const lane = this.#lanes.get(origin)
    return lane?.hasMore === true && roomOf(lane, nowMs) > 0
  }

  isIdle(origin: string): boolean {
    const lane = this.#lanes.get(origin)
    return lane === undefined || (lane.inFlight === 0 && lane.shelf.length === 0)
  }

  restsUntilMs(nowMs: number): number | null {
    let first: number | null = null
    for (const lane of this.#lanes.values()) {
      if (lane.restsUntilMs <= nowMs) this.#sort(lane)
      else if (first === null || lane.restsUntilMs < first) first = lane.restsUntilMs
    }
    return first
  }

  prune(nowMs: number): void {
    for (const [origin, { inFlight, shelf, restsUntilMs }] of this.#lanes)
      if (inFlight === 0 && shelf.length === 0 && restsUntilMs <= nowMs) this.#lanes.delete(origin)
  }

  clear(): void {
    for (const lane of this.#lanes.values()) lane.shelf = []
    this.#ready.clear()
  }

  kept(): T[] {
    return [...this.#lanes.values()].flatMap(({ shelf }) => shelf)
  }

  #laneOf(origin: string): Lane<T> {
    const known = this.#lanes.get(origin)
    if (known !== undefined) return known
    const calm = { inFlight: 0, width: 1, hasMore: false, last: 'took', streak: 0, restsUntilMs: 0 } as const
    const lane: Lane<T> = { origin, ...calm, shelf: [] }
    this.#lanes.set(origin, lane)
    return lane
  }

  #sort(lane: Lane<T>): void {
    if (lane.shelf.length > 0 && lane.inFlight < lane.width) this.#ready.add(lane)
    else this.#ready.delete(lane)
  }
}

/** The lanes of one courier, empty. */
export const createLanes = <T>(widthMax: number): Lanes<T> => new ReceiverLanes(widthMax)
