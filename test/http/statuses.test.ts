/** P5 and B4: every cause has its own status, its own shape and its own headers; one test per row. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { failures } from '../../src/domain/job/failure.ts'
import { type Flavour, ollamaRoutes } from '../../src/domain/wire/routes.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { type GenerationPath, generation, generationPaths } from '../support/generation-call.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { healthIs, idle, polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { askOnce, headerOf, openClient, type WireAnswer } from '../support/wire-client.ts'

// Both spaces are Ollama's own.
const BUSY = 'server busy, please try again.  maximum pending requests exceeded'

let simulator: Simulator
let foreman: RunningForeman
const more: RunningForeman[] = []

beforeAll(async () => {
  const models = [{ name: 'tiny' }, { name: 'embed', capabilities: ['embedding'] as const }]
  simulator = await startSimulator({ models, maxLoadedModels: 2 })
  foreman = await runForeman(simulator.url)
  await polled(foreman)
})
afterEach(async () => {
  simulator.fault(null)
  for (const each of more.splice(0)) await each.stop()
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const another = async (env: Record<string, string>, haste = 1): Promise<RunningForeman> => {
  const started = await runForeman(simulator.url, env, { clock: createHastyClock(haste), graceMs: 2_000 })
  more.push(started)
  await polled(started)
  return started
}

const jsonOf = ({ body }: WireAnswer): unknown => JSON.parse(body.toString())

const flavourOf = (path: string): Flavour => ollamaRoutes.find((route) => route.path === path)?.flavour ?? 'native'

const types: Record<number, string> = { 400: 'invalid_request_error', 404: 'not_found_error' }
const anthropicTypes: Record<number, string> = {
  ...types,
  401: 'authentication_error',
  403: 'permission_error',
  503: 'overloaded_error',
}

/** The error body that a route's clients understand. */
const shaped = (path: string, status: number, message: unknown): unknown => {
  switch (flavourOf(path)) {
    case 'native':
      return { error: message }
    case 'anthropic':
      return {
        type: 'error',
        error: { type: anthropicTypes[status] ?? 'api_error', message },
        request_id: expect.stringMatching(/^req_[0-9a-f]{24}$/),
      }
    default:
      return { error: { message, type: types[status] ?? 'api_error', param: null, code: null } }
  }
}

const CHARSET = 'application/json; charset=utf-8'
/** What Ollama says behind its compatible layers has no charset there. */
const late = (path: string) => (flavourOf(path) === 'native' ? CHARSET : 'application/json')

const expectOwn = (answer: WireAnswer, path: string, status: number, message: unknown, type = CHARSET) => {
  expect({ status: answer.status, body: jsonOf(answer) }).toEqual({ status, body: shaped(path, status, message) })
  expect(headerOf(answer, 'content-type')).toBe(type)
  const retryAfter = headerOf(answer, 'retry-after')
  if (status === 503) expect(Number(retryAfter)).toBeGreaterThan(0)
  else expect(retryAfter).toBeNull()
}

const queuedPaths = ollamaRoutes.filter(({ class: of }) => of === 'queued').map(({ path }) => path)
const jsonPaths = queuedPaths.filter((path) => path !== '/v1/audio/transcriptions')

describe('400', () => {
  for (const path of jsonPaths) {
    test(`${path}: unreadable JSON, in Go's own words`, async () => {
      expectOwn(await askOnce(foreman.port, post(path, '{"model":')), path, 400, 'unexpected EOF')
      const bad = "invalid character 'b' looking for beginning of object key string"
      expectOwn(await askOnce(foreman.port, post(path, '{bad}')), path, 400, bad)
    })
    test(`${path}: no body`, async () => {
      const message = flavourOf(path) === 'native' ? 'missing request body' : 'EOF'
      expectOwn(await askOnce(foreman.port, post(path, '')), path, 400, message)
    })
    test(`${path}: a model that is no text`, async () => {
      const message = expect.stringMatching(
        /^json: cannot unmarshal number into Go struct field \w+\.model of type string$/,
      )
      expectOwn(await askOnce(foreman.port, post(path, { model: 5 })), path, 400, message)
    })
    test(`${path}: a model name that is none`, async () => {
      const body = { model: 'a b', messages: [{ role: 'user', content: 'x' }] }
      expectOwn(await askOnce(foreman.port, post(path, body)), path, 400, 'invalid model name', late(path))
    })
  }
  test('a transcription without a form, and one without a model', async () => {
    const path = '/v1/audio/transcriptions'
    const noForm = "failed to parse multipart form: request Content-Type isn't multipart/form-data"
    expectOwn(await askOnce(foreman.port, post(path, 'x')), path, 400, noForm)
    const form = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    const head = `POST ${path} HTTP/1.1\r\nHost: x.local\r\nContent-Type: multipart/form-data; boundary=b`
    const answer = await askOnce(foreman.port, `${head}\r\nContent-Length: ${form.length}\r\n\r\n${form}`)
    expectOwn(answer, path, 400, 'model is required')
  })
  test('an encoding that is none, on /v1', async () => {
    const path = '/v1/chat/completions'
    const answer = await askOnce(foreman.port, post(path, { model: 'tiny' }, ['Content-Encoding: zstd']))
    expectOwn(answer, path, 400, 'the request body is not valid zstd')
  })
})

