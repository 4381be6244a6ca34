/** Section 4 of the specification: a POST that foreman does not know and that names a model waits in the queue, everything else that it does not know passes. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { ollamaRoutes } from '../../src/domain/wire/routes.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { type StubTarget, startStubTarget } from '../support/stub-target.ts'
import { askOnce, headerOf } from '../support/wire-client.ts'

type Answer = Response | string

let target: StubTarget
let foreman: RunningForeman
let answerTo: (path: string) => Answer

const JSON_ANSWER = '{"input_tokens":7}'
const known = () => new Response(JSON_ANSWER, { headers: { 'Content-Type': 'application/json' } })
const noRoute = () => new Response('404 page not found', { status: 404, headers: { 'Content-Type': 'text/plain' } })
const loads = (path: string) => (path === '/api/generate' ? Response.json({ model: 'm', done: true }) : null)

beforeAll(async () => {
  answerTo = known
  target = startStubTarget((path) => loads(path) ?? answerTo(path))
  foreman = await runForeman(target.url, { FOREMAN_POLL_INTERVAL: '1h' })
  await polled(foreman)
})
afterEach(() => {
  answerTo = known
})
afterAll(async () => {
  await foreman.stop()
  await target.stop()
})

const isQueued = (answer: Awaited<ReturnType<typeof askOnce>>) => headerOf(answer, 'x-foreman-job-id') !== null
const ask = (path: string, body: unknown) => askOnce(foreman.port, post(path, body))

// Routes of Ollama 0.14 to 0.33 that the table does not have, and those announced or proposed since.
const namingModel = [
  '/v1/images/generations',
  '/v1/images/edits',
  '/v1/messages/count_tokens',
  '/v1/chat/completions/input_tokens',
  '/v1/responses/input_tokens',
  '/v1/rerank',
  '/v1/audio/speech',
  '/api/tokenize',
  '/api/detokenize',
  '/api/slot/save',
  '/api/slot/restore',
  '/api/slot/erase',
  '/api/experimental/kv/save',
  '/api/experimental/kv/restore',
]
const passing = [
  'GET /api/usage',
  'GET /api/config',
  'PUT /api/config',
  'GET /api/monitor',
  'GET /v1/batches',
  // 0.15.6 to 0.17.7: names of models for other models, and none of them needs one.
  'GET /api/experimental/aliases',
  'POST /api/experimental/aliases',
  'DELETE /api/experimental/aliases',
]
/** What routes.go registered at the tags v0.14.0 to v0.32.15 and at v0.33.0-rc2, and in which of them where not in all. */
const registered: readonly (readonly [route: string, since?: string, until?: string])[] = [
  ['GET /'],
  ['HEAD /'],
  ['GET /api/version'],
  ['HEAD /api/version'],
  ['GET /api/status', '0.16.3'],
  ['GET /api/tags'],
  ['HEAD /api/tags'],
  ['GET /api/ps'],
  ['POST /api/show'],
  ['POST /api/generate'],
  ['POST /api/chat'],
  ['POST /api/embed'],
  ['POST /api/embeddings'],
  ['POST /api/pull'],
  ['POST /api/push'],
  ['POST /api/create'],
  ['POST /api/copy'],
  ['DELETE /api/delete'],
  ['HEAD /api/blobs/:digest'],
  ['POST /api/blobs/:digest'],
  ['POST /api/me'],
  ['POST /api/signout'],
  ['DELETE /api/user/keys/:encodedKey'],
  ['GET /api/experimental/aliases', '0.15.6', '0.17.7'],
  ['POST /api/experimental/aliases', '0.15.6', '0.17.7'],
  ['DELETE /api/experimental/aliases', '0.15.6', '0.17.7'],
  ['POST /api/experimental/web_search', '0.18.3'],
  ['POST /api/experimental/web_fetch', '0.18.3'],
  ['GET /api/experimental/model-recommendations', '0.22.1'],
  ['POST /v1/chat/completions'],
  ['POST /v1/completions'],
  ['POST /v1/embeddings'],
  ['POST /v1/responses'],
  ['POST /v1/messages'],
  ['POST /v1/images/generations', '0.14.3', '0.32.5'],
  ['POST /v1/images/edits', '0.15.6', '0.32.5'],
  ['POST /v1/audio/transcriptions', '0.20.7'],
  ['GET /v1/models'],
  ['GET /v1/models/:model'],
]

