/** An alert as its receiver reads it: Slack's text, ntfy's body and headers, or JSON for a program; it must never say more than the alert does. */
import { humanSpan } from '../duration.ts'
import type { HeaderPairs } from '../wire/headers.ts'
import type { Alert } from './desk.ts'

export const alertFormats = ['json', 'slack', 'ntfy'] as const
export type AlertFormat = (typeof alertFormats)[number]

/** Who speaks, and how times are shown. */
export interface Speaker {
  /** The machine's name. */
  readonly host: string
  readonly now: number
  /** What people's clocks showed at a time of the alert's clock. */
  readonly wallAt: (ms: number) => number
}

export interface Shaped {
  readonly headers: HeaderPairs
  readonly body: string
}

const words: Readonly<Record<Alert['state'], string>> = {
  fired: 'ALERT',
  resolved: 'RESOLVED',
  reminder: 'STILL',
  happened: 'NOTE',
}

/** ntfy's 1 to 5; 3 is its default. */
const priorities: Readonly<Record<Alert['state'], string>> = { fired: '4', resolved: '3', reminder: '4', happened: '3' }
const tags: Readonly<Record<Alert['state'], string>> = {
  fired: 'rotating_light',
  resolved: 'white_check_mark',
  reminder: 'warning',
  happened: 'information_source',
}

/** `It has been so for 6h.`: nothing where it began just now. */
const spanOf = ({ state, since }: Alert, now: number): string => {
  if (state === 'reminder') return ` It has been so for ${humanSpan(now - since)}.`
  return state === 'resolved' ? ` It was so for ${humanSpan(now - since)}.` : ''
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

/** Slack reads these three as markup. */
const slackText = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

// A header is one line of ASCII; what is not would be refused on the way.
const headerText = (text: string): string => text.replace(/[^\x20-\x7e]+/g, ' ')

/** The request's headers and body. */
export const shapeAlert = (format: AlertFormat, alert: Alert, { host, now, wallAt }: Speaker): Shaped => {
  const { part, name, state, since } = alert
  const text = `${sentence(alert.words)}${spanOf(alert, now)}`
  const json: [string, string][] = [['Content-Type', 'application/json']]
  switch (format) {
    case 'slack':
      return {
        headers: json,
        body: JSON.stringify({ text: slackText(`*${words[state]}* foreman on ${host}: ${text}`) }),
      }
    case 'ntfy':
      return {
        headers: [
          ['Content-Type', 'text/plain; charset=utf-8'],
          ['Title', headerText(`${words[state]} foreman on ${host}: ${name}`)],
          ['Priority', priorities[state]],
          ['Tags', tags[state]],
        ],
        body: text,
      }
    case 'json': {
      const iso = (ms: number) => new Date(wallAt(ms)).toISOString()
      const fields = { source: 'foreman', host, part, alert: name, state, message: alert.words }
      return { headers: json, body: JSON.stringify({ ...fields, since: iso(since), at: iso(now) }) }
    }
    default:
      return format satisfies never
  }
}
