/** A server that speaks the shapes of /jobs for the commands, and what it was asked; answers are scripted per test. */

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Headers
  readonly body: string
}

type Answer = (asked: Asked) => Response | Promise<Response>

export interface JobStub {
  readonly url: string
  readonly asked: readonly Asked[]
  stop(): Promise<void>
}

/** Answers from a table of `METHOD /path`; the rest is a problem 404 as foreman gives it. */
export const createJobStub = (answers: Record<string, Answer>): JobStub => {
  const asked: Asked[] = []
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    development: false,
    idleTimeout: 0,
    fetch: async (request) => {
      const { pathname: path, search } = new URL(request.url)
      const { method, headers } = request
      const one = { method, path, query: search.slice(1), headers, body: await request.text() }
      asked.push(one)
      return (
        (await answers[`${method} ${path}`]?.(one)) ??
        problem(404, 'there is no job with this id: it may have been swept')
      )
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, asked, stop: () => server.stop(true) }
}

export const problem = (status: number, detail: string, headers: Record<string, string> = {}): Response =>
  Response.json(
    { type: '/problems/x', title: 'A title', status, detail, instance: '/jobs', code: 'x' },
    { status, headers: { 'content-type': 'application/problem+json', ...headers } },
  )

export const jobId = '01JQZX4T8M9V2K7C5N3B6D1F0G'
export const otherId = '01JQZX4T8M9V2K7C5N3B6D1F0H'

/** A job as GET /jobs/{id} tells it. */
export const jobJson = (change: object = {}) => ({
  id: jobId,
  model: 'qwen3:14b',
  state: 'queued',
  attempt: 0,
  max_attempts: 3,
  deferrals: 0,
  error: null,
  result: null,
  artifacts: [],
  state_webhook_url: null,
  webhook: null,
  position: null,
  eta_seconds: null,
  created_at: '2026-01-31T12:00:00.000Z',
  updated_at: '2026-01-31T12:00:00.000Z',
  started_at: null,
  completed_at: null,
  usage: { prompt_tokens: null, completion_tokens: null, total_duration_ms: null },
  ...change,
})

export const doneJson = (content: string, change: object = {}) =>
  jobJson({
    state: 'done',
    attempt: 1,
    result: { model: 'qwen3:14b', message: { role: 'assistant', content }, done: true },
    artifacts: [{ name: 'completion', content_type: 'application/json', size: 1200, inline: {}, url: null }],
    started_at: '2026-01-31T12:00:05.000Z',
    completed_at: '2026-01-31T12:00:17.000Z',
    usage: { prompt_tokens: 9, completion_tokens: 40, total_duration_ms: 12_000 },
    ...change,
  })

export const failedJson = (change: object = {}) =>
  jobJson({
    state: 'failed',
    attempt: 3,
    error: { code: 'broke_off', message: 'the target broke off before its answer was complete' },
    ...change,
  })

export const accepted = (change: object = {}) =>
  Response.json(
    { job_id: jobId, state: 'queued', position: 3, eta_seconds: 42, ...change },
    { status: 202, headers: { location: `/jobs/${jobId}` } },
  )

export const transition = (sequence: number, state: string, previous: string | null = null) => {
  const data = {
    job_id: jobId,
    state,
    previous_state: previous,
    sequence,
    timestamp: '2026-01-31T12:00:00.000Z',
    model: 'qwen3:14b',
    attempt: 1,
    error: null,
    result: null,
  }
  return `event: transition\nid: ${sequence}\ndata: ${JSON.stringify(data)}\n\n`
}

export const chunk = (content: string) =>
  `event: chunk\ndata: ${JSON.stringify({ model: 'qwen3:14b', message: { role: 'assistant', content }, done: false })}\n\n`

/** An event stream with this text; it ends in order, or breaks off in the middle when `cut` resolves. */
export const eventStream = (frames: readonly string[], { cut }: { cut?: Promise<unknown> } = {}): Response => {
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      for (const frame of frames) controller.enqueue(new TextEncoder().encode(frame))
      if (cut === undefined) return controller.close()
      await cut
      controller.error(new Error('cut on purpose'))
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}
