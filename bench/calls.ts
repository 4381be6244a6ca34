/** The fixed calls of the bench, each for a model of the bench's own targets. */
import type { Call } from './wrk.ts'

export const MODEL = 'bench'

const messages = [
  { role: 'system', content: 'You answer in one sentence.' },
  { role: 'user', content: 'Why is the sky blue, and why is it red in the evening?' },
]

// 2 KB, for the queue.
const FILLER = 'A prompt of a length that people do send. '.repeat(44)

export const calls = {
  embed: { path: '/api/embed', body: { model: MODEL, input: 'Why is the sky blue?' } },
  chat: { path: '/api/chat', body: { model: MODEL, messages, stream: false } },
  /** The target takes its time, unless it is the one of much at once. */
  streamedChat: { path: '/api/chat', body: { model: MODEL, messages } },
  /** One line of NDJSON, at once. */
  streamedNow: { path: '/api/chat', body: { model: MODEL, messages: [{ role: 'user', content: '[[now]]' }] } },
  job: { path: '/jobs', body: { model: MODEL, messages: [...messages, { role: 'user', content: FILLER }] } },
} as const satisfies Record<string, Call>

/** An answer that takes so long. */
export const heldChat = (holdMs: number): Call => ({
  path: '/api/chat',
  body: { model: MODEL, messages: [{ role: 'user', content: `[[hold=${holdMs}]]` }], stream: false },
})

/** The call as bytes on the wire. */
export const requestOf = ({ path, body }: Call): string => {
  const text = JSON.stringify(body)
  const headers = `Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}`
  return `POST ${path} HTTP/1.1\r\n${headers}\r\n\r\n${text}`
}

export const post = ({ path, body }: Call, port: number, signal?: AbortSignal): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: JSON.stringify(body), signal: signal ?? null })
