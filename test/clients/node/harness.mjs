/** What every client program of JavaScript shares: the cases that are the same for all streams, and one line of JSON per case; it must never judge a result. */
const { BASE = '', CONTROL = '', FOREMAN = '', WAIT_MS = '1500', LIMIT_MS = '2000' } = process.env

export const base = BASE
export const models = { chat: 'llama3.2:3b', think: 'qwen3:8b', see: 'gemma3:4b', embed: 'nomic-embed-text' }
export const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
export const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' } },
  required: ['name', 'age'],
}
export const weather = {
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
}

/** What a client with little patience asks for, and how long it waits for headers. */
export const signsOfLife = { 'X-Foreman-Heartbeat': '1s' }
export const limitMs = Number(LIMIT_MS)

/** A fetch that gives up when no headers come, as Node's own does after 300 s. */
export const impatientFetch = async (url, init = {}) => {
  const both = new AbortController()
  const follow = () => both.abort(init.signal.reason)
  if (init.signal?.aborted) follow()
  else init.signal?.addEventListener('abort', follow)
  const limit = setTimeout(() => both.abort(new Error('no headers in time')), limitMs)
  try {
    return await fetch(url, { ...init, signal: both.signal })
  } finally {
    clearTimeout(limit)
  }
}

const json = async (url) => (await fetch(url)).json()
const command = (fault) => fetch(`${CONTROL}/fault`, { method: 'POST', body: JSON.stringify(fault) })
const calm = () => fetch(`${CONTROL}/fault`, { method: 'DELETE' })

