/** What Ollama refuses before it loads a model (ADR 0019): cheap checks of a body, each one that Ollama makes too; whatever is in doubt is not refused here. */
import { isEmptyList } from './call.ts'
import { decodeField, type Field, field, fieldsOf, type JsonType, type Scan, scanObject } from './go-json.ts'
import { parseCallerKeepAlive } from './keep-alive.ts'
import type { Route } from './routes.ts'

/** Whether the body is refused whatever the model, and what the model must be able to do. */
export interface Precheck {
  readonly isRefused: boolean
  /** Capabilities as /api/show names them. */
  readonly needs: readonly string[]
}

const fine: Precheck = { isRefused: false, needs: [] }

// Longer bodies and members are not looked into: a check must cost nothing beside the call.
const BODY_BYTES_MAX = 1_048_576
const MEMBER_BYTES_MAX = 65_536

const common: Readonly<Record<string, JsonType>> = {
  _debug_render_only: 'bool',
  logprobs: 'bool',
  options: 'object',
  shift: 'bool',
  top_logprobs: 'number',
  truncate: 'bool',
}

/** The types of api.ChatRequest, api.GenerateRequest and of the compatible requests; null is always allowed. */
const memberTypes: Readonly<Record<string, Readonly<Record<string, JsonType>>>> = {
  '/api/chat': { ...common, messages: 'array', tools: 'array' },
  '/api/generate': {
    ...common,
    context: 'array',
    images: 'array',
    prompt: 'string',
    raw: 'bool',
    suffix: 'string',
    system: 'string',
    template: 'string',
  },
  '/v1/chat/completions': { messages: 'array', tools: 'array' },
  '/v1/completions': { prompt: 'string', suffix: 'string' },
  '/v1/messages': { max_tokens: 'number', messages: 'array' },
  '/v1/responses': {},
}

