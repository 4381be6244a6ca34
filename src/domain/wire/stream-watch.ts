/** Watches an answer's bytes go by to know how it ended; it must never change, hold or delay one. */

import { concat } from '../bytes.ts'
import type { Usage } from '../job/job.ts'
import { createLineReader } from './lines.ts'
import { errorText } from './refusal.ts'
import type { Flavour } from './routes.ts'

/** How a stream stands: `open` means that no final chunk has been seen, `cut` that a native one had at least text. */
export type StreamState =
  | { readonly kind: 'open' }
  | { readonly kind: 'cut' }
  | { readonly kind: 'final' }
  /** `told`: the client of this flavour understands what it has already been sent. */
  | { readonly kind: 'error'; readonly message: string; readonly told: boolean }

export interface StreamWatch {
  push(bytes: Uint8Array): void
  /** Its final chunk has been seen, whole. */
  readonly isFinal: boolean
  /** It has no final chunk that could be seen: only the whole body is an end. */
  readonly endsWithBody: boolean
  /** Where the stream stands after all that was pushed: it ended here. */
  state(): StreamState
  usage(): Usage
}

type Json = Record<string, unknown>

const asNumber = (value: unknown): number | null => (typeof value === 'number' ? value : null)
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const asObject = (value: unknown): Json | null => (isObject(value) ? value : null)

