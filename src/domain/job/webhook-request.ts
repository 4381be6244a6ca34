/** The members of a submitted body that say where and of what a job is reported; pure, the words are for the caller. */

import { nearest } from '../nearest.ts'
import { decodeField, type Field, field, type Scan } from '../wire/go-json.ts'
import { foldKey } from '../wire/keys.ts'
import { isFinal, type JobState, jobStates } from './job.ts'

/** The members that are foreman's own: the target never sees them. */
export const webhookMembers = ['state_webhook_url', 'state_webhook_events'] as const

export type WebhookRequestRead =
  | {
      readonly kind: 'webhook'
      readonly url: string | null
      /** Of these transitions alone; null = of all. */
      readonly states: readonly JobState[] | null
    }
  | { readonly kind: 'wrong'; readonly detail: string }

const wrong = (detail: string) => ({ kind: 'wrong', detail }) as const

const WORDS = 'expected "final", "all" or a list of states'
const finalStates = jobStates.filter(isFinal)

// Cheap enough for each of a million members; what passes is looked at closely.
const FRAGMENTS = /call|done|event|finish|hook|notif|state|url|web/
const OTHER_WORDS = /callback|hook|notif|(?:^|_)on_?(?:done|finish|state)/
const written = [...webhookMembers, 'webhook', 'webhook_url']

/** Whether a member, its key as Go compares it, may be one of these two or meant as one. */
export const mayMeanWebhook = (key: string): boolean => FRAGMENTS.test(key)

/** Whoever writes `callback_url`, `notify_url` or `state_webhok_url` waits for a webhook that would never come. */
const nearMiss = (fields: readonly Field[]): string | null => {
  const known: readonly string[] = webhookMembers
  const stray = fields.find(({ key }) => {
    const folded = foldKey(key)
    if (known.includes(folded) || !mayMeanWebhook(folded)) return false
    return OTHER_WORDS.test(folded) || nearest(folded, written) !== null
  })
  if (stray === undefined) return null
  const meant = /event|state_?s$|filter/i.test(stray.key) ? 'state_webhook_events' : 'state_webhook_url'
  return `there is no member ${stray.key}, did you mean ${nearest(stray.key, known) ?? meant}?`
}

const isState = (value: unknown): value is JobState => jobStates.some((state) => state === value)

const statesOf = (value: unknown): readonly JobState[] | null | { readonly wrong: string } => {
  if (value === null || value === 'all') return null
  if (value === 'final') return finalStates
  if (!Array.isArray(value)) return { wrong: `state_webhook_events is ${JSON.stringify(value)}: ${WORDS}` }
  if (value.length === 0) return { wrong: 'state_webhook_events is empty: leave it out to be told of every transition' }
  const stray: unknown = value.find((state) => !isState(state))
  if (stray !== undefined) {
    const meant = typeof stray === 'string' ? nearest(stray, jobStates) : null
    const advice = meant === null ? `expected ${jobStates.join(', ')}` : `did you mean "${meant}"?`
    return { wrong: `state_webhook_events names ${JSON.stringify(stray)}, which is no state: ${advice}` }
  }
  // In the order of the states and each once, however they were written.
  const states = jobStates.filter((state) => value.includes(state))
  return states.length === jobStates.length ? null : states
}

/** Reads both; a body without either asks for no webhook. */
export const readWebhookRequest = (body: Uint8Array, scan: Scan & { kind: 'object' }): WebhookRequestRead => {
  const missed = nearMiss(scan.fields)
  if (missed !== null) return wrong(missed)
  const target = field(scan, 'state_webhook_url')
  if (target !== undefined && target.type !== 'string' && target.type !== 'null')
    return wrong(`state_webhook_url is a JSON ${target.type}: expected a URL`)
  const decoded = target?.type === 'string' ? decodeField(body, target) : null
  const url = typeof decoded === 'string' && decoded !== '' ? decoded : null
  const events = field(scan, 'state_webhook_events')
  if (events === undefined || events.type === 'null') return { kind: 'webhook', url, states: null }
  if (events.type !== 'string' && events.type !== 'array')
    return wrong(`state_webhook_events is a JSON ${events.type}: ${WORDS}`)
  if (url === null) return wrong('state_webhook_events is there without state_webhook_url: where should they go?')
  const states = statesOf(decodeField(body, events))
  if (states !== null && 'wrong' in states) return wrong(states.wrong)
  return { kind: 'webhook', url, states }
}