describe('every route of Ollama 0.14 to 0.33 and the announced ones', () => {
  test('is in the table, or is one of those below that it does not need to have', () => {
    const inTable = new Set(ollamaRoutes.flatMap(({ methods, path }) => methods.map((method) => `${method} ${path}`)))
    const below = new Set([...namingModel.map((path) => `POST ${path}`), ...passing])
    const lost = registered.filter(([route]) => !inTable.has(route) && !below.has(route))
    expect(lost).toEqual([])
    const gone = registered.filter(([, , until]) => until !== undefined).map(([route]) => route)
    expect(
      [...inTable].filter((route) => gone.includes(route) || !registered.some(([known]) => known === route)),
    ).toEqual([])
  })
  for (const { path, class: routeClass, methods } of ollamaRoutes.filter(({ methods }) => methods.includes('POST'))) {
    test(`${methods.join('|')} ${path} is ${routeClass}`, () => {
      const needsRunner =
        /^\/(api\/(chat|generate|embed|embeddings)|v1\/(chat\/completions|completions|responses|messages|embeddings|audio\/transcriptions))$/
      expect(routeClass === 'control').toBe(!needsRunner.test(path))
    })
  }
  for (const path of namingModel) {
    test(`POST ${path} is queued, and its answer comes through to the byte`, async () => {
      const answer = await ask(path, { model: 'm', input: 'x' })
      expect([answer.status, answer.body.toString(), isQueued(answer)]).toEqual([200, JSON_ANSWER, true])
      const sent = target.seen().findLast((text) => text.startsWith(`POST ${path} `))
      expect(sent?.endsWith('\r\n\r\n{"model":"m","input":"x"}')).toBe(true)
    })
    test(`POST ${path} without a model passes`, async () => {
      const answer = await ask(path, { input: 'x' })
      expect([answer.status, answer.body.toString(), isQueued(answer)]).toEqual([200, JSON_ANSWER, false])
    })
  }
  for (const line of passing) {
    test(`${line} passes`, async () => {
      const answer = await askOnce(foreman.port, `${line} HTTP/1.1\r\nHost: x.local\r\nContent-Length: 0\r\n\r\n`)
      expect([answer.status, isQueued(answer)]).toEqual([200, false])
    })
  }
})

