/** An Ollama whose every answer is a function of what it was asked, to the byte, so that two ways to it can be compared; it keeps what it was asked. */

export interface EchoServer {
  readonly url: string
  readonly port: number
  /** What asked for a model's work, in order. */
  readonly asked: readonly { readonly path: string; readonly headers: Headers; readonly body: string }[]
  /** What is said to the next work; null = the answer. */
  says: ((path: string) => Response | Promise<Response> | null) | null
  stop(): Promise<void>
}

const words = (body: string): string[] =>
  Array.from(new Bun.CryptoHasher('sha256').update(body).digest('hex').slice(0, 12))

const native = (model: string, parts: readonly string[], isChat: boolean): string[] => {
  const line = (content: string, done: boolean) => {
    const said = isChat ? { message: { role: 'assistant', content } } : { response: content }
    const end = done ? { done_reason: 'stop', total_duration: 5, eval_count: parts.length } : {}
    return `${JSON.stringify({ model, created_at: 't', ...said, done, ...end })}\n`
  }
  return [...parts.map((part) => line(part, false)), line('', true)]
}

const openai = (model: string, parts: readonly string[]): string[] => {
  const event = (delta: object, finish: string | null) => {
    const choices = [{ index: 0, delta, finish_reason: finish }]
    return `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', model, choices })}\n\n`
  }
  return [...parts.map((part) => event({ content: part }, null)), event({}, 'stop'), 'data: [DONE]\n\n']
}

const anthropic = (model: string, parts: readonly string[]): string[] => {
  const event = (type: string, more: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
  return [
    event('message_start', { message: { id: 'msg_1', type: 'message', role: 'assistant', model, content: [] } }),
    ...parts.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: parts.length } }),
    event('message_stop', {}),
  ]
}

const streamOf = (pieces: readonly string[], contentType: string): Response => {
  const left = [...pieces]
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = left.shift()
      if (piece === undefined) return controller.close()
      controller.enqueue(new TextEncoder().encode(piece))
      // A turn of its own, so that the pieces travel one by one.
      await new Promise((resolve) => setImmediate(resolve))
    },
  })
  return new Response(body, { headers: { 'Content-Type': contentType } })
}

const answerTo = (path: string, body: string): Response => {
  const { model = '', input } = JSON.parse(body) as { model?: string; input?: unknown }
  const parts = words(body)
  if (path === '/v1/messages') return streamOf(anthropic(model, parts), 'text/event-stream')
  if (path === '/v1/chat/completions') return streamOf(openai(model, parts), 'text/event-stream')
  if (path === '/api/embed') return Response.json({ model, embeddings: [[parts.length, String(input).length]] })
  return streamOf(native(model, parts, path === '/api/chat'), 'application/x-ndjson')
}

/** Knows these models, has them loaded, and answers at once. */
export const startEchoServer = (models: readonly string[], port = 0): EchoServer => {
  const asked: { path: string; headers: Headers; body: string }[] = []
  const list = models.map((name) => ({ name: `${name}:latest`, model: `${name}:latest`, digest: 'd', size: 1 }))
  const server: EchoServer = {
    url: '',
    port: 0,
    asked,
    says: null,
    stop: () => listener.stop(true),
  }
  const listener = Bun.serve({
    hostname: '127.0.0.1',
    port,
    idleTimeout: 0,
    async fetch(request) {
      const path = new URL(request.url).pathname
      if (request.method === 'GET')
        return Response.json(path === '/api/version' ? { version: '0.33.0' } : { models: list })
      const body = await request.text()
      const isLoad = path === '/api/generate' && !body.includes('"prompt"')
      if (isLoad) return Response.json({ model: 'x', done: true, done_reason: 'load' })
      asked.push({ path, headers: request.headers, body })
      return (await server.says?.(path)) ?? answerTo(path, body)
    },
  })
  return Object.assign(server, { url: `http://127.0.0.1:${listener.port}`, port: listener.port ?? 0 })
}
