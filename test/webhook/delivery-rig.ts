/** A delivery over real sockets that tells what it dialled and what it left behind; it must never resolve a real name. */
import { expect } from 'bun:test'
import type { Clock } from '../../src/domain/clock.ts'
import { createTargetClient, type TargetClient } from '../../src/ollama/client.ts'
import type { OffLimit, WebhookPolicy } from '../../src/webhook/address.ts'
import { createDelivery, type Delivery, type DeliveryOutcome, type WebhookPost } from '../../src/webhook/delivery.ts'
import { countingClock } from '../ollama/target-probe.ts'

export interface RigOptions {
  readonly resolve?: (hostname: string) => Promise<readonly string[]>
  readonly policy?: WebhookPolicy
  readonly offLimits?: readonly OffLimit[]
  readonly secrets?: readonly string[]
  readonly tryTimeoutMs?: number
  readonly ca?: string
  /** Stands in for the machine's clock where a test owns the time. */
  readonly clock?: Clock
}

export interface DeliveryRig {
  readonly delivery: Delivery
  /** `address` of every client that was opened, in order; one that is open already is used again. */
  readonly dialled: string[]
  readonly lookups: string[]
  post(url: string, more?: Partial<WebhookPost>): Promise<DeliveryOutcome>
  /** No socket and no timer is left. */
  expectNoLeaks(): void
}

/** A delivery under `lan` whose names all lead to 127.0.0.1. */
export const createDeliveryRig = ({ ca, resolve, clock, ...options }: RigOptions = {}): DeliveryRig => {
  const counting = countingClock()
  const clients: TargetClient[] = []
  const dialled: string[] = []
  const lookups: string[] = []
  const delivery = createDelivery({
    policy: 'lan',
    secrets: [],
    version: '1.2.3',
    ...options,
    clock: clock ?? counting,
    offLimits: async () => options.offLimits ?? [],
    resolve: (hostname) => {
      lookups.push(hostname)
      return resolve?.(hostname) ?? Promise.resolve(['127.0.0.1'])
    },
    open: ({ origin, address }) => {
      const client = createTargetClient({ url: origin, address, ca, clock: clock ?? counting })
      clients.push(client)
      dialled.push(address)
      return client
    },
  })
  return {
    delivery,
    dialled,
    lookups,
    post: (url, more) => delivery.deliver({ url, id: 'job_1', body: Buffer.from('{"sequence":1}'), ...more }),
    expectNoLeaks() {
      delivery.close()
      expect(clients.reduce((open, client) => open + client.openSockets(), 0)).toBe(0)
      expect(counting.pending()).toBe(0)
    },
  }
}
