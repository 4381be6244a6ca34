/** Carries what the outbox owes to its receivers, many at a time; it must never lose a delivery nor let a slow receiver hold up another. */
import type { Clock, Random } from '../domain/clock.ts'
import { createNudge } from '../engine/nudge.ts'
import type { Delivery, DeliveryOutcome } from './delivery.ts'
import { createLanes } from './lanes.ts'
import { retryDelayMs } from './schedule.ts'
import { createSettle } from './settle.ts'

/** A delivery that is owed and may be tried: the head of its job's queue. */
export interface OwedDelivery {
  readonly deliveryId: number
  readonly jobId: string
  readonly url: string
  /** The webhook-id header, the same for every try. */
  readonly webhookId: string
  readonly body: Uint8Array
  /** Tries that failed before. */
  readonly tries: number
}

/** Where deliveries are owed. Order within a job is its business: only the first of each job that is still owed is ever due. */
export interface Outbox {
  /**
   * Up to `limit` deliveries due at `now`, the longest due first, without those of `excludeIds` (under way) and without those whose
   * URL has an origin in `excludeOrigins` (no lane free). Ignoring the origins is correct but slow with a long backlog for one of them.
   */
  due(
    now: number,
    limit: number,
    excludeIds: readonly number[],
    excludeOrigins: readonly string[],
  ): readonly OwedDelivery[] | Promise<readonly OwedDelivery[]>
  /** The receiver has it; the next of the job becomes due. */
  accepted(deliveryId: number, now: number): unknown
  /** One more failed try; due again at `at`. */
  retryAt(deliveryId: number, at: number): unknown
  /** It is owed no more; the next of the job becomes due. */
  giveUp(deliveryId: number, now: number, reason: string): unknown
  /** The earliest time after `now` at which something becomes due by itself, or null. */
  nextDueAt(now: number): number | null | Promise<number | null>
}

interface DeliveryFields {
  readonly jobId: string
  readonly webhookId: string
  /** Host and port only: paths and queries of webhook URLs are often secrets. */
  readonly host: string
  /** Tries made, this one included. */
  readonly tries: number
}

/** What the courier tells the outside. */
export type CourierEvent =
  | ({ readonly event: 'webhook_accepted'; readonly status: number; readonly elapsedMs: number } & DeliveryFields)
  | ({ readonly event: 'webhook_retried'; readonly reason: string; readonly retryInMs: number } & DeliveryFields)
  | ({ readonly event: 'webhook_given_up'; readonly reason: string } & DeliveryFields)
  | { readonly event: 'settle_retried'; readonly jobId: string; readonly error: unknown }
  | { readonly event: 'loop_failed'; readonly loop: string; readonly error: unknown }

export interface CourierDeps {
  readonly outbox: Outbox
  readonly delivery: Delivery
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

const originOf = (url: string): string => URL.parse(url)?.origin ?? url
const hostOf = (url: string): string => URL.parse(url)?.host ?? ''

/** The courier of one outbox. */
export const createCourier = ({ outbox, delivery, clock, random, emit }: CourierDeps): Courier => {
  const nudge = createNudge(clock.after)
  const lanes = createLanes(PER_ORIGIN_MAX)
  const flights = new Map<number, Promise<void>>()
  let running = false
  let halt = new AbortController()
  let looping: Promise<void> = Promise.resolve()
  const settle = createSettle({ clock, random, emit })

  const tryOnce = async ({ url, webhookId, body }: OwedDelivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    try {
      return await delivery.deliver({ url, id: webhookId, body, signal })
    } catch (error) {
      // A defect here must neither end the loop nor be met again at once.
      emit({ event: 'loop_failed', loop: 'courier', error })
      return { kind: 'retry', reason: 'an internal error', retryAfterMs: null }
    }
  }

  const giveUp = async (owed: OwedDelivery, reason: string, fields: DeliveryFields, signal: AbortSignal) => {
    const taken = await settle(owed.jobId, signal, () => outbox.giveUp(owed.deliveryId, clock.now(), reason))
    if (taken) emit({ event: 'webhook_given_up', reason, ...fields })
  }

  const record = async (owed: OwedDelivery, outcome: DeliveryOutcome, elapsedMs: number, signal: AbortSignal) => {
    const { deliveryId, jobId, webhookId, url } = owed
    const tries = owed.tries + 1
    const fields = { jobId, webhookId, host: hostOf(url), tries }
    switch (outcome.kind) {
      case 'accepted': {
        const taken = await settle(jobId, signal, () => outbox.accepted(deliveryId, clock.now()))
        if (taken) emit({ event: 'webhook_accepted', status: outcome.status, elapsedMs, ...fields })
        return
      }
      case 'retry': {
        const { reason, retryAfterMs } = outcome
        const retryInMs = retryDelayMs(tries, random(), retryAfterMs)
        if (retryInMs === null) return giveUp(owed, `${reason} (the last of ${tries} tries)`, fields, signal)
        const at = clock.now() + retryInMs
        const taken = await settle(jobId, signal, () => outbox.retryAt(deliveryId, at))
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

  const carry = async (owed: OwedDelivery, origin: string, signal: AbortSignal) => {
    const startedMs = clock.monotonicMs()
    const outcome = await tryOnce(owed, signal)
    lanes.leave(origin, outcome.kind === 'accepted' || outcome.kind === 'gone')
    // The lane is free from here on; the id stays taken until the outbox knows.
    nudge.raise()
    await record(owed, outcome, Math.round(clock.monotonicMs() - startedMs), signal)
    flights.delete(owed.deliveryId)
    nudge.raise()
  }

  /** Starts all that is due and has a lane; what has none is passed over, so that it hides nothing behind it. */
  const startDue = async (signal: AbortSignal) => {
    const passedOver: number[] = []
    for (;;) {
      const room = IN_FLIGHT_MAX - flights.size
      if (!running || room === 0) return
      const owed = await outbox.due(clock.now(), room, [...flights.keys(), ...passedOver], lanes.full())
      if (!running) return
      for (const one of owed) {
        const origin = originOf(one.url)
        if (lanes.isFull(origin)) passedOver.push(one.deliveryId)
        else {
          lanes.enter(origin)
          flights.set(one.deliveryId, carry(one, origin, signal))
        }
      }
      if (owed.length < room) return
    }
  }

  const sleepMs = async (): Promise<number> => {
    if (flights.size === IN_FLIGHT_MAX) return SLEEP_MAX_MS
    const now = clock.now()
    const next = await outbox.nextDueAt(now)
    if (next === null) return SLEEP_MAX_MS
    // Due already and not started means that it waits for a lane, and a lane that comes free is a nudge.
    return next <= now ? PAUSE_MS : Math.min(next - now, SLEEP_MAX_MS)
  }

  const loop = async (signal: AbortSignal) => {
    while (running) {
      let waitMs = PAUSE_MS
      try {
        await startDue(signal)
        lanes.prune()
        waitMs = await sleepMs()
      } catch (error) {
        emit({ event: 'loop_failed', loop: 'courier', error })
      }
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
      const cancelTimer = clock.after(graceMs, () => halt.abort())
      await looping
      await Promise.all(flights.values())
      cancelTimer()
    },
  }
}
