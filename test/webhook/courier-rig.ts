/** A courier on a virtual clock with receivers that a test writes as functions; it must never touch a socket. */
import { type Courier, createCourier } from '../../src/webhook/courier.ts'
import type { DeliveryOutcome } from '../../src/webhook/delivery.ts'
import type { CourierEvent } from '../../src/webhook/flight.ts'
import { createDice } from '../support/chance.ts'
import { createVirtualClock, type VirtualClock } from '../support/virtual-clock.ts'
import { createMemoryOutbox, type MemoryOutbox } from './memory-outbox.ts'

/** One try as a receiver sees it. */
export interface Try {
  readonly host: string
  readonly jobId: string
  readonly sequence: number
  /** Virtual milliseconds since the start. */
  readonly atMs: number
}

export interface CourierRig {
  readonly courier: Courier
  readonly outbox: MemoryOutbox
  readonly clock: VirtualClock
  readonly events: CourierEvent[]
  readonly tries: Try[]
  /** How many tries were under way at once, at most: over all, and to one host. */
  readonly most: { inFlight: number; perHost: number }
  inFlight(host?: string): number
}

export const accepted: DeliveryOutcome = { kind: 'accepted', status: 200 }
export const hangs = (): Promise<DeliveryOutcome> => new Promise(() => {})
export const failed = (retryAfterMs: number | null = null): DeliveryOutcome => ({
  kind: 'retry',
  reason: 'it answered 503',
  retryAfterMs,
  isAnswer: true,
})
/** Nobody answers there. */
export const unreached: DeliveryOutcome = {
  kind: 'retry',
  reason: 'it could not be reached (refused): connection refused',
  retryAfterMs: null,
  isAnswer: false,
}

export type Receive = (attempt: Try) => DeliveryOutcome | Promise<DeliveryOutcome>

/** `receive` answers each try; one that never does is given up after the try's own 10 s or by the signal, as real ones are. */
export const createCourierRig = (
  receive: Receive,
  { seed = 1, outbox = createMemoryOutbox(), clock = createVirtualClock() } = {},
): CourierRig => {
  const startMs = clock.now()
  const events: CourierEvent[] = []
  const tries: Try[] = []
  const under = new Map<string, number>()
  const most = { inFlight: 0, perHost: 0 }
  const inFlight = (host?: string) =>
    host === undefined ? [...under.values()].reduce((sum, n) => sum + n, 0) : (under.get(host) ?? 0)

  const bounded = (answer: DeliveryOutcome | Promise<DeliveryOutcome>, signal: AbortSignal | undefined) =>
    new Promise<DeliveryOutcome>((resolve, reject) => {
      const cancel = clock.after(10_000, () => resolve({ ...unreached, reason: 'no answer within 10000 ms' }))
      signal?.addEventListener('abort', () => {
        cancel()
        resolve({ kind: 'aborted' })
      })
      Promise.resolve(answer).then((outcome) => {
        cancel()
        resolve(outcome)
      }, reject)
    })

  const courier = createCourier({
    outbox,
    clock,
    random: createDice(seed).random,
    emit: (event) => events.push(event),
    compose: ({ jobId, sequence }) => ({ id: `${jobId}_${sequence}`, body: new Uint8Array() }),
    delivery: {
      async deliver({ url, id, signal }) {
        const [jobId = '', sequence] = id.split('_')
        const { host } = new URL(url)
        const attempt = { host, jobId, sequence: Number(sequence), atMs: clock.now() - startMs }
        tries.push(attempt)
        under.set(host, inFlight(host) + 1)
        most.inFlight = Math.max(most.inFlight, inFlight())
        most.perHost = Math.max(most.perHost, inFlight(host))
        try {
          return await bounded(receive(attempt), signal)
        } finally {
          under.set(host, inFlight(host) - 1)
        }
      },
    },
  })
  return { courier, outbox, clock, events, tries, most, inFlight }
}
