/** The fixed requests of the bench, as bytes on the wire. */

const post = (path: string, body: object): string => {
  const text = JSON.stringify(body)
  const headers = `Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}`
  return `POST ${path} HTTP/1.1\r\n${headers}\r\n\r\n${text}`
}

const messages = [
  { role: 'system', content: 'You answer in one sentence.' },
  { role: 'user', content: 'Why is the sky blue, and why is it red in the evening?' },
]

const FILLER = 'A prompt of a length that people do send. '.repeat(44)
const jobBody = { model: 'bench', messages: [...messages, { role: 'user', content: FILLER }] }

/** A model of the bench's own target. */
export const MODEL = 'bench'

export const requests = {
  tags: 'GET /api/tags HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
  embed: post('/api/embed', { model: MODEL, input: 'Why is the sky blue?' }),
  chat: post('/api/chat', { model: MODEL, messages, stream: false }),
  streamedChat: post('/api/chat', { model: MODEL, messages }),
  /** 2 KB for the queue, and for the bare server's ways around its group commit. */
  job: post('/jobs', jobBody),
  directJob: post('/direct', jobBody),
  sameRowsJob: post('/same-rows', jobBody),
  /** An answer that takes so long. */
  heldChat: (milliseconds: number) =>
    post('/api/chat', {
      model: MODEL,
      messages: [{ role: 'user', content: `[[hold=${milliseconds}]]` }],
      stream: false,
    }),
} as const
