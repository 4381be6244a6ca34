/** Carries what the outbox owes to its receivers, many at a time; it must never lose a delivery nor let a slow receiver hold up another. */
import type { Clock, Random } from '../domain/clock.ts'
import type { WebhookTry } from '../domain/job/events.ts'
import { createNudge } from '../loop/nudge.ts'
import type { Delivery, DeliveryOutcome } from './delivery.ts'
import { createLanes } from './lanes.ts'
import { retryDelayMs } from './schedule.ts'
import { createSettle } from './settle.ts'

/** A delivery that is owed and may be tried: the head of its job's queue. */
export interface Owed {
  readonly deliveryId: number
  readonly jobId: string
  readonly sequence: number
  readonly url: string
  /** Tries made so far. */
  readonly tries: number
}

/** Where deliveries are owed. The order within a job is its business: only the first of each job that is still owed is ever due. */
export interface Outbox<T extends Owed> {
  /**
   * Up to `limit` deliveries due at `now`, the longest due first, without those that are `busy` and without those to `fullOrigins`,
   * which have no lane free. An outbox that ignores the origins is correct, but slow with a long backlog for one of them.
   */
  due(now: number, limit: number, busy: ReadonlySet<number>, fullOrigins: ReadonlySet<string>): readonly T[]
  /** Wall milliseconds of the first due delivery that is not busy; null = nothing is owed. */
  nextDueAt(busy: ReadonlySet<number>): number | null
  /** The receiver has it; the next of the job becomes due. */
  accepted(owed: T): Promise<void>
  /** One more try failed; due again at `at`. */
  retryAt(owed: T, at: number, problem: string): Promise<void>
  /** It is owed no more; the next of the job becomes due. */
  giveUp(owed: T, problem: string): Promise<void>
}

/** What the courier tells the outside. */
export type CourierEvent =
  | WebhookTry
  | { readonly event: 'settle_retried'; readonly jobId: string; readonly error: unknown }
  | { readonly event: 'loop_failed'; readonly loop: string; readonly error: unknown }

type DeliveryFields = Pick<WebhookTry, 'jobId' | 'sequence' | 'host' | 'tries'>

export interface CourierDeps<T extends Owed> {
  readonly outbox: Outbox<T>
  readonly delivery: Delivery
  /** What to post, made when the try begins. The id and the body are the same for every try; null = there is nothing left to tell. */
  readonly compose: (owed: T) => { readonly id: string; readonly body: Uint8Array } | null
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: CourierEvent) => void
}

export interface Courier {
  start(): void
  /** Something new is owed. */
  nudge(): void
  /** Starts nothing more and lets what is under way end within the grace; the rest is given up and stays owed. */
  stop(graceMs: number): Promise<void>
}

const IN_FLIGHT_MAX = 256
const PER_ORIGIN_MAX = 8
// Wall time may jump, so no sleep trusts it for longer.
const SLEEP_MAX_MS = 60_000
const PAUSE_MS = 1_000
// A look costs half a millisecond beside 100 receivers that hang, and every transition asks for one: the next comes after
// 50 times as long as the last took, so that looking takes about a fiftieth of the event loop.
const REST_PER_LOOK = 50
// One slow look (a busy disk, a pause of the machine) is no reason for a long rest.
const REST_MAX_MS = 250

const originOf = (url: string): string => URL.parse(url)?.origin ?? url
const hostOf = (url: string): string => URL.parse(url)?.host ?? ''