/** Looks every 20 ms; the milliseconds it took, or null past the limit. */
const until = async (limitMs, isSo) => {
  const startedAt = performance.now()
  for (;;) {
    if (await isSo()) return performance.now() - startedAt
    if (performance.now() - startedAt > limitMs) return null
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const waiting = async () => {
  if (FOREMAN === '') return Math.max(0, (await json(`${CONTROL}/counters`)).open - 1)
  return (await json(`${FOREMAN}/healthz`)).queue.queued
}

/** Nothing runs or waits anywhere. */
const isQuiet = async () => {
  if ((await json(`${CONTROL}/counters`)).open > 0) return false
  if (FOREMAN === '') return true
  const { queue, target } = await json(`${FOREMAN}/healthz`)
  return target.reachable && queue.queued === 0 && queue.working === 0
}

// What differs from call to call, and what a clock says.
const passing =
  /^(id|call_id|item_id|tool_call_id|toolCallId|request_id|_request_id|created|created_at|createdAt|completed_at|modified_at|expires_at|timestamp|headers|body|response|.*_duration)$/

/** A result as it can be compared: what passes by is left out. */
export const kept = (value) => {
  const plain = JSON.parse(JSON.stringify(value ?? null))
  const strip = (node) => {
    if (Array.isArray(node)) return node.map(strip)
    if (typeof node !== 'object' || node === null) return node
    return Object.fromEntries(
      Object.entries(node)
        .filter(([key, inner]) => !passing.test(key) || (key === 'response' && typeof inner === 'string'))
        .map(([key, inner]) => [key, strip(inner)]),
    )
  }
  return strip(plain)
}

const errorOf = (error) => ({
  raised: error?.constructor?.name ?? String(error),
  status: error?.status ?? error?.statusCode ?? error?.status_code ?? null,
  message: String(error?.message ?? error)
    .replace(/req_[0-9a-zA-Z]+/g, 'req_')
    .slice(0, 400),
})

const tried = async (act) => {
  try {
    return kept(await act())
  } catch (error) {
    return errorOf(error)
  }
}

const ended = (call) => call.then(nothing, nothing)

const nothing = () => {}

/** Whether it is over in time. */
const within = (limitMs, call) =>
  Promise.race([call.then(() => true), new Promise((resolve) => setTimeout(resolve, limitMs, false))])

/** Somebody else's generation, which takes so long. */
const occupy = async (ms) => {
  const leave = new AbortController()
  const body = JSON.stringify({ model: models.chat, prompt: `[[n=${Math.round(ms / 10)}]]`, stream: true })
  const answer = await fetch(`${BASE}/api/generate`, { method: 'POST', body, signal: leave.signal })
  const done = answer.text().catch(() => null)
  return { done, leave: () => leave.abort() }
}

/** Faults in the middle of a stream; `restart` is commanded once the stream has begun. */
const midway = {
  reset: { kind: 'reset', phase: 'mid-body', chunks: 3, times: 1 },
  truncate: { kind: 'truncate', chunks: 3, times: 1 },
  'malformed-chunk': { kind: 'malformed-chunk', chunks: 3, times: 1 },
  'error-mid-stream': { kind: 'error-mid-stream', text: 'the runner died', chunks: 3, times: 1 },
  'out-of-memory': { kind: 'error-mid-stream', text: 'CUDA error: out of memory', chunks: 3, times: 1 },
  restart: null,
}

const prompt = 'Why is the sky blue?'

const waited = async (ms, ask) => {
  const startedAt = performance.now()
  const other = await occupy(ms)
  try {
    const said = await ask()
    return { said, waited: performance.now() - startedAt >= ms * 0.8 }
  } finally {
    await other.done
  }
}

/** What has to do with waiting; `ask` as below. An impatient client waits longer than its limit. */
const waitCases = (ask) => ({
  'wait-in-queue': () => waited(Number(WAIT_MS), () => ask({ model: models.chat, prompt })),
  'wait-impatient': () => waited(limitMs * 1.5, () => ask({ model: models.chat, prompt, impatient: true })),
  'target-away': async () => {
    await command({ kind: 'refuse' })
    return ask({ model: models.chat, prompt })
  },
  // The head has gone out when it becomes known that there will be no answer.
  'target-away-late': async () => {
    await command({ kind: 'refuse' })
    return ask({ model: models.chat, prompt, impatient: true })
  },
})

/** `ask({ model, prompt, signal, onFirst, impatient })` consumes one stream of `path` and answers what it said. */
const streamCases = (path, ask) => {
  const cases = {
    stream: () => ask({ model: models.chat, prompt }),
    'unknown-model': () => ask({ model: 'nope', prompt }),
    'abort-midway': async () => {
      const leave = new AbortController()
      const call = ended(
        ask({ model: models.chat, prompt: '[[n=400]]', signal: leave.signal, onFirst: () => leave.abort() }),
      )
      await new Promise((resolve) => leave.signal.addEventListener('abort', resolve))
      return {
        'ended within 1 s': await within(1_000, call),
        'quiet within 1 s': (await until(1_000, isQuiet)) !== null,
      }
    },
    'abort-queued': async () => {
      const other = await occupy(60_000)
      const leave = new AbortController()
      const call = ended(ask({ model: models.chat, prompt, signal: leave.signal }))
      const queued = (await until(30_000, async () => (await waiting()) >= 1)) !== null
      leave.abort()
      const isOver = await within(1_000, call)
      const left = (await until(1_000, async () => (await waiting()) === 0)) !== null
      other.leave()
      await other.done
      await call
      return { 'ended within 1 s': isOver, queued, 'left within 1 s': left }
    },
    ...waitCases(ask),
  }
  for (const [kind, fault] of Object.entries(midway))
    cases[`fails-${kind}`] = async () => {
      // Loaded, so that the fault meets the stream and not its load.
      await (await occupy(10)).done
      if (fault !== null) await command({ ...fault, path })
      const onFirst = fault === null ? () => command({ kind: 'restart' }) : undefined
      return ask({ model: models.chat, prompt: '[[n=400]]', onFirst })
    }
  return cases
}

/** Runs every case and prints what came of it. `streams`: one entry per path, and perhaps a word behind it; `whole`: one answer in one piece. */
export const run = async ({ client, version, cases, streams, whole }) => {
  const all = { ...cases }
  for (const [name, act] of Object.entries(waitCases(whole))) all[`whole ${name}`] = act
  for (const [path, ask] of Object.entries(streams))
    for (const [name, act] of Object.entries(streamCases(path.split(' ')[0], ask))) all[`${path} ${name}`] = act
  for (const [name, act] of Object.entries(all)) {
    const startedAt = performance.now()
    const result = await tried(act)
    await calm()
    await until(10_000, isQuiet)
    const ms = Math.round(performance.now() - startedAt)
    process.stdout.write(`${JSON.stringify({ client, version, case: name, ms, result })}\n`)
  }
  process.exit(0)
}