describe('what such a body names', () => {
  const bodies: [string, string, boolean][] = [
    ['the key in any case', '{"MODEL":"m"}', true],
    ['any spelling of the name', '{"model":" library/M:latest "}', true],
    ['stream of another type', '{"model":"m","stream":"yes"}', true],
    ['options as it likes', '{"model":"m","options":7}', true],
    ['a model that is not installed', '{"model":"other"}', false],
    ['a model in the cloud', '{"model":"m:cloud"}', false],
    ['a number', '{"model":1}', false],
    ['an empty name', '{"model":""}', false],
    ['no object', '["model"]', false],
    ['no JSON', 'model=m', false],
    ['nothing', '', false],
  ]
  for (const [what, body, queued] of bodies) {
    test(`${what} is ${queued ? 'queued' : 'passed'}`, async () => {
      const head = `POST /v1/rerank HTTP/1.1\r\nHost: x.local\r\nContent-Length: ${Buffer.byteLength(body)}`
      const answer = await askOnce(foreman.port, `${head}\r\n\r\n${body}`)
      expect([answer.status, isQueued(answer)]).toEqual([200, queued])
    })
  }

  test('an upload is not looked into', async () => {
    const body = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'
    const head = `POST /v1/audio/translations HTTP/1.1\r\nHost: x.local\r\nContent-Type: multipart/form-data; boundary=b`
    const answer = await askOnce(foreman.port, `${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    expect([answer.status, isQueued(answer)]).toEqual([200, false])
  })
})

describe('its answer', () => {
  const chunked = (type: string, chunks: readonly string[], end = '0\r\n\r\n') => {
    const body = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')
    return `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n${body}${end}`
  }
  const piece = 'data: {"type":"image_generation.partial_image"}\n\n'
  const answers: [string, string, string][] = [
    ['a stream of events', 'text/event-stream', piece],
    ['lines of JSON', 'application/x-ndjson', '{"total":4,"completed":1}\n'],
    ['sound', 'audio/mpeg', 'ID3\u0001\u0002'],
    ['a picture', 'image/png', '\u0001PNG'],
    ['words', 'text/plain', 'some words'],
    ['nothing', 'application/json', ''],
  ]
  for (const [what, type, chunk] of answers) {
    test(`${what} ends where its body ends`, async () => {
      answerTo = () => chunked(type, chunk === '' ? [] : [chunk, chunk])
      const answer = await ask('/v1/images/generations', { model: 'm' })
      expect([answer.status, headerOf(answer, 'content-type'), answer.ending]).toEqual([200, type, 'complete'])
      expect([answer.body.toString(), isQueued(answer)]).toEqual([chunk + chunk, true])
    })
  }

  test('a stream that breaks says so in its own way, and what has no words is cut', async () => {
    answerTo = () => chunked('text/event-stream', [piece], '')
    const events = await ask('/v1/images/generations', { model: 'm' })
    expect(events.body.toString()).toMatch(/\n\ndata: \{"error":\{"message":/)
    answerTo = () => chunked('audio/mpeg', ['ID3'.repeat(1_000)], '')
    // The connection may be gone before its head has come.
    const ending = await ask('/v1/audio/speech', { model: 'm' }).then(
      (sound) => sound.ending,
      () => 'rst',
    )
    expect(ending).not.toBe('complete')
  })

  test('a compressed stream of a known route that breaks after a line is cut too, and never ends cleanly', async () => {
    const head =
      'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked'
    answerTo = () => `${head}\r\n\r\n4\r\nab\n\u0001\r\n`
    const ending = await ask('/api/chat', { model: 'm', messages: [] }).then(
      (cut) => cut.ending,
      () => 'rst',
    )
    expect(ending).not.toBe('complete')
  })

  test("a refusal is the target's own, in the shape of its prefix", async () => {
    answerTo = () => Response.json({ error: { message: 'no', type: 'invalid_request_error' } }, { status: 400 })
    const answer = await ask('/v1/images/edits', { model: 'm' })
    expect([answer.status, answer.body.toString()]).toEqual([
      400,
      '{"error":{"message":"no","type":"invalid_request_error"}}',
    ])
  })

  test('a page in between is nobody of ours: the call waits for the target', async () => {
    answerTo = () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } })
    const answer = await askOnce(
      foreman.port,
      post('/v1/rerank', { model: 'm' }).replace('Host:', 'Prefer: wait=1\r\nHost:'),
    )
    expect(answer.status).toBe(503)
  })
})

test('a path that this version of the target does not know is queued once, and then the target says so at once', async () => {
  answerTo = noRoute
  const answers = [
    await ask('/v1/messages/strange', { model: 'm' }),
    await ask('/v1/messages/strange', { model: 'm' }),
    await ask('/v1/messages/strange', { model: 'm' }),
  ]
  for (const answer of answers)
    expect([answer.status, headerOf(answer, 'content-type'), answer.body.toString()]).toEqual([
      404,
      'text/plain',
      '404 page not found',
    ])
  expect(answers.map(isQueued)).toEqual([true, false, false])
  answerTo = known
  // It has learned the path: the first that is answered puts the next ones back in the queue.
  expect(isQueued(await ask('/v1/messages/strange', { model: 'm' }))).toBe(false)
  expect(isQueued(await ask('/v1/messages/strange', { model: 'm' }))).toBe(true)
})

test('nothing is loaded for it by foreman itself: only the target knows how', async () => {
  const loads = () => target.paths().filter((path) => path === '/api/generate').length
  const before = loads()
  await ask('/api/slot/load', { model: 'm', options: { num_ctx: 4_096 } })
  expect(loads()).toBe(before)
})

test('in other letters or outside of /api and /v1 a path is nobody’s', async () => {
  for (const path of ['/API/tokenize', '/V1/rerank', '/apix/tokenize', '/other'])
    expect((await ask(path, { model: 'm' })).status).toBe(404)
  expect((await askOnce(foreman.port, get('/v1'))).status).toBe(200)
})
