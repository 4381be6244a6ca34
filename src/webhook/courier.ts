/** Carries what the outbox owes to its receivers, many at a time; it must never lose a delivery nor let a slow receiver hold up another. */
import { createLoop } from '../loop/loop.ts'
import { createFlights, type FlightDeps } from './flight.ts'
import { createLanes, type Lanes } from './lanes.ts'
import type { Outbox, Owed } from './outbox.ts'
import { reactionOf } from './verdict.ts'

export type CourierDeps<T extends Owed> = FlightDeps<T>

export interface Courier {
  start(): void
  /** Something new is owed. */
  nudge(): void
  /** Starts nothing more and lets what is under way end within the grace; the rest is given up and stays owed. Every caller waits. */
  stop(graceMs: number): Promise<void>
}

const IN_FLIGHT_MAX = 256
const PER_ORIGIN_MAX = 8
// The machine may sleep meanwhile, which no timer counts.
const SLEEP_MAX_MS = 60_000
// Every transition asks for a look, and beside 100 receivers that hang most find nothing: the next comes after 50 times as long
// as the last took, so that looking takes about a fiftieth of the event loop.
const REST_PER_LOOK = 50
// One slow look (a busy disk, a pause of the machine) is no reason for a long rest.
const REST_MAX_MS = 250

/** Asks the outbox, and not too often: `look` says in how many milliseconds it wants to be asked again. */
const createLookout = <T extends Owed>(
  { outbox, clock }: Pick<CourierDeps<T>, 'outbox' | 'clock'>,
  lanes: Lanes<T>,
  inFlight: ReadonlyMap<number, unknown>,
) => {
  let restsUntilMs = Number.NEGATIVE_INFINITY
  /** A receiver waits for what the last look left behind: that look was worth its while. */
  let isUrgent = false

  const ask = (nowMs: number): ReturnType<Outbox<T>['look']> => {
    const busy = new Set(inFlight.keys())
    for (const { deliveryId } of lanes.kept()) busy.add(deliveryId)
    try {
      return outbox.look({ now: clock.now(), room: (origin) => lanes.room(origin, nowMs), busy })
    } finally {
      const endedMs = clock.monotonicMs()
      restsUntilMs = endedMs + Math.min((endedMs - nowMs) * REST_PER_LOOK, REST_MAX_MS)
    }
  }

  return {
    hurry() {
      isUrgent = true
    },
    /** A receiver has been told all that was found: what it is owed next need not wait for a look. */
    rested() {
      restsUntilMs = Number.NEGATIVE_INFINITY
    },
    look(nowMs: number): number {
      if (!isUrgent && nowMs < restsUntilMs) return restsUntilMs - nowMs
      // With every place taken there is nothing to look for; the first that comes free asks again.
      if (inFlight.size >= IN_FLIGHT_MAX) return SLEEP_MAX_MS
      isUrgent = false
      const { lanes: found, nextDueAt, isPartial } = ask(nowMs)
      for (const { origin, due, hasMore } of found) lanes.shelve(origin, due, hasMore)
      if (isPartial) return restsUntilMs - nowMs
      lanes.prune(nowMs)
      return nextDueAt === null ? SLEEP_MAX_MS : Math.min(Math.max(nextDueAt - clock.now(), 1), SLEEP_MAX_MS)
    },
  }
}

/** The courier of one outbox. */
export const createCourier = <T extends Owed>(deps: CourierDeps<T>): Courier => {
  const { clock, emit } = deps
  const lanes = createLanes<T>(PER_ORIGIN_MAX)
  const inFlight = new Map<number, Promise<void>>()
  const { fly } = createFlights(deps)
  const lookout = createLookout(deps, lanes, inFlight)
  let isRunning = false
  let halt = new AbortController()

  const failed = (error: unknown) => emit({ event: 'loop_failed', loop: 'courier', error })

  const startAll = () => {
    while (isRunning && inFlight.size < IN_FLIGHT_MAX) {
      const next = lanes.take(clock.monotonicMs())
      if (next === null) return
      const { deliveryId } = next.owed
      const landed = carry(next.origin, next.owed, halt.signal).catch((error: unknown) => {
        inFlight.delete(deliveryId)
        failed(error)
      })
      inFlight.set(deliveryId, landed)
    }
  }

  /** A place is free: it goes to what is kept already; the loop hears of it where that is not all. */
  const goOn = (origin: string, isOver: boolean) => {
    const wasFull = inFlight.size >= IN_FLIGHT_MAX - 1
    startAll()
    if (isOver) lookout.rested()
    const isWanted = wasFull || lanes.wantsMore(origin, clock.monotonicMs())
    if (isWanted) lookout.hurry()
    if (isWanted || isOver) loop.nudge()
  }

  const carry = async (origin: string, owed: T, signal: AbortSignal) => {
    const { outcome, settle } = await fly(owed, signal)
    const reaction = reactionOf(outcome)
    lanes.leave(origin, reaction, clock.monotonicMs())
    // The lane is free from here on; the id stays taken until the outbox knows.
    goOn(origin, false)
    const next = await settle()
    inFlight.delete(owed.deliveryId)
    if (next !== null && isRunning) lanes.shelveFirst(origin, next, clock.monotonicMs())
    // One that failed is due at another time, and of one that is done with only a look tells when it is owed something again.
    goOn(origin, reaction !== 'took' || lanes.isIdle(origin))
  }

  const body = async (): Promise<number> => {
    // One moment for both: a receiver whose rest ended between them would be passed over by the one and not waited for by the other.
    const nowMs = clock.monotonicMs()
    const dueInMs = lookout.look(nowMs)
    const restsUntilMs = lanes.restsUntilMs(nowMs)
    startAll()
    return restsUntilMs === null ? dueInMs : Math.min(dueInMs, Math.max(restsUntilMs - nowMs, 1))
  }

  const loop = createLoop({ name: 'courier', clock, body, failed })

  return {
    nudge: loop.nudge,
    start() {
      if (isRunning) return
      isRunning = true
      halt = new AbortController()
      loop.start()
    },
    async stop(graceMs) {
      isRunning = false
      lanes.clear()
      const stopped = halt
      const cancelTimer = clock.after(graceMs, () => stopped.abort())
      const underWay = [...inFlight.values()]
      await loop.stop()
      await Promise.all(underWay)
      cancelTimer()
    },
  }
}
