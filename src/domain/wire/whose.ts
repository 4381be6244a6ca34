/** Whether an answer is Ollama's own or that of something else at its address (ADR 0018); pure, and it must never trust a status alone. */

import { errorText } from './refusal.ts'
import type { Flavour } from './routes.ts'
import { isBetween } from './statuses.ts'

/** `doubtful`: Ollama may say this, and so may others: what answers /api/version at that moment decides. */
export type Whose =
  | { readonly kind: 'ollama' }
  | { readonly kind: 'doubtful'; readonly words: string }
  | { readonly kind: 'foreign'; readonly words: string }

/** An answer as far as its author shows in it. */
export interface Heard {
  readonly status: number
  readonly contentType: string
  /** Compressed on the way: nothing can be read in it. */
  readonly encoded: boolean
  readonly body: Uint8Array
}

/** What it answers. */
export interface Asked {
  readonly path: string
  readonly flavour: Flavour
  /** Ollama hands on what its cloud said. */
  readonly cloud: boolean
  /** A path that foreman does not know: nothing is known about its answers either. */
  readonly unlisted?: boolean
}

const ollama: Whose = { kind: 'ollama' }

// Every Ollama has had these since 0.1.24: one that says it does not know them is none.
const coreRoutes: ReadonlySet<string> = new Set([
  '/api/chat',
  '/api/embeddings',
  '/api/generate',
  '/api/version',
  '/v1/chat/completions',
])

const hintOf = (status: number): string => {
  if (status === 401 || status === 407 || status === 511 || (status >= 300 && status < 400)) return "a proxy's login?"
  if (status === 403) return 'a proxy that refuses?'
  if (status === 408 || status === 425 || status === 429) return "a proxy's limit?"
  if (status >= 502) return 'a proxy whose server is away?'
  return status >= 500 ? "a proxy's error page?" : 'another service?'
}

/** `401 text/html: that is not Ollama (a proxy's login?)`. */
const wordsOf = ({ status, contentType, body }: Heard): string => {
  const type = contentType.split(';')[0]?.trim() || (body.length === 0 ? 'without a body' : 'without a content type')
  const hint = status === 200 && type === 'text/html' ? "a proxy's login?" : hintOf(status)
  return `${status} ${type}: that is not Ollama (${hint})`
}

