/** A target that takes no time, a process of its own: the Ollama routes that a bench needs, with canned answers. */

const MODEL = 'bench:latest'
const JSON_TYPE = { 'Content-Type': 'application/json; charset=utf-8' }
const NDJSON_TYPE = { 'Content-Type': 'application/x-ndjson' }

const at = '2026-01-01T00:00:00.000000000Z'
const model = {
  name: MODEL,
  model: MODEL,
  modified_at: at,
  size: 2_000_000_000,
  digest: 'a'.repeat(64),
  details: { parent_model: '', format: 'gguf', family: 'llama', families: ['llama'], parameter_size: '3B' },
}
const counts = { total_duration: 1, load_duration: 1, prompt_eval_count: 5, eval_count: 5, eval_duration: 1 }
const chunk = (content: string, rest: object) =>
  `${JSON.stringify({ model: MODEL, created_at: at, message: { role: 'assistant', content }, ...rest })}\n`
const last = { done: true, done_reason: 'stop', ...counts }

const tags = JSON.stringify({ models: [model] })
const ps = JSON.stringify({ models: [{ ...model, expires_at: at, size_vram: model.size, context_length: 4096 }] })
const version = JSON.stringify({ version: '0.33.0' })
const loaded = JSON.stringify({ model: MODEL, created_at: at, response: '', done: true, done_reason: 'load' })
const chat = chunk('Rayleigh scattering: air molecules scatter short, blue waves of sunlight most.', last).trimEnd()
// 768 numbers, as nomic-embed-text answers: about 9 KB.
const vector = Array.from({ length: 768 }, (_, i) => Number(Math.sin(i).toFixed(8)))
const embed = JSON.stringify({ model: MODEL, embeddings: [vector], total_duration: 1, load_duration: 1 })

// Milliseconds of a clock that other processes of the bench can read too.
const clockMs = () => performance.timeOrigin + performance.now()

/** `chunks` pieces, one every `pauseMs`; each says when it was sent. */
const stream = (chunks: number, pauseMs: number): Response => {
  const encoder = new TextEncoder()
  let timer: Timer | undefined
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      let sent = 0
      const send = () => {
        sent++
        controller.enqueue(
          encoder.encode(sent < chunks ? chunk(`tok${sent} at=${clockMs()} `, { done: false }) : chunk('', last)),
        )
        if (sent < chunks) timer = setTimeout(send, pauseMs)
        else controller.close()
      }
      timer = setTimeout(send, pauseMs)
    },
    cancel: () => clearTimeout(timer),
  })
  return new Response(body, { headers: NDJSON_TYPE })
}

/** `/api/chat`: streamed slowly, held for as long as the prompt says (`[[hold=ms]]`), or answered at once (`[[now]]` when streamed). */
const answerChat = async (request: Request): Promise<Response> => {
  const text = await request.text()
  if (text.includes('[[now]]')) return new Response(`${chat}\n`, { headers: NDJSON_TYPE })
  if (!text.includes('"stream":false')) return stream(20, 50)
  const hold = /\[\[hold=(\d+)\]\]/.exec(text)?.[1]
  if (hold !== undefined) await Bun.sleep(Number(hold))
  return new Response(chat, { headers: JSON_TYPE })
}

const canned = (text: string) => () => new Response(text, { headers: JSON_TYPE })
const drained = (text: string) => async (request: Request) => {
  await request.arrayBuffer()
  return new Response(text, { headers: JSON_TYPE })
}

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  idleTimeout: 0,
  development: false,
  routes: {
    '/api/tags': canned(tags),
    '/api/ps': canned(ps),
    '/api/version': canned(version),
    '/api/generate': { POST: drained(loaded) },
    '/api/embed': { POST: drained(embed) },
    '/api/chat': { POST: answerChat },
  },
  fetch: () => new Response('404 page not found', { status: 404 }),
})
process.send?.({ ready: true, port: server.port })
