/** What follows from how a try ended; pure, the chance comes in as a number. */
import type { DeliveryOutcome } from './delivery.ts'
import type { Reaction } from './lanes.ts'
import { retryDelayMs } from './schedule.ts'

export type Verdict =
  | { readonly kind: 'accepted'; readonly status: number }
  | { readonly kind: 'retry'; readonly reason: string; readonly retryInMs: number }
  | { readonly kind: 'give-up'; readonly reason: string }
  /** It never came to an end: nothing is noted, and it stays owed as it was. */
  | { readonly kind: 'nothing' }

/** What becomes of a delivery after its `tries`th try. */
export const verdictOf = (outcome: DeliveryOutcome, tries: number, chance: number): Verdict => {
  switch (outcome.kind) {
    case 'accepted':
      return { kind: 'accepted', status: outcome.status }
    case 'retry': {
      const { reason, retryAfterMs } = outcome
      const retryInMs = retryDelayMs(tries, chance, retryAfterMs)
      if (retryInMs === null) return { kind: 'give-up', reason: `${reason} (the last of ${tries} tries)` }
      return { kind: 'retry', reason, retryInMs }
    }
    case 'gone':
      return { kind: 'give-up', reason: 'it answered 410: it wants no more of this' }
    case 'refused':
      return { kind: 'give-up', reason: outcome.reason }
    case 'aborted':
      return { kind: 'nothing' }
    default:
      return outcome satisfies never
  }
}

/** What the end of a try says about its receiver. */
export const reactionOf = (outcome: DeliveryOutcome): Reaction | 'aborted' => {
  switch (outcome.kind) {
    case 'accepted':
    case 'gone':
      return 'took'
    case 'refused':
      return 'declined'
    case 'retry':
      return outcome.isAnswer ? 'declined' : 'silent'
    case 'aborted':
      return 'aborted'
    default:
      return outcome satisfies never
  }
}
