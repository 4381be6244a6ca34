/** Small questions to the target that foreman asks for itself, each bounded in time; the answer or why there is none. */

import { concat } from '../domain/bytes.ts'
import { errorText } from '../domain/wire/refusal.ts'
import { PROBE_TIMEOUT_MS } from './liveness.ts'
import type { ReplyBody, SendTarget } from './ports.ts'

export type Asked =
  | { readonly kind: 'answered'; readonly json: unknown; readonly body: Uint8Array }
  /** `reached`: it did answer, only not what was asked. */
  | { readonly kind: 'failed'; readonly message: string; readonly reached: boolean }

const wholeBody = async (body: ReplyBody): Promise<Uint8Array | string> => {
  if (body.complete !== null) return body.complete
  const pieces: Uint8Array[] = []
  for (;;) {
    const read = await body.read()
    if (read.kind === 'chunk') pieces.push(read.bytes)
    else if (read.kind === 'end') return concat(pieces)
    else return read.kind === 'broken' ? read.message : 'the question was given up'
  }
}

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
  body?: string,
  wholeTimeoutMs = PROBE_TIMEOUT_MS,
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
  })
  if (reply.kind === 'aborted') return failed('the question was given up')
  if (reply.kind !== 'answered') return failed(reply.message)
  const whole = await wholeBody(reply.body)
  if (typeof whole === 'string') return failed(whole)
  if (reply.status !== 200) return failed(errorText(whole) ?? `${path} answered ${reply.status}`, true)
  return parsed(whole)
}
