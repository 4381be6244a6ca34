/** One try of one owed delivery, from what is posted to the note of what came of it; it must neither throw nor deliver twice for a full disk's sake. */
import type { Clock, Random } from '../domain/clock.ts'
import type { WebhookTry } from '../domain/job/events.ts'
import { persistUntil } from '../loop/persist.ts'
import type { Delivery, DeliveryOutcome } from './delivery.ts'
import type { Outbox, Owed } from './outbox.ts'
import { verdictOf } from './verdict.ts'

/** What the courier tells the outside. */
export type CourierEvent =
  | WebhookTry
  | { readonly event: 'settle_retried'; readonly jobId: string; readonly error: unknown }
  | { readonly event: 'loop_failed'; readonly loop: string; readonly error: unknown }

export interface FlightDeps<T extends Owed> {
  readonly outbox: Outbox<T>
  readonly delivery: Pick<Delivery, 'deliver'>
  /** What to post, made when the try begins. The id and the body are the same for every try; null = there is nothing left to tell. */
  readonly compose: (owed: T) => { readonly id: string; readonly body: Uint8Array } | null
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: CourierEvent) => void
}

/** What is left to do once a try has ended. */
interface Landed<T> {
  readonly outcome: DeliveryOutcome
  /** Notes it; gives the next of the job, if that may be told now. */
  settle(): Promise<T | null>
}

const hostOf = (url: string): string => URL.parse(url)?.host ?? ''

/** `fly` resolves when the receiver has answered, or has not; the note of it is the second step. */
export const createFlights = <T extends Owed>(deps: FlightDeps<T>) => {
  const { outbox, delivery, compose, clock, random, emit } = deps

  const tryOnce = async (owed: T, signal: AbortSignal): Promise<DeliveryOutcome> => {
    try {
      const letter = compose(owed)
      if (letter === null) return { kind: 'refused', reason: 'the job is no longer there' }
      return await delivery.deliver({ url: owed.url, signal, ...letter })
    } catch (error) {
      // A defect here must neither end the loop nor be met again at once.
      emit({ event: 'loop_failed', loop: 'courier', error })
      return { kind: 'retry', reason: 'an internal error', retryAfterMs: null, isAnswer: false }
    }
  }

  const settle = async (owed: T, outcome: DeliveryOutcome, elapsedMs: number, signal: AbortSignal) => {
    const { jobId, sequence, url } = owed
    const tries = owed.tries + 1
    const fields = { jobId, sequence, host: hostOf(url), tries }
    const note = <R>(write: () => Promise<R>) =>
      persistUntil(signal, clock, write, (error) => emit({ event: 'settle_retried', jobId, error }))
    const verdict = verdictOf(outcome, tries, random())
    switch (verdict.kind) {
      case 'accepted': {
        const taken = await note(() => outbox.accepted(owed))
        if (taken !== null) emit({ event: 'webhook_accepted', status: verdict.status, elapsedMs, ...fields })
        return taken?.said ?? null
      }
      case 'retry': {
        const { reason, retryInMs } = verdict
        const at = clock.now() + retryInMs
        const taken = await note(() => outbox.retryAt(owed, at, reason))
        if (taken !== null) emit({ event: 'webhook_retried', reason, retryInMs, ...fields })
        return null
      }
      case 'give-up': {
        const { reason } = verdict
        const taken = await note(() => outbox.giveUp(owed, reason))
        if (taken !== null) emit({ event: 'webhook_given_up', reason, ...fields })
        return taken?.said ?? null
      }
      case 'nothing':
        return null
      default:
        return verdict satisfies never
    }
  }

  return {
    async fly(owed: T, signal: AbortSignal): Promise<Landed<T>> {
      const startedMs = clock.monotonicMs()
      const outcome = await tryOnce(owed, signal)
      const elapsedMs = Math.round(clock.monotonicMs() - startedMs)
      return { outcome, settle: () => settle(owed, outcome, elapsedMs, signal) }
    },
  }
}
