/** Small questions to the target that foreman asks for itself, each bounded in time and size; the answer or why there is none. */

import { drainBody } from '../domain/wire/body.ts'
import { errorText } from '../domain/wire/refusal.ts'
import { PROBE_TIMEOUT_MS } from './liveness.ts'
import type { ReplyBody, SendTarget } from './ports.ts'

export type Asked =
  | { readonly kind: 'answered'; readonly json: unknown; readonly body: Uint8Array }
  /** `reached`: it did answer, only not what was asked. */
  | { readonly kind: 'failed'; readonly message: string; readonly reached: boolean }

/** What bounds a question, and what is asked with it. */
export interface AskOptions {
  /** Gives the question up at once. */
  readonly signal?: AbortSignal
  /** JSON text to post; without it the question is a GET. */
  readonly body?: string
  /** For the whole of it, 5 s by default. */
  readonly wholeTimeoutMs?: number
}

// A list of 10,000 models is 5 MB; what goes on for longer is no answer of Ollama's.
const ANSWER_BYTES_MAX = 33_554_432

const wholeBody = async (body: ReplyBody): Promise<Uint8Array | string> => {
  const read = await drainBody(body, { max: ANSWER_BYTES_MAX })
  if (read.kind === 'whole') return read.bytes
  if (read.kind === 'too-large') return `the answer is longer than ${ANSWER_BYTES_MAX} bytes`
  return read.kind === 'broken' ? read.message : GIVEN_UP
}

const GIVEN_UP = 'the question was given up'
const failed = (message: string, reached = false): Asked => ({ kind: 'failed', message, reached })

const parsed = (body: Uint8Array): Asked => {
  try {
    return { kind: 'answered', json: JSON.parse(new TextDecoder().decode(body)), body }
  } catch (error) {
    if (error instanceof SyntaxError) return failed('the target did not answer with JSON', true)
    throw error
  }
}

/** Asks on a fresh connection, so that a half-open socket of the pool cannot answer for the target. */
export const askTarget = async (
  target: SendTarget,
  path: string,
  { signal, body, wholeTimeoutMs = PROBE_TIMEOUT_MS }: AskOptions = {},
): Promise<Asked> => {
  const request = {
    method: body === undefined ? 'GET' : 'POST',
    path,
    headers: body === undefined ? [] : ([['Content-Type', 'application/json']] as const),
    body: body === undefined ? null : new TextEncoder().encode(body),
  }
  const reply = await target.send(request, {
    reuse: false,
    wholeTimeoutMs,
    connectTimeoutMs: Math.min(wholeTimeoutMs, PROBE_TIMEOUT_MS),
    ...(signal !== undefined && { signal }),
  })
  if (reply.kind === 'aborted') return failed(GIVEN_UP)
  if (reply.kind !== 'answered') return failed(reply.message)
  const whole = await wholeBody(reply.body)
  if (typeof whole === 'string') return failed(whole)
  if (reply.status !== 200) return failed(errorText(whole) ?? `${path} answered ${reply.status}`, true)
  return parsed(whole)
}