/** api.Options and api.Runner: what each option must be. */
const optionTypes: Readonly<Record<string, 'bool' | 'number' | 'strings'>> = {
  draft_num_predict: 'number',
  frequency_penalty: 'number',
  main_gpu: 'number',
  min_p: 'number',
  num_batch: 'number',
  num_ctx: 'number',
  num_gpu: 'number',
  num_keep: 'number',
  num_predict: 'number',
  num_thread: 'number',
  presence_penalty: 'number',
  repeat_last_n: 'number',
  repeat_penalty: 'number',
  seed: 'number',
  stop: 'strings',
  temperature: 'number',
  top_k: 'number',
  top_p: 'number',
  typical_p: 'number',
  use_mmap: 'bool',
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isOption = (value: unknown, type: 'bool' | 'number' | 'strings'): boolean => {
  if (value === null || value === undefined) return true
  if (type === 'strings') return Array.isArray(value) && value.every((item) => typeof item === 'string')
  return typeof value === (type === 'bool' ? 'boolean' : 'number')
}

/** Options match by their exact name; unknown ones are Ollama's to ignore. */
const areOptions = (options: unknown): boolean =>
  !isObject(options) || Object.entries(optionTypes).every(([name, type]) => isOption(options[name], type))

const BASE64 = /^(?:[A-Za-z0-9+/\r\n]*)={0,2}[\r\n]*$/

const isImage = (value: unknown): boolean => typeof value !== 'string' || BASE64.test(value)

const isText = (value: unknown): boolean => value === undefined || value === null || typeof value === 'string'

const isMessage = (message: unknown): boolean => {
  if (message === null) return true
  if (!isObject(message)) return false
  const { role, content, thinking, images } = message
  const areImages = images === undefined || images === null || (Array.isArray(images) && images.every(isImage))
  return isText(role) && isText(content) && isText(thinking) && areImages
}

const levels: ReadonlySet<unknown> = new Set(['high', 'low', 'max', 'medium'])

type Read = (name: string) => unknown

/** Undefined for an absent member, for null, and for one that is too long to look into. */
const reader =
  (body: Uint8Array, scan: Scan): Read =>
  (name) => {
    const found = field(scan, name)
    return found === undefined || found.type === 'null' ? undefined : decodeField(body, found, MEMBER_BYTES_MAX)
  }

const isWrongNative = (path: string, read: Read): boolean => {
  const think = read('think')
  if (think !== undefined && typeof think !== 'boolean' && !levels.has(think)) return true
  const top = read('top_logprobs')
  if (typeof top === 'number' && (top < 0 || top > 20)) return true
  if (parseCallerKeepAlive(read('keep_alive')).kind === 'invalid') return true
  const [spoken, isRight] = path === '/api/chat' ? [read('messages'), isMessage] : [read('images'), isImage]
  return (Array.isArray(spoken) && !spoken.every(isRight)) || !areOptions(read('options'))
}

/** A picture that Ollama would have to fetch. */
const isLinked = (part: unknown): boolean => {
  if (!isObject(part) || part.type !== 'image_url') return false
  const url = isObject(part.image_url) ? part.image_url.url : part.image_url
  return typeof url === 'string' && /^https?:\/\//.test(url)
}

const hasLinkedImage = (messages: unknown): boolean =>
  Array.isArray(messages) &&
  messages.some((message) => isObject(message) && Array.isArray(message.content) && message.content.some(isLinked))

const isWrongCompatible = (path: string, scan: Scan, read: Read): boolean => {
  if (path === '/v1/completions' || path === '/v1/responses') return false
  const messages = field(scan, 'messages')
  const isEmpty = messages === undefined || messages.type === 'null' || read('messages')?.toString() === ''
  if (path === '/v1/chat/completions') return isEmpty || hasLinkedImage(read('messages'))
  const most = read('max_tokens')
  return isEmpty || most === undefined || (typeof most === 'number' && most <= 0)
}

const isFilledList = (value: unknown): value is readonly unknown[] => Array.isArray(value) && value.length > 0

/** Pictures are too long to look into; that there are some is seen without. */
const hasItems = (body: Uint8Array, scan: Scan, name: string): boolean => {
  const found = field(scan, name)
  return found?.type === 'array' && !isEmptyList(body, found)
}

/** What of the tools that would run at OpenAI's reaches the model is in doubt. */
const isFunction = (tool: unknown): boolean => isObject(tool) && tool.type === 'function'

/** What the OpenAI routes call `think`; that of Anthropic drops a wish that cannot be fulfilled. */
const effortOf = (path: string, read: Read): unknown => {
  const reasoning = read('reasoning')
  const nested = isObject(reasoning) ? reasoning.effort : undefined
  if (path === '/v1/chat/completions') return read('reasoning_effort') || nested
  return path === '/v1/responses' ? nested : undefined
}

const needsOf = (path: string, body: Uint8Array, scan: Scan, read: Read): string[] => {
  const needs = ['completion']
  const tools = read('tools')
  if (isFilledList(tools) && (path !== '/v1/responses' || tools.some(isFunction))) needs.push('tools')
  const mayInsert = path === '/api/generate' || path === '/v1/completions'
  if (mayInsert && read('suffix') !== undefined && read('suffix') !== '') needs.push('insert')
  if (!path.startsWith('/api/')) return levels.has(effortOf(path, read)) ? [...needs, 'thinking'] : needs
  if (path === '/api/generate' && hasItems(body, scan, 'images')) needs.push('vision')
  const think = read('think')
  if (think === true || levels.has(think)) needs.push('thinking')
  return needs
}

const hasWrongType = (path: string, scan: Scan): boolean => {
  const isWrong = (type: JsonType) => (found: Field) => found.type !== 'null' && found.type !== type
  return Object.entries(memberTypes[path] ?? {}).some(([name, type]) => fieldsOf(scan, name).some(isWrong(type)))
}

/** Checks a body whose model is known to be named. */
export const precheck = ({ path }: Route, body: Uint8Array): Precheck => {
  if (memberTypes[path] === undefined || body.length > BODY_BYTES_MAX) return fine
  const scan = scanObject(body, () => true)
  if (scan.kind !== 'object') return fine
  const read = reader(body, scan)
  const isNative = path.startsWith('/api/')
  const isWrong =
    hasWrongType(path, scan) || (isNative ? isWrongNative(path, read) : isWrongCompatible(path, scan, read))
  return { isRefused: isWrong, needs: needsOf(path, body, scan, read) }
}
