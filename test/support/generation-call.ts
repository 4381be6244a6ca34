/** One generation in each API's own words, and how each API's clients see its end; it must never know about foreman. */
import { post } from './raw-client.ts'
import type { WireAnswer } from './wire-client.ts'

/** The routes whose requests are generations and whose bodies are JSON. */
export const generationPaths = [
  '/api/chat',
  '/api/generate',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/messages',
  '/v1/responses',
] as const

export type GenerationPath = (typeof generationPaths)[number]

export interface GenerationOptions {
  readonly stream: boolean
  readonly prompt?: string
  readonly model?: string
  /** More members of the body. */
  readonly more?: Readonly<Record<string, unknown>>
}

const askWith: Record<GenerationPath, (prompt: string) => Record<string, unknown>> = {
  '/api/chat': (prompt) => ({ messages: [{ role: 'user', content: prompt }] }),
  '/api/generate': (prompt) => ({ prompt }),
  '/v1/chat/completions': (prompt) => ({ messages: [{ role: 'user', content: prompt }] }),
  '/v1/completions': (prompt) => ({ prompt }),
  '/v1/messages': (prompt) => ({ max_tokens: 1_000, messages: [{ role: 'user', content: prompt }] }),
  '/v1/responses': (prompt) => ({ input: prompt }),
}

/** A complete request. */
export const generation = (
  path: GenerationPath,
  { stream, prompt = '[[n=5]]', model = 'tiny', more = {} }: GenerationOptions,
  headers: readonly string[] = [],
): string => post(path, { model, stream, ...askWith[path](prompt), ...more }, headers)

const finals: Record<GenerationPath, string> = {
  '/api/chat': '"done":true',
  '/api/generate': '"done":true',
  '/v1/chat/completions': 'data: [DONE]\n\n',
  '/v1/completions': 'data: [DONE]\n\n',
  '/v1/messages': 'event: message_stop',
  '/v1/responses': 'event: response.completed',
}

// What the SDKs throw on (wire document, section 9).
const errors: Record<GenerationPath, RegExp> = {
  '/api/chat': /(^|\n)\{"error":"[^\n]+"\}\n$/,
  '/api/generate': /(^|\n)\{"error":"[^\n]+"\}\n$/,
  '/v1/chat/completions': /(^|\n\n)data: \{"error":\{"message":"[^\n]+\}\n\n$/,
  '/v1/completions': /(^|\n\n)data: \{"error":\{"message":"[^\n]+\}\n\n$/,
  '/v1/messages': /(^|\n\n)event: error\ndata: \{"type":"error","error":\{[^\n]+\}\n\n$/,
  '/v1/responses': /(^|\n\n)event: error\ndata: \{"type":"error",[^\n]+\}\n\n$/,
}

/** How an answer looks to the clients of its API. */
export type Seen = 'done' | 'error in the stream' | 'cut' | number

/** Tells how it looks: a status that is not 200 stands for itself. */
export const seenBy = (path: GenerationPath, stream: boolean, { status, body, ending }: WireAnswer): Seen => {
  if (status !== 200) return status
  const text = body.toString()
  if (ending !== 'complete') return 'cut'
  if (!stream) return (JSON.parse(text) as { error?: unknown }).error ? 'cut' : 'done'
  if (errors[path].test(text)) return text.includes(finals[path]) ? 'cut' : 'error in the stream'
  return text.includes(finals[path]) ? 'done' : 'cut'
}
