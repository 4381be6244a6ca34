/** Joins the chunks of a native stream into the one object that `stream:false` would have given. */

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const joined = (chunks: readonly Json[], key: string): string | undefined => {
  const texts = chunks.map((chunk) => chunk[key]).filter((text): text is string => typeof text === 'string')
  return texts.length === 0 ? undefined : texts.join('')
}

const listed = (chunks: readonly Json[], key: string): unknown[] | undefined => {
  const lists = chunks.map((chunk) => chunk[key]).filter(Array.isArray)
  return lists.length === 0 ? undefined : lists.flat()
}

const put = (object: Json, key: string, value: unknown) => {
  if (value !== undefined) object[key] = value
}

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** The final object of /api/chat or /api/generate, or null when not every line is an object. */
export const assembleNative = (lines: readonly string[]): Json | null => {
  const chunks = lines.filter((line) => line.trim() !== '').map(parsed)
  const objects = chunks.filter(isObject)
  const last = objects.length === chunks.length ? objects.at(-1) : undefined
  if (last === undefined) return null
  const whole: Json = { ...last }
  put(whole, 'response', joined(objects, 'response'))
  put(whole, 'thinking', joined(objects, 'thinking'))
  put(whole, 'logprobs', listed(objects, 'logprobs'))
  const messages = objects.map((object) => object['message']).filter(isObject)
  if (messages.length > 0) {
    const message: Json = { ...messages.at(-1) }
    put(message, 'content', joined(messages, 'content'))
    put(message, 'thinking', joined(messages, 'thinking'))
    put(message, 'tool_calls', listed(messages, 'tool_calls'))
    whole['message'] = message
  }
  return whole
}
