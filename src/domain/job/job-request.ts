/** Reads the body of POST /jobs: a native chat or generate payload and where to report; pure, the words are for the caller. */

import { type Call, isCallMember, isEmptyList, isNull, readScanned } from '../wire/call.ts'
import { streamed } from '../wire/call-body.ts'
import {
  decodeField,
  type Field,
  field,
  type Scan,
  scanInTurns,
  scanObject,
  valueField,
  type Wanted,
  withoutMembers,
} from '../wire/go-json.ts'
import { foldKey } from '../wire/keys.ts'
import { ollamaRoutes } from '../wire/routes.ts'
import type { JobState } from './job.ts'
import type { Problem } from './problem.ts'
import { mayMeanWebhook, readWebhookRequest, webhookMembers } from './webhook-request.ts'

/** A payload that can run, with the bytes that will be sent. */
export interface JobRequest {
  readonly endpoint: '/api/chat' | '/api/generate'
  readonly call: Call
  /** What goes to the target: the payload without the webhook, always streamed so that progress is visible. */
  readonly body: Uint8Array
  readonly webhookUrl: string | null
  /** Of these transitions alone the webhook tells; null = of all. */
  readonly webhookStates: readonly JobState[] | null
  /** Something else than the target may do it. */
  readonly fallback: 'auto' | null
}

export type JobRequestRead =
  | { readonly kind: 'request'; readonly request: JobRequest }
  | ({ readonly kind: 'problem' } & Problem)

const invalid = (detail: string): JobRequestRead => ({ kind: 'problem', code: 'invalid', detail })

/** Which native route the payload is for; messages decide, as in a chat that also carries a prompt. A null is no member, and an empty list asks nothing. */
const endpointOf = (body: Uint8Array, scan: Scan): JobRequest['endpoint'] | null => {
  const messages = field(scan, 'messages')
  const prompt = valueField(scan, 'prompt')
  if (isNull(messages)) return prompt === undefined ? null : '/api/generate'
  return isEmptyList(body, messages) && prompt !== undefined ? '/api/generate' : '/api/chat'
}

// What the target would refuse for sure is refused at once, while somebody listens.
const memberTypes = {
  '/api/chat': { messages: 'array', options: 'object' },
  '/api/generate': { prompt: 'string', options: 'object' },
} as const

const FALLBACK = 'fallback'
const own: readonly string[] = [...webhookMembers, FALLBACK]

/** Foreman's own members, and a `stream` that the target would refuse. */
const isNotForTarget = ({ key, type }: Field): boolean => {
  const folded = foldKey(key)
  return own.includes(folded) || (folded === 'stream' && type !== 'bool' && type !== 'null')
}

/** What is read of a body, and whatever may be meant by it. */
const isJobMember: Wanted = (key) => isCallMember(key) || mayMeanWebhook(key) || foldKey(key) === FALLBACK

/** Editors on Windows begin a file with a byte order mark, and JSON has none. */
const withoutMark = (body: Uint8Array): Uint8Array =>
  body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? body.subarray(3) : body

/** Reads a submitted body of any content type: plain `curl -d` says form, and means JSON. */
export const readJobRequest = (sent: Uint8Array): JobRequestRead => {
  const body = withoutMark(sent)
  return readScannedJob(body, scanObject(body, isJobMember))
}

/** The same for a body of any size: between the steps others have their turn. */
export const readJobRequestInTurns = async (sent: Uint8Array, turn: () => Promise<void>): Promise<JobRequestRead> => {
  const body = withoutMark(sent)
  return readScannedJob(body, await scanInTurns(body, isJobMember, turn))
}

/** A job that must not go to the target at all is a call: `only` is for those who wait. */
const readFallback = (body: Uint8Array, scan: Scan) => {
  const member = field(scan, FALLBACK)
  const value = member === undefined ? null : decodeField(body, member)
  if (value === null || value === 'never') return { kind: 'fallback', value: null } as const
  if (value === 'auto') return { kind: 'fallback', value } as const
  const detail = `fallback is ${JSON.stringify(value) ?? 'too long'}: expected "auto" or "never"`
  return { kind: 'wrong', detail } as const
}

const readScannedJob = (body: Uint8Array, scan: Scan): JobRequestRead => {
  if (scan.kind === 'empty')
    return { kind: 'problem', code: 'malformed', detail: 'the body is empty: send a chat or generate payload' }
  if (scan.kind === 'malformed')
    return { kind: 'problem', code: 'malformed', detail: `the body is not JSON: ${scan.message}` }
  if (scan.kind === 'other')
    return invalid(`the body is a JSON ${scan.type}: expected an object with model and messages or prompt`)
  const endpoint = endpointOf(body, scan)
  if (endpoint === null)
    return invalid('neither messages nor prompt is there: send a chat payload or a generate payload')
  if (valueField(scan, 'model') === undefined) return invalid('model is missing: name the model that is to answer')
  for (const [name, type] of Object.entries(memberTypes[endpoint])) {
    const member = field(scan, name)
    if (member !== undefined && member.type !== 'null' && member.type !== type)
      return invalid(`${name} is a JSON ${member.type}: expected ${type === 'string' ? 'a' : 'an'} ${type}`)
  }
  const webhook = readWebhookRequest(body, scan)
  if (webhook.kind === 'wrong') return invalid(webhook.detail)
  const fallback = readFallback(body, scan)
  if (fallback.kind === 'wrong') return invalid(fallback.detail)
  const route = ollamaRoutes.find(({ path }) => path === endpoint)
  if (route === undefined) return invalid('there is no such route')
  const { body: payload, scan: rest } = withoutMembers(body, scan, isNotForTarget)
  const read = readScanned(route, payload, rest)
  if (read.kind === 'refused') return invalid(read.message)
  const own = { webhookUrl: webhook.url, webhookStates: webhook.states, fallback: fallback.value }
  return { kind: 'request', request: { endpoint, ...streamed(payload, read.call), ...own } }
}
