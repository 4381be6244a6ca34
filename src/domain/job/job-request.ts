/** Reads the body of POST /jobs: a native chat or generate payload and where to report; pure, the words are for the caller. */

import { concat } from '../bytes.ts'
import { type Call, readScanned, streamed } from '../wire/call.ts'
import { type Field, field, type Scan, scanObject } from '../wire/go-json.ts'
import { ollamaRoutes } from '../wire/routes.ts'
import type { JobState } from './job.ts'
import type { Problem } from './problem.ts'
import { readWebhookRequest, webhookMembers } from './webhook-request.ts'

/** A payload that can run, with the bytes that will be sent. */
export interface JobRequest {
  readonly endpoint: '/api/chat' | '/api/generate'
  readonly call: Call
  /** What goes to the target: the payload without the webhook, always streamed so that progress is visible. */
  readonly body: Uint8Array
  readonly webhookUrl: string | null
  /** Of these transitions alone the webhook tells; null = of all. */
  readonly webhookStates: readonly JobState[] | null
}

export type JobRequestRead =
  | { readonly kind: 'request'; readonly request: JobRequest }
  | ({ readonly kind: 'problem' } & Problem)

const invalid = (detail: string): JobRequestRead => ({ kind: 'problem', code: 'invalid', detail })

/** Which native route the payload is for; messages decide, as in a chat that also carries a prompt. A null is no member. */
const endpointOf = (scan: Scan): JobRequest['endpoint'] | null => {
  const has = (name: string) => (field(scan, name)?.type ?? 'null') !== 'null'
  return has('messages') ? '/api/chat' : has('prompt') ? '/api/generate' : null
}

const COMMA = 0x2c

// What the target would refuse for sure is refused at once, while somebody listens.
const memberTypes = {
  '/api/chat': { messages: 'array', options: 'object' },
  '/api/generate': { prompt: 'string', options: 'object' },
} as const

const own: readonly string[] = webhookMembers

/** The body without foreman's own members and a `stream` that the target would refuse; every other byte stays. */
const payloadOf = (body: Uint8Array, scan: Scan & { kind: 'object' }): Uint8Array => {
  const isOdd = ({ type }: Field) => type !== 'bool' && type !== 'null'
  const gone = (f: Field) => own.includes(f.key.toLowerCase()) || (f.key.toLowerCase() === 'stream' && isOdd(f))
  if (!scan.fields.some(gone)) return body
  const first = scan.fields[0]?.keyStart ?? scan.end
  const kept = scan.fields.filter((f) => !gone(f)).map((f) => body.subarray(f.keyStart, f.end))
  const joined = kept.flatMap((member, i) => (i === 0 ? [member] : [Uint8Array.of(COMMA), member]))
  return concat([body.subarray(0, first), ...joined, body.subarray(scan.end)])
}

/** Editors on Windows begin a file with a byte order mark, and JSON has none. */
const withoutMark = (body: Uint8Array): Uint8Array =>
  body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? body.subarray(3) : body

/** Reads a submitted body of any content type: plain `curl -d` says form, and means JSON. */
export const readJobRequest = (sent: Uint8Array): JobRequestRead => {
  const body = withoutMark(sent)
  const scan = scanObject(body)
  if (scan.kind === 'empty')
    return { kind: 'problem', code: 'malformed', detail: 'the body is empty: send a chat or generate payload' }
  if (scan.kind === 'malformed')
    return { kind: 'problem', code: 'malformed', detail: `the body is not JSON: ${scan.message}` }
  if (scan.kind === 'other')
    return invalid(`the body is a JSON ${scan.type}: expected an object with model and messages or prompt`)
  const endpoint = endpointOf(scan)
  if (endpoint === null)
    return invalid('neither messages nor prompt is there: send a chat payload or a generate payload')
  const model = field(scan, 'model')
  if (model === undefined || model.type === 'null') return invalid('model is missing: name the model that is to answer')
  for (const [name, type] of Object.entries(memberTypes[endpoint])) {
    const member = field(scan, name)
    if (member !== undefined && member.type !== 'null' && member.type !== type)
      return invalid(`${name} is a JSON ${member.type}: expected ${type === 'string' ? 'a' : 'an'} ${type}`)
  }
  const webhook = readWebhookRequest(body, scan)
  if (webhook.kind === 'wrong') return invalid(webhook.detail)
  const route = ollamaRoutes.find(({ path }) => path === endpoint)
  if (route === undefined) return invalid('there is no such route')
  const payload = payloadOf(body, scan)
  const read = readScanned(route, payload, payload === body ? scan : scanObject(payload))
  if (read.kind === 'refused') return invalid(read.message)
  const { url: webhookUrl, states: webhookStates } = webhook
  return { kind: 'request', request: { endpoint, ...streamed(payload, read.call), webhookUrl, webhookStates } }
}