/** The courier of one outbox. */
export const createCourier = <T extends Owed>({
  outbox,
  delivery,
  compose,
  clock,
  random,
  emit,
}: CourierDeps<T>): Courier => {
  const nudge = createNudge(clock.after)
  // What ends a rest: a stop, and a try that is over, because then there is a lane free for what is due.
  const rested = createNudge(clock.after)
  const lanes = createLanes(PER_ORIGIN_MAX)
  const flights = new Map<number, Promise<void>>()
  let running = false
  // Spent on asking the outbox, in this turn of the loop.
  let lookedMs = 0
  let halt = new AbortController()
  let looping: Promise<void> = Promise.resolve()
  const settle = createSettle({ clock, emit })

  const tryOnce = async (owed: T, signal: AbortSignal): Promise<DeliveryOutcome> => {
    try {
      const letter = compose(owed)
      if (letter === null) return { kind: 'refused', reason: 'the job is no longer there' }
      return await delivery.deliver({ url: owed.url, signal, ...letter })
    } catch (error) {
      // A defect here must neither end the loop nor be met again at once.
      emit({ event: 'loop_failed', loop: 'courier', error })
      return { kind: 'retry', reason: 'an internal error', retryAfterMs: null }
    }
  }

  const giveUp = async (owed: T, reason: string, fields: DeliveryFields, signal: AbortSignal) => {
    const taken = await settle(owed.jobId, signal, () => outbox.giveUp(owed, reason))
    if (taken) emit({ event: 'webhook_given_up', reason, ...fields })
  }

  const record = async (owed: T, outcome: DeliveryOutcome, elapsedMs: number, signal: AbortSignal) => {
    const { jobId, sequence, url } = owed
    const tries = owed.tries + 1
    const fields = { jobId, sequence, host: hostOf(url), tries }
    switch (outcome.kind) {
      case 'accepted': {
        const taken = await settle(jobId, signal, () => outbox.accepted(owed))
        if (taken) emit({ event: 'webhook_accepted', status: outcome.status, elapsedMs, ...fields })
        return
      }
      case 'retry': {
        const { reason, retryAfterMs } = outcome
        const retryInMs = retryDelayMs(tries, random(), retryAfterMs)
        if (retryInMs === null) return giveUp(owed, `${reason} (the last of ${tries} tries)`, fields, signal)
        const at = clock.now() + retryInMs
        const taken = await settle(jobId, signal, () => outbox.retryAt(owed, at, reason))
        if (taken) emit({ event: 'webhook_retried', reason, retryInMs, ...fields })
        return
      }
      case 'gone':
        return giveUp(owed, 'it answered 410: it wants no more of this', fields, signal)
      case 'refused':
        return giveUp(owed, outcome.reason, fields, signal)
      case 'aborted':
        return
      default:
        outcome satisfies never
    }
  }

  const carry = async (owed: T, origin: string, signal: AbortSignal) => {
    const startedMs = clock.monotonicMs()
    const outcome = await tryOnce(owed, signal)
    lanes.leave(origin, outcome.kind === 'accepted' || outcome.kind === 'gone')
    // The lane is free from here on; the id stays taken until the outbox knows.
    nudge.raise()
    rested.raise()
    await record(owed, outcome, Math.round(clock.monotonicMs() - startedMs), signal)
    flights.delete(owed.deliveryId)
    nudge.raise()
    rested.raise()
  }

  /** Asks the outbox and keeps how long that took. */
  const look = <T>(ask: () => T): T => {
    const startedMs = clock.monotonicMs()
    try {
      return ask()
    } finally {
      lookedMs += clock.monotonicMs() - startedMs
    }
  }

  /** Starts all that is due and has a lane; what has none is passed over, so that it hides nothing behind it. */
  const startDue = (signal: AbortSignal) => {
    const busy = new Set(flights.keys())
    for (let room = IN_FLIGHT_MAX - flights.size; room > 0; room = IN_FLIGHT_MAX - flights.size) {
      const page = look(() => outbox.due(clock.now(), room, busy, new Set(lanes.full())))
      for (const owed of page) {
        const origin = originOf(owed.url)
        busy.add(owed.deliveryId)
        if (lanes.isFull(origin)) continue
        lanes.enter(origin)
        flights.set(owed.deliveryId, carry(owed, origin, signal))
      }
      if (page.length < room) return
    }
  }

  const sleepMs = (): number => {
    if (flights.size === IN_FLIGHT_MAX) return SLEEP_MAX_MS
    const next = look(() => outbox.nextDueAt(new Set(flights.keys())))
    if (next === null) return SLEEP_MAX_MS
    // Due already and not started means that it waits for a lane, and a lane that comes free is a nudge.
    const untilMs = next - clock.now()
    return untilMs <= 0 ? PAUSE_MS : Math.min(untilMs, SLEEP_MAX_MS)
  }

  const loop = async (signal: AbortSignal) => {
    while (running) {
      let waitMs = PAUSE_MS
      lookedMs = 0
      try {
        startDue(signal)
        lanes.prune()
        waitMs = sleepMs()
      } catch (error) {
        emit({ event: 'loop_failed', loop: 'courier', error })
      }
      if (running && lookedMs > 0) await rested.wait(Math.min(lookedMs * REST_PER_LOOK, REST_MAX_MS))
      if (running) await nudge.wait(waitMs)
    }
  }

  return {
    nudge: nudge.raise,
    start() {
      running = true
      halt = new AbortController()
      looping = loop(halt.signal)
    },
    async stop(graceMs) {
      running = false
      nudge.raise()
      rested.raise()
      const cancelTimer = clock.after(graceMs, () => halt.abort())
      await looping
      await Promise.all(flights.values())
      cancelTimer()
    },
  }
}