const isJsonType = (contentType: string): boolean => /^application\/(json|x-ndjson)\b/i.test(contentType.trim())

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const objectIn = (text: string): Record<string, unknown> | null => {
  try {
    const parsed: unknown = JSON.parse(text)
    return isObject(parsed) ? parsed : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

// Members that only an answer of a model has; one of them is enough, so that newer versions pass.
const answerMembers = [
  'choices',
  'content',
  'created_at',
  'data',
  'done',
  'embedding',
  'embeddings',
  'message',
  'output',
  'response',
  '_debug_info',
]

const looksAnswered = (object: Record<string, unknown>): boolean => {
  // A whole response of /v1/responses says `error: null`.
  if (object['error'] !== undefined && object['error'] !== null) return false
  if (typeof object['model'] === 'string' && answerMembers.some((name) => object[name] !== undefined)) return true
  // The load and unload idioms of old versions, /api/embeddings and transcriptions name no model.
  return object['done'] === true || Array.isArray(object['embedding']) || typeof object['text'] === 'string'
}

// What a runner said, handed on by Ollama as text.
const ofRunner = /^\{"error":\{"code":\d+,/

const ownRefusals: readonly RegExp[] = [
  /^model ('|").* not found/s,
  /^invalid model name$/,
  /^model is required$/,
  /^missing request body$/,
  /^json: cannot unmarshal /,
  /^invalid character /,
  /^(unexpected )?EOF$/,
  / does not support (chat|completion|embeddings|generate|insert|thinking|tools|vision)\b/,
  /^ollama cloud is disabled: /,
  /^use either :local or :cloud, not both/,
]

const ownFailures: readonly RegExp[] = [
  /^llama-server /,
  /^error starting llama-server/,
  /^timed out waiting for (llama-server|llama runner)/,
  /^llama runner process /,
  /^model runner has unexpectedly stopped/,
  /^an error was encountered while running the model/,
  /^option "[^"]*" must be of type /,
  /^invalid format: /,
  /^server busy, please try again\./,
]

const isOwnText = (status: number, message: string): boolean =>
  ofRunner.test(message) || (status < 500 ? ownRefusals : ownFailures).some((pattern) => pattern.test(message))

const whoseJson = (heard: Heard, asked: Asked): Whose => {
  const { status } = heard
  const text = new TextDecoder().decode(heard.body)
  const object = objectIn(text)
  if (status < 300 && object !== null && looksAnswered(object)) return ollama
  const doubtful: Whose = { kind: 'doubtful', words: wordsOf(heard) }
  if (status < 300) return doubtful
  if (object === null) return { kind: 'foreign', words: wordsOf(heard) }
  const message = errorText(text)
  if (message === null) return doubtful
  if (asked.cloud || typeof object['signin_url'] === 'string' || isOwnText(status, message)) return ollama
  // Ollama asks nobody for a login but for its cloud.
  return status === 401 || isBetween(status) ? { kind: 'foreign', words: wordsOf(heard) } : doubtful
}

// Go's own server says these in plain text, and a proxy in front refuses a single request with them: the target is there all the same.
const aboutTheRequest: ReadonlySet<number> = new Set([400, 405, 413, 414, 415, 431])

const isPage = ({ contentType }: Heard): boolean => /^\s*text\/html\b/i.test(contentType)

const whosePlain = (heard: Heard, asked: Asked): Whose => {
  const { status, body } = heard
  const doubtful: Whose = { kind: 'doubtful', words: wordsOf(heard) }
  if (aboutTheRequest.has(status)) return doubtful
  if (body.length === 0) {
    if (asked.unlisted === true && status < 300) return doubtful
    // What is left of a handler of Ollama's that crashed.
    if (status === 500) return doubtful
  } else if (asked.unlisted === true && status < 300 && !isPage(heard)) {
    // Sound, pictures or words: whatever a newer version makes of it.
    return doubtful
  } else if (status === 404 && !coreRoutes.has(asked.path)) {
    // An older version does not know a newer route.
    if (new TextDecoder().decode(body).trim() === '404 page not found') return doubtful
  }
  return { kind: 'foreign', words: wordsOf(heard) }
}

/** Sorts a whole answer by its author. */
export const whoseAnswer = (heard: Heard, asked: Asked): Whose => {
  const { status, contentType, encoded, body } = heard
  if (status >= 300 && status < 400) return { kind: 'foreign', words: wordsOf(heard) }
  // Ollama compresses nothing, but a proxy in front of one may.
  if (encoded) return { kind: 'doubtful', words: wordsOf(heard) }
  const speaksJson =
    isJsonType(contentType) || (contentType === '' && objectIn(new TextDecoder().decode(body)) !== null)
  return speaksJson && body.length > 0 ? whoseJson(heard, asked) : whosePlain(heard, asked)
}

// Enough for the first line of any stream to show whose it is.
const OPENING_BYTES_MAX = 1_024
const NEWLINE = 0x0a

/** Whether the first bytes of a stream, the last of which are at hand, are enough to tell whose it is. */
export const isOpening = (last: Uint8Array, totalBytes = last.length): boolean =>
  totalBytes >= OPENING_BYTES_MAX || last.includes(NEWLINE)

const OPENING =
  /"(model|created_at|message|response|error|choices|object|text|total_duration)"\s*:|^event: ?(message_start|response\.|error)|"type":"(response\.|message_start|error)/

/** Sorts a stream by its first line. A compressed one shows nothing in it. */
export const whoseStream = (contentType: string, opening: Uint8Array, encoded = false): Whose => {
  const text = new TextDecoder().decode(opening.subarray(0, OPENING_BYTES_MAX)).trimStart()
  const words = `a stream of ${contentType.split(';')[0]} that no model made: that is not Ollama (another service?)`
  // An empty stream says nothing; its end will.
  if (text === '' || (!encoded && OPENING.test(text))) return ollama
  return { kind: 'doubtful', words }
}

/** Whether this is Ollama's answer to GET /api/version: the one judgement of every probe and poll. */
export const isOllamaVersion = (status: number, json: unknown): json is { version: string } =>
  status === 200 &&
  typeof json === 'object' &&
  json !== null &&
  'version' in json &&
  typeof json.version === 'string' &&
  json.version !== ''
