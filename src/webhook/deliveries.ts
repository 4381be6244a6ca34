/** Puts the webhooks together: what may be called, what is posted, and the courier; it must never be known to the worker. */
import type { Clock, Random } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { isFinal, type JobState } from '../domain/job/job.ts'
import type { ListedArtifact, StoredTransition } from '../domain/job/reading.ts'
import { webhookEvent } from '../domain/job/webhook-event.ts'
import { checkUrl, type OffLimit, portOf, type WebhookPolicy } from './address.ts'
import { type Courier, createCourier } from './courier.ts'
import { createDelivery, type DeliveryDeps } from './delivery.ts'
import { localAddresses, systemResolve } from './network.ts'
import { createOffLimits } from './off-limits.ts'
import type { Outbox, Owed } from './outbox.ts'

/** An owed delivery with the transition that it tells of. */
export interface OwedTransition extends Owed, StoredTransition {
  readonly jobSeq: number
  readonly model: string
  readonly state: JobState
}

export interface DeliveriesDeps {
  readonly config: {
    readonly webhookPolicy: WebhookPolicy
    readonly webhookSecrets: readonly string[]
    readonly artifactInlineMaxBytes: number
    readonly publicUrl: string | null
    readonly ollamaUrl: string
  }
  readonly outbox: Outbox<OwedTransition>
  readonly artifactsOf: (jobSeq: number, inlineMaxBytes: number) => readonly ListedArtifact[]
  /** Where foreman itself listens, as configured, but with the port that it really has. */
  readonly listener: () => Pick<OffLimit, 'host' | 'port'>
  readonly open: DeliveryDeps['open']
  readonly version: string
  /** What due times are counted in. */
  readonly clock: Clock
  /** What the machine's wall clock shows: receivers compare the time of a signature with their own. */
  readonly wallNow: () => number
  readonly random: Random
  readonly emit: Emit
}

export interface Deliveries extends Courier {
  /** The URL as it is stored and dialled, or why it may not be called. */
  check(
    url: string,
  ): Promise<{ readonly kind: 'ok'; readonly url: string } | { readonly kind: 'refused'; readonly message: string }>
}

/** The webhooks of one foreman; nothing is posted before `start`. */
export const createDeliveries = (deps: DeliveriesDeps): Deliveries => {
  const { config, clock, random, emit, outbox } = deps
  const { webhookPolicy: policy, webhookSecrets: secrets, artifactInlineMaxBytes: inlineMaxBytes, publicUrl } = config
  const target = new URL(config.ollamaUrl)
  const places = (): OffLimit[] => [
    { what: 'foreman itself', ...deps.listener() },
    { what: 'the target', host: target.hostname, port: portOf(target) },
  ]
  const offLimits = createOffLimits({ places, resolve: systemResolve, localAddresses, clock })
  const delivery = createDelivery({
    policy,
    secrets,
    offLimits,
    resolve: systemResolve,
    open: deps.open,
    clock: { ...clock, now: deps.wallNow },
    version: deps.version,
  })
  const compose = (owed: OwedTransition) => {
    const { jobId, jobSeq, model, sequence, state } = owed
    const artifacts = isFinal(state) ? deps.artifactsOf(jobSeq, inlineMaxBytes) : []
    const event = webhookEvent({ id: jobId, model }, owed, artifacts, { inlineMaxBytes, publicUrl })
    return { id: `${jobId}_${sequence}`, body: new TextEncoder().encode(JSON.stringify(event)) }
  }
  const courier = createCourier({ outbox, delivery, compose, clock, random, emit })
  return {
    start: courier.start,
    nudge: courier.nudge,
    async stop(graceMs) {
      await courier.stop(graceMs)
      delivery.close()
    },
    async check(text) {
      const checked = checkUrl(text, policy, await offLimits())
      return checked.kind === 'ok' ? { kind: 'ok', url: checked.url.href } : checked
    },
  }
}
