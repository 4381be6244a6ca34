/** JSON answers and errors in the exact dress of each API (wire document, sections 4 and 5); it must never choose a status. */
import { errorBody } from '../domain/wire/refusal.ts'
import type { Flavour } from '../domain/wire/routes.ts'
import type { Exchange } from './exchange.ts'
import type { Header } from './framing.ts'

/** Where in Ollama an error arises; it decides charset, newline and framing. */
export type Origin = 'middleware' | 'handler' | 'stream'

export const JSON_UTF8: Header = ['Content-Type', 'application/json; charset=utf-8']
export const JSON_PLAIN: Header = ['Content-Type', 'application/json']
export const NDJSON: Header = ['Content-Type', 'application/x-ndjson']
export const EVENTS: Header = ['Content-Type', 'text/event-stream']
/** /v1/responses and /v1/messages set these for a stream before they know whether it will be one. */
export const NO_CACHE: readonly Header[] = [
  ['Cache-Control', 'no-cache'],
  ['Connection', 'keep-alive'],
]

const escapes: Record<string, string> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
}

/** Go's json.Marshal also escapes HTML. */
export const goEscape = (json: string): string =>
  /[<>&\u2028\u2029]/.test(json) ? json.replace(/[<>&\u2028\u2029]/g, (c) => escapes[c]!) : json

export const goJson = (value: unknown): string => goEscape(JSON.stringify(value))

/** A native JSON answer. */
export const sendJson = (exchange: Exchange, value: unknown, status = 200) =>
  exchange.send(status, [JSON_UTF8], goJson(value))

/** Everything an error answer needs to know. */
export interface Complaint {
  readonly flavour: Flavour
  readonly status: number
  readonly text: string
  readonly origin: Origin
  /** The request asked for a stream. */
  readonly streaming: boolean
  readonly requestId: string
}

/** Sends an error as the API's clients know it. */
export const sendError = (exchange: Exchange, { flavour, status, text, origin, streaming, requestId }: Complaint) => {
  const native = flavour === 'native'
  const newline = native || origin === 'middleware' ? '' : '\n'
  const body = goEscape(errorBody(flavour, status, text, requestId)) + newline
  const plain = origin === 'stream' || (!native && origin === 'handler')
  const cached = streaming && (flavour === 'responses' || flavour === 'anthropic') && origin !== 'middleware'
  const headers = [...(cached ? NO_CACHE : []), plain ? JSON_PLAIN : JSON_UTF8]
  if (origin !== 'stream') return exchange.send(status, headers, body)
  exchange.begin(status, headers)
  exchange.chunk(body)
  exchange.end()
}

/** The short form for native routes without a model run. */
export const sendNativeError = (exchange: Exchange, status: number, text: string) =>
  sendJson(exchange, { error: text }, status)