const parse = (text: string): Json | null => {
  try {
    return asObject(JSON.parse(text))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/** Token counts from any flavour's final object. */
export const usageOf = (final: Json): Usage => {
  const usage = asObject(final['usage']) ?? asObject(asObject(final['response'])?.['usage']) ?? {}
  const durationNs = asNumber(final['total_duration'])
  const evalNs = asNumber(final['eval_duration'])
  return {
    promptTokens:
      asNumber(final['prompt_eval_count']) ?? asNumber(usage['prompt_tokens']) ?? asNumber(usage['input_tokens']),
    completionTokens:
      asNumber(final['eval_count']) ?? asNumber(usage['completion_tokens']) ?? asNumber(usage['output_tokens']),
    totalDurationMs: durationNs === null ? null : Math.round(durationNs / 1e6),
    ...(evalNs !== null && { evalMs: evalNs / 1e6 }),
  }
}

interface Mutable {
  state: StreamState
  usage: Usage
  hasText: boolean
}

type ReadLine = (line: string, seen: Mutable) => void

const LOST_TEXT = 'an error was encountered while running the model'

// A quote inside a JSON string is always escaped, so these can only match a member; the parse then says which.
const DONE = /"done"\s*:\s*true|"_debug_info"\s*:/
const ERROR = /^\s*\{\s*"error"\s*:/
const TEXT = /"(?:content|response|thinking)"\s*:\s*"[^"]|"tool_calls"\s*:\s*\[\s*\{/

const readNative: ReadLine = (line, seen) => {
  if (!seen.hasText) seen.hasText = TEXT.test(line)
  if (ERROR.test(line)) {
    seen.state = { kind: 'error', message: errorText(line) ?? line, told: true }
    return
  }
  if (!DONE.test(line)) return
  const object = parse(line)
  if (object?.['done'] !== true && object?.['_debug_info'] === undefined) return
  seen.state = { kind: 'final' }
  seen.usage = usageOf(object)
}

const dataOf = (line: string): string | null => (line.startsWith('data:') ? line.slice(5).trimStart() : null)

const readOpenai: ReadLine = (line, seen) => {
  const data = dataOf(line)
  if (data === null) return
  if (data.startsWith('[DONE]')) {
    if (seen.state.kind === 'open') seen.state = { kind: 'final' }
  } else if (ERROR.test(data)) seen.state = { kind: 'error', message: errorText(data) ?? data, told: true }
  // Ollama loses the text of a failure here and sends a chunk with an empty model instead (wire document, section 4).
  else if (data.includes('"model":""')) {
    if (parse(data)?.['model'] === '') seen.state = { kind: 'error', message: LOST_TEXT, told: false }
  } else if (data.includes('"usage":{')) {
    const object = parse(data)
    if (object !== null) seen.usage = usageOf(object)
  }
}

/** Flavours whose last event has a name. */
const readNamedEvents =
  (finals: readonly string[]): ReadLine =>
  (line, seen) => {
    const data = dataOf(line)
    if (data === null) return
    const isFinal = finals.some((name) => data.includes(`"type":"${name}"`))
    if (!isFinal && !data.includes('"type":"error"') && !data.includes('"usage":{')) return
    const object = parse(data)
    if (object === null) return
    if (object['usage'] !== undefined || asObject(object['response'])?.['usage']) seen.usage = usageOf(object)
    if (object['type'] === 'error') seen.state = { kind: 'error', message: errorText(data) ?? data, told: true }
    else if (finals.includes(String(object['type']))) seen.state = { kind: 'final' }
  }

const readOpaque: ReadLine = (line, seen) => {
  if (line !== '') seen.state = { kind: 'final' }
}

const readers: Record<Flavour, ReadLine> = {
  native: readNative,
  openai: readOpenai,
  anthropic: readNamedEvents(['message_stop']),
  responses: readNamedEvents(['response.completed', 'response.failed', 'response.incomplete']),
}

// Whatever ends a stream has another last line than these: lines before such a one end nothing.
const ordinary: Record<Exclude<Flavour, 'native'>, RegExp> = {
  openai: /"finish_reason":null/,
  anthropic: /"type":"content_block_delta"/,
  responses: /"type":"response\.[a-z_]+\.delta"/,
}

// As the last member of a line it can only be the line's own.
const OPEN = new TextEncoder().encode('"done":false}')

const isOpenNative = (bytes: Uint8Array, start: number, end: number): boolean => {
  const from = end - OPEN.length
  if (from <= start) return false
  for (let at = 0; at < OPEN.length; at++) if (bytes[from + at] !== OPEN[at]) return false
  return true
}

/** Whether an answer of this content type is passed on piece by piece. */
export const isStream = (contentType: string): boolean =>
  contentType.startsWith('application/x-ndjson') || contentType.startsWith('text/event-stream')

/** A watch for a streamed answer. A compressed one (a proxy's doing) is not looked into. Transcriptions call themselves NDJSON on /v1 and have no final chunk: any line will do. */
export const createStreamWatch = (flavour: Flavour, contentType: string, encoded = false): StreamWatch => {
  const seen: Mutable = {
    state: { kind: 'open' },
    usage: { promptTokens: null, completionTokens: null, totalDurationMs: null },
    hasText: false,
  }
  const opaque = encoded || (flavour !== 'native' && contentType.startsWith('application/x-ndjson'))
  const read = opaque ? readOpaque : readers[flavour]
  const decoder = new TextDecoder()
  const isEnough = (bytes: Uint8Array, start: number, end: number): boolean => {
    if (flavour === 'native' && !opaque) {
      if (!isOpenNative(bytes, start, end)) return false
      seen.hasText ||= TEXT.test(decoder.decode(bytes.subarray(start, end)))
      return seen.hasText
    }
    const line = decoder.decode(bytes.subarray(start, end))
    if (flavour !== 'native' && !opaque && !ordinary[flavour].test(line)) return false
    read(line, seen)
    return true
  }
  let ending = false
  let torn = false
  const readLine = (line: string) => {
    // What is left without a newline is a line of its own, or a half one.
    if (ending) torn = parse(line) === null
    read(line, seen)
  }
  const lines = createLineReader(readLine, { isEnough })
  return {
    push: (bytes) => lines.push(bytes),
    endsWithBody: opaque,
    get isFinal() {
      return !opaque && seen.state.kind === 'final'
    },
    state: () => {
      ending = true
      lines.flush()
      return seen.state.kind === 'open' && seen.hasText && !torn ? { kind: 'cut' } : seen.state
    },
    usage: () => seen.usage,
  }
}

const wholeState = (flavour: Flavour, object: Json, text: string): StreamState => {
  const message = object['error'] === undefined || object['error'] === null ? null : errorText(text)
  if (message !== null) return { kind: 'error', message, told: true }
  if (flavour !== 'native' || object['done'] !== false || object['_debug_info'] !== undefined) return { kind: 'final' }
  return { kind: TEXT.test(text) ? 'cut' : 'open' }
}

/** Reads a whole, unstreamed answer: a native one with `done:false` was cut short (wire document, section 4). */
export const readWholeAnswer = (flavour: Flavour, body: Uint8Array): { state: StreamState; usage: Usage } => {
  const text = new TextDecoder().decode(body)
  const object = parse(text) ?? {}
  return { state: wholeState(flavour, object, text), usage: usageOf(object) }
}

// All of a model's counts and then some.
const END_BYTES = 4_096
const COUNT =
  /"(prompt_eval_count|eval_count|total_duration|prompt_tokens|completion_tokens|input_tokens|output_tokens)":\s*(\d+)/g

/** A watch for an answer that is too large to be held: its framing says where it ends, and its last bytes what it cost. */
export const createEndWatch = (): Omit<StreamWatch, 'endsWithBody' | 'state'> => {
  let end: Uint8Array = new Uint8Array(0)
  return {
    push(bytes) {
      // A long piece is kept as it is until the next one comes, not copied.
      end = bytes.length < END_BYTES ? concat([end.subarray(-END_BYTES), bytes]) : bytes
    },
    isFinal: false,
    usage() {
      const counts = [...new TextDecoder().decode(end.subarray(-END_BYTES)).matchAll(COUNT)].map(([, name, count]) => [
        name,
        Number(count),
      ])
      const named = Object.fromEntries(counts)
      return usageOf({ ...named, usage: named })
    },
  }
}

/** What ends a broken stream so that the flavour's clients see a failure (wire document, section 9). */
export const streamErrorBytes = (flavour: Flavour, message: string, atLineStart: boolean): Uint8Array => {
  const error = { type: 'api_error', message }
  const openai = { error: { message, type: 'api_error', param: null, code: null } }
  const text: Record<Flavour, string> = {
    native: `${JSON.stringify({ error: message })}\n`,
    openai: `data: ${JSON.stringify(openai)}\n\n`,
    responses: `event: error\ndata: ${JSON.stringify({ type: 'error', ...openai })}\n\n`,
    anthropic: `event: error\ndata: ${JSON.stringify({ type: 'error', error })}\n\n`,
  }
  // A line that was cut off in its middle is ended first, or the error would be glued to it.
  const gap = atLineStart ? '' : flavour === 'native' ? '\n' : '\n\n'
  return new TextEncoder().encode(gap + text[flavour])
}
