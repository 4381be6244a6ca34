/** A target whose generations say what a test says, when it says it; each word's time is kept. It must never speak on its own. */

export interface PacedTarget {
  readonly url: string
  /** Resolves when a generation has begun. */
  begun(): Promise<void>
  /** Sends these bytes as they are; gives the moment (performance.now). */
  say(text: string): number
  /** Says the final chunk and ends the answer. */
  finish(): void
  stop(): void
}

const model = { name: 'tiny:latest', model: 'tiny:latest', digest: 'd', size: 1, details: {} }
const fixed: Record<string, unknown> = {
  '/api/tags': { models: [model] },
  '/api/ps': { models: [model] },
  '/api/version': { version: '0.33.0' },
}

/** One chunk of a chat. */
export const chunkOf = (content: string): string =>
  `${JSON.stringify({ model: 'tiny', created_at: 't', message: { role: 'assistant', content }, done: false })}\n`

const FINAL = `${JSON.stringify({ model: 'tiny', created_at: 't', message: { role: 'assistant', content: '' }, done: true, done_reason: 'stop' })}\n`

/** Starts one on a free port. */
export const startPacedTarget = (): PacedTarget => {
  let stream: ReadableStreamDefaultController<Uint8Array> | null = null
  let announce = () => {}
  let beginning = new Promise<void>((resolve) => {
    announce = resolve
  })
  const answer = () =>
    new Response(
      new ReadableStream<Uint8Array>({
        start(controller) {
          stream = controller
          announce()
        },
      }),
      { headers: { 'Content-Type': 'application/x-ndjson' } },
    )
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url)
      if (pathname in fixed) return Response.json(fixed[pathname])
      if (request.method !== 'POST') return new Response('404 page not found', { status: 404 })
      const { messages = [] } = (await request.json()) as { messages?: unknown[] }
      if (messages.length === 0) return Response.json({ model: 'tiny', done: true, done_reason: 'load' })
      return answer()
    },
  })
  const say = (text: string) => {
    stream?.enqueue(new TextEncoder().encode(text))
    return performance.now()
  }
  return {
    url: `http://127.0.0.1:${server.port}`,
    begun: () => beginning,
    say,
    finish() {
      say(FINAL)
      stream?.close()
      beginning = new Promise<void>((resolve) => {
        announce = resolve
      })
    },
    stop: () => void server.stop(true),
  }
}
