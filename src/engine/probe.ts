/** Asks whether an Ollama answers at the target's address just now: the one question behind every probe and poll. */

import { drainBody } from '../domain/wire/body.ts'
import { headerOf } from '../domain/wire/headers.ts'
import { errorText } from '../domain/wire/refusal.ts'
import { isOllamaVersion, whoseAnswer } from '../domain/wire/whose.ts'
import { PROBE_TIMEOUT_MS } from './liveness.ts'
import type { SendTarget } from './ports.ts'

export type Probed =
  | { readonly kind: 'ollama'; readonly version: string }
  /** `reached`: something answered. */
  | { readonly kind: 'away'; readonly message: string; readonly reached: boolean }

// `{"version":"0.33.0"}`; whatever is longer is no answer to the question.
const VERSION_BYTES_MAX = 65_536

const away = (message: string, reached = false): Probed => ({ kind: 'away', message, reached })

const parsed = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/** On a fresh connection, so that a half-open socket of the pool cannot answer for the target. */
export const probeOllama = async (target: SendTarget, signal?: AbortSignal): Promise<Probed> => {
  const path = '/api/version'
  const reply = await target.send(
    { method: 'GET', path, headers: [], body: null },
    {
      reuse: false,
      wholeTimeoutMs: PROBE_TIMEOUT_MS,
      connectTimeoutMs: PROBE_TIMEOUT_MS,
      ...(signal !== undefined && { signal }),
    },
  )
  if (reply.kind === 'aborted') return away('the question was given up')
  if (reply.kind !== 'answered') return away(reply.message)
  const read = await drainBody(reply.body, { max: VERSION_BYTES_MAX })
  if (read.kind === 'aborted') return away('the question was given up')
  if (read.kind === 'broken') return away(read.message)
  const where = target.origin ?? 'the target'
  if (read.kind === 'too-large') return away(`${where} answered ${path} without end: that is not Ollama`, true)
  const { status } = reply
  const json = parsed(read.bytes)
  if (isOllamaVersion(status, json)) return { kind: 'ollama', version: json.version }
  const heard = { status, contentType: headerOf(reply.headers, 'content-type'), encoded: false, body: read.bytes }
  const whose = whoseAnswer(heard, { path, flavour: 'native', cloud: false })
  const words = whose.kind === 'ollama' ? `${status} ${errorText(read.bytes) ?? ''}`.trim() : whose.words
  return away(`${where} answered ${words}`, true)
}
