/** Foreman's own error answers on Ollama routes, in the shape that the route's clients understand. */
import { type Failure, failures, ollamaMessage } from '../domain/job/failure.ts'
import type { Refusal } from '../domain/wire/call.ts'
import { errorBody } from '../domain/wire/refusal.ts'
import type { Flavour } from '../domain/wire/routes.ts'

// Long enough that a queue moves and a laptop wakes, short enough that nobody gives up.
const RETRY_AFTER_S = 5

const newRequestId = () => `req_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`

/** An error answer of foreman's own; 503 says when to come back, 401 says how. */
export const refusal = (
  flavour: Flavour,
  status: number,
  message: string,
  headers: readonly [string, string][] = [],
): Response => {
  const all: [string, string][] = [['Content-Type', 'application/json; charset=utf-8'], ...headers]
  if (status === 503) all.push(['Retry-After', String(RETRY_AFTER_S)])
  if (status === 401) all.push(['WWW-Authenticate', 'Bearer realm="foreman"'])
  if (status === 413 || status === 408) all.push(['Connection', 'close'])
  return new Response(errorBody(flavour, status, message, newRequestId()), { status, headers: all })
}

/** What Ollama says of a stream of named events before it knows whether there will be one: it stays on its refusals. */
export const eventHeaders = (flavour: Flavour, isStream: boolean): [string, string][] =>
  isStream && (flavour === 'responses' || flavour === 'anthropic') ? [['Cache-Control', 'no-cache']] : []

/** The answer to a call that Ollama would refuse, in the form it would have there: on /v1 the compatible layer writes a line of its own. */
export const refusalOf = (flavour: Flavour, { status, message, isLate, isStream = false }: Refusal): Response => {
  if (flavour === 'native' || !isLate) return refusal(flavour, status, message)
  const body = `${errorBody(flavour, status, message, newRequestId())}\n`
  const headers: [string, string][] = [...eventHeaders(flavour, isStream), ['Content-Type', 'application/json']]
  return new Response(body, { status, headers })
}

/** The answer for one of foreman's own failures. */
export const refuse = (flavour: Flavour, failure: Failure): Response =>
  refusal(flavour, failures[failure.code].status, ollamaMessage(failure))