describe('404', () => {
  for (const path of jsonPaths) {
    test(`${path}: a model that is not installed, in the route's own words`, async () => {
      const messages = [{ role: 'user', content: 'x' }]
      const answer = await askOnce(foreman.port, post(path, { model: 'Nope', max_tokens: 1, messages }))
      expectOwn(answer, path, 404, "model 'Nope' not found", late(path))
    })
  }
  for (const path of ['/api/embed', '/api/embeddings']) {
    test(`${path}: a model that is not installed, in the route's own words`, async () => {
      const answer = await askOnce(foreman.port, post(path, { model: 'Nope', input: 'x' }))
      expect({ status: answer.status, body: jsonOf(answer) }).toEqual({
        status: 404,
        body: { error: 'model "Nope" not found, try pulling it first' },
      })
    })
  }
  test('a generation without a model is a 404, a chat without one a 400, as in Ollama', async () => {
    expectOwn(await askOnce(foreman.port, post('/api/generate', {})), '/api/generate', 404, "model '' not found")
    expectOwn(await askOnce(foreman.port, post('/api/chat', {})), '/api/chat', 400, 'model is required')
  })
  test('an unknown path', async () => {
    const answer = await askOnce(foreman.port, get('/nothing'))
    expect([answer.status, headerOf(answer, 'content-type'), answer.body.toString()]).toEqual([
      404,
      'text/plain',
      '404 page not found',
    ])
  })
})

describe('405', () => {
  for (const { path, methods } of ollamaRoutes.filter(({ path }) => !path.includes(':'))) {
    test(`${path}: a method it does not have, with those it has`, async () => {
      const answer = await askOnce(foreman.port, `PATCH ${path} HTTP/1.1\r\nHost: x.local\r\nContent-Length: 0\r\n\r\n`)
      expect([answer.status, headerOf(answer, 'content-type'), answer.body.toString()]).toEqual([
        405,
        'text/plain',
        '405 method not allowed',
      ])
      expect(headerOf(answer, 'allow')?.split(', ')).toEqual([...methods])
    })
  }
})

describe('403', () => {
  test('what changes the models is refused when foreman is read-only, and all else is not', async () => {
    const readOnly = await another({ FOREMAN_READ_ONLY: 'true' })
    const before = simulator.counters().requests
    for (const { methods, path } of ollamaRoutes.filter(({ writes }) => writes)) {
      const target = path.replace(':digest', 'sha256:00')
      const answer = await askOnce(readOnly.port, post(target, { model: 'tiny' }).replace('POST', methods[0]!))
      expectOwn(answer, path, 403, failures.read_only.sentence)
    }
    for (const path of ['/api/pull', '/api/push', '/api/create', '/api/copy', '/api/delete', '/api/blobs/sha256:00'])
      expect(simulator.counters().requests[path]).toBe(before[path])
    expect((await askOnce(readOnly.port, post('/api/show', { model: 'tiny' }))).status).toBe(200)
  })
})

describe('413 and 431', () => {
  const big = 'x'.repeat(3_000)
  const bodies: Record<string, (path: string) => string> = {
    'with a length': (path) => post(path, big),
    'in chunks': (path) =>
      `POST ${path} HTTP/1.1\r\nHost: x.local\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n${big}\r\n0\r\n\r\n`,
  }
  for (const [how, request] of Object.entries(bodies)) {
    test(`a body above FOREMAN_MAX_BODY, ${how}`, async () => {
      const small = await another({ FOREMAN_MAX_BODY: '2KiB' })
      for (const path of ['/api/chat', '/v1/messages', '/api/embed', '/api/show'])
        expectOwn(await askOnce(small.port, request(path)), path, 413, failures.body_too_large.sentence)
    })
  }
  test('headers of 100 KB', async () => {
    const answer = await askOnce(foreman.port, get('/api/version', [`X-Big: ${'x'.repeat(100_000)}`]))
    expect(answer.status).toBe(431)
  })
})

