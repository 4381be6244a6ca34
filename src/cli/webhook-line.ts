/** How a job's webhook stands, in words for `foreman show`; it must never throw at a foreman that says less. */
import { fieldOf, listOf, numberOf, textOf } from './fields.ts'
import { oneLine } from './job.ts'
import { humanSpan } from './table.ts'

const STATES_IN_ALL = 6

const timesOf = (count: number): string => (count === 1 ? 'once' : `${count} times`)

const waitOf = (json: unknown, nowMs: number): string | null => {
  const sequence = numberOf(json, 'webhook', 'next_sequence')
  if (sequence === undefined) return null
  const tries = numberOf(json, 'webhook', 'tries') ?? 0
  const at = Date.parse(textOf(json, 'webhook', 'next_try_at') ?? '')
  const next = at > nowMs ? `next try in ${humanSpan(at - nowMs)}` : 'due now'
  return `event ${sequence} ${tries === 0 ? 'to be told' : `tried ${timesOf(tries)}`}, ${next}`
}

/** Lines under `webhook`: where it goes and of what, what it waits for, and what went wrong. */
export const webhookPairs = (json: unknown, nowMs: number): [string, string | null][] => {
  const url = oneLine(textOf(json, 'state_webhook_url') ?? '', 500)
  if (url === '') return []
  const events = listOf(json, 'webhook', 'events')
  const only = events.length > 0 && events.length < STATES_IN_ALL ? ` (${events.join(', ')})` : ''
  const problem = oneLine(textOf(json, 'webhook', 'last_problem') ?? '', 1_000)
  const givenUp = numberOf(json, 'webhook', 'given_up') ?? 0
  const never = givenUp === 0 ? '' : `${givenUp} given up`
  return [
    ['webhook', `${url}${only}`],
    ['untold', fieldOf(json, 'webhook') === undefined ? null : waitOf(json, nowMs)],
    ['problem', [never, problem].filter((part) => part !== '').join('; ') || null],
  ]
}