describe('503', () => {
  test('a full queue, at once, with the words of Ollama on every queued route', async () => {
    const full = await another({ FOREMAN_MAX_QUEUE: '1' })
    const [running, waiting] = [await openClient(full.port), await openClient(full.port)]
    running.send(generation('/api/chat', { stream: true, prompt: '[[silent=60000]]' }))
    await simulator.waitFor(({ open }) => open === 1)
    waiting.send(generation('/api/chat', { stream: true }))
    await healthIs(full, 'one to wait', ({ queue }) => queue.queued === 1)
    for (const path of generationPaths) {
      const startedAt = performance.now()
      expectOwn(await askOnce(full.port, generation(path, { stream: true })), path, 503, BUSY)
      expect(performance.now() - startedAt).toBeLessThan(500)
    }
    running.drop()
    waiting.drop()
    await idle(full)
  })

  test('a foreman that drains, for those who wait; the running one is finished', async () => {
    const draining = await runForeman(simulator.url)
    await polled(draining)
    const running = askOnce(draining.port, generation('/api/chat', { stream: true, prompt: '[[silent=300]]' }))
    await simulator.waitFor(({ open }) => open === 1)
    const waiting = generationPaths.map((path: GenerationPath) => ({
      path,
      answer: askOnce(draining.port, generation(path, { stream: true })),
    }))
    await healthIs(draining, 'all to wait', ({ queue }) => queue.queued === generationPaths.length)
    const stopped = draining.stop()
    for (const { path, answer } of waiting) expectOwn(await answer, path, 503, BUSY)
    expect((await running).status).toBe(200)
    await stopped
  })

  test('a target that cannot be reached until the deadline', async () => {
    const impatient = await another({ FOREMAN_UNREACHABLE_DEADLINE: '2s' }, 20)
    simulator.fault({ kind: 'refuse' })
    for (const path of generationPaths) {
      const answer = await askOnce(impatient.port, generation(path, { stream: true }))
      expectOwn(answer, path, 503, expect.stringContaining(failures.unreachable.sentence))
    }
    const embedding = await askOnce(impatient.port, post('/api/embed', { model: 'embed', input: 'x' }))
    expectOwn(embedding, '/api/embed', 503, expect.stringContaining(failures.unreachable.sentence))
  })

  test("a deadline of the caller's own (Prefer: wait), and one for all", async () => {
    const blocker = await openClient(foreman.port)
    blocker.send(generation('/api/chat', { stream: true, prompt: '[[silent=60000]]' }))
    await simulator.waitFor(({ open }) => open === 1)
    const answer = await askOnce(foreman.port, generation('/api/chat', { stream: true }, ['Prefer: wait=1']))
    expectOwn(answer, '/api/chat', 503, failures.deadline.sentence)
    blocker.drop()
    await idle(foreman)
    const bounded = await another({ FOREMAN_SYNC_DEADLINE: '2s' }, 20)
    const late = await askOnce(bounded.port, generation('/v1/messages', { stream: true, prompt: '[[silent=60000]]' }))
    expectOwn(late, '/v1/messages', 503, failures.deadline.sentence)
  })
})

describe('502 and 504', () => {
  test('a target that breaks off or talks nonsense before the first byte', async () => {
    const once = await another({ FOREMAN_MAX_ATTEMPTS: '1' })
    simulator.fault({ kind: 'reset', phase: 'before-headers', path: '/api/chat' })
    const broken = await askOnce(once.port, generation('/api/chat', { stream: true }))
    expectOwn(broken, '/api/chat', 502, expect.stringContaining(failures.broke_off.sentence))
    simulator.fault(null)
    simulator.fault({ kind: 'malformed-chunk', chunks: 0, path: '/v1/chat/completions' })
    const garbled = await askOnce(once.port, generation('/v1/chat/completions', { stream: true }))
    const message = expect.stringContaining(failures.malformed_answer.sentence)
    expectOwn(garbled, '/v1/chat/completions', 502, message)
  })

  test('work that takes longer than FOREMAN_JOB_TIMEOUT', async () => {
    const bounded = await another({ FOREMAN_JOB_TIMEOUT: '3s' }, 20)
    for (const path of generationPaths) {
      const answer = await askOnce(bounded.port, generation(path, { stream: false, prompt: '[[silent=60000]]' }))
      expectOwn(answer, path, 504, failures.job_timeout.sentence)
    }
  })
})

describe('an answer from the queue', () => {
  for (const path of generationPaths) {
    test(`${path} names its job, and how long it waited when it did`, async () => {
      const running = askOnce(foreman.port, generation(path, { stream: false, prompt: '[[silent=50]]' }))
      await simulator.waitFor(({ open }) => open === 1)
      const waited = await askOnce(foreman.port, generation(path, { stream: true }))
      expect(headerOf(waited, 'x-foreman-job-id')).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/)
      expect(Number(headerOf(waited, 'x-foreman-queue-ms'))).toBeGreaterThan(20)
      expect((await running).status).toBe(200)
      const refused = await askOnce(foreman.port, generation(path, { stream: true, prompt: '[[err=418]]' }))
      expect([refused.status, headerOf(refused, 'x-foreman-job-id')?.length]).toEqual([418, 26])
    })
  }
})
