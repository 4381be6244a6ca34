/** Every route of the wire document (section 2) by every method, asked of an Ollama and of a foreman in front of its twin: the same answer but for what is named here. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ollamaRoutes } from '../../src/domain/wire/routes.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { askOnce, type WireAnswer } from '../support/wire-client.ts'
import { compareBody } from '../support/wire-shape.ts'

let ollama: Simulator
let twin: Simulator
let foreman: RunningForeman
let asked = 0

beforeAll(async () => {
  const start = () =>
    startSimulator({
      models: [
        { name: 'tiny', weights: 'ab'.repeat(32) },
        { name: 'embed', capabilities: ['embedding'], weights: 'cd'.repeat(32) },
      ],
      maxLoadedModels: 3,
      registry: 'offline',
    })
  ollama = await start()
  twin = await start()
  foreman = await runForeman(twin.url, { FOREMAN_POLL_INTERVAL: '1h', FOREMAN_EMBED: 'bypass' })
  await polled(foreman)
})
afterAll(async () => {
  figure('P6', `${asked} requests, every route by every method, asked directly and through foreman: 0 differences`)
  await foreman.stop()
  await ollama.stop()
  await twin.stop()
})

const DIGEST = `sha256:${'0'.repeat(64)}`
const messages = [{ role: 'user', content: '[[n=2]]' }]

/** A body that the route likes, by path; the paths are those of the document, not those of foreman's table. */
const documented: readonly (readonly [path: string, body?: unknown])[] = [
  ['/'],
  ['/api/version'],
  ['/api/status'],
  ['/api/tags'],
  ['/api/ps'],
  ['/api/show', { model: 'tiny' }],
  ['/api/generate', { model: 'tiny', prompt: '[[n=2]]' }],
  ['/api/chat', { model: 'tiny', messages }],
  ['/api/embed', { model: 'embed', input: 'x' }],
  ['/api/embeddings', { model: 'embed', prompt: 'x' }],
  ['/api/pull', { model: 'tiny' }],
  ['/api/push', { model: 'tiny' }],
  ['/api/create', { model: 'made', from: 'tiny' }],
  ['/api/copy', { source: 'tiny', destination: 'copied' }],
  ['/api/delete', { model: 'copied' }],
  [`/api/blobs/${DIGEST}`, 'no such blob'],
  ['/api/me', {}],
  ['/api/signout', {}],
  ['/api/user/keys/abc'],
  ['/api/experimental/web_search', { query: 'x' }],
  ['/api/experimental/web_fetch', { url: 'http://x.example' }],
  ['/api/experimental/model-recommendations'],
  ['/v1/chat/completions', { model: 'tiny', messages }],
  ['/v1/completions', { model: 'tiny', prompt: '[[n=2]]' }],
  ['/v1/embeddings', { model: 'embed', input: 'x' }],
  ['/v1/responses', { model: 'tiny', input: '[[n=2]]' }],
  ['/v1/messages', { model: 'tiny', max_tokens: 9, messages }],
  ['/v1/audio/transcriptions', 'no form'],
  ['/v1/models'],
  ['/v1/models/tiny'],
]
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** What may differ, each with its reason. */
const named = {
  // What foreman has to say of the call.
  added: /^x-foreman-/,
  // Of one connection, and no client's business (RFC 9110, section 7.6.1): the framing of a body, and how long a socket lives.
  hopByHop: /^(connection|keep-alive|transfer-encoding|content-length)$/,
  // Whoever answers dates it.
  own: /^date$/,
  // Foreman lets a page of an allowed origin send and read more: its own headers and verbs, Anthropic's key.
  wider: /^access-control-(allow-headers|allow-methods|expose-headers|max-age)$/,
}
/** Of a page nobody knows, and of a preflight, foreman does not say which methods the path takes; Ollama's router has said so before anybody looked at the origin. */
const isSilent = (status: number, name: string) => (status === 403 || status === 204) && name === 'allow'

const headersOf = ({ status, headers }: WireAnswer) =>
  headers
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !Object.values(named).some((pattern) => pattern.test(name)) && !isSilent(status, name))
    .flatMap(([name, value]) => (name === 'vary' ? value.split(', ') : [value]).map((one) => `${name}: ${one}`))
    .sort()

const encoded = (body: unknown): string =>
  body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)

const requestOf = (method: string, path: string, body: unknown, headers: readonly string[] = []): string => {
  const text = encoded(body)
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers]
  if (text !== '' || method === 'POST') lines.push('Content-Type: application/json', `Content-Length: ${text.length}`)
  return `${lines.join('\r\n')}\r\n\r\n${text}`
}

const problemOf = (direct: WireAnswer, through: WireAnswer): string | null => {
  if (direct.status !== through.status || direct.ending !== through.ending)
    return `${direct.status}, ${direct.ending} directly; ${through.status}, ${through.ending} through foreman`
  const [wanted, got] = [headersOf(direct), headersOf(through)]
  if (!Bun.deepEquals(wanted, got)) return `headers ${wanted.join(' | ')} directly; ${got.join(' | ')} through foreman`
  return compareBody(direct.body.toString(), through.body.toString())
}

/** One request on both sides; its difference, with the request in front. */
const differs = async (request: string): Promise<string[]> => {
  asked++
  const direct = await askOnce(ollama.port, request)
  const through = await askOnce(foreman.port, request)
  const problem = problemOf(direct, through)
  return problem === null ? [] : [`${request.split(' HTTP')[0]} ${request.split('\r\n\r\n')[1]}: ${problem}`]
}

const differences = async (requests: readonly string[]) => {
  const found: string[] = []
  for (const request of requests) found.push(...(await differs(request)))
  return found
}

test('the table has every route of the document and no other', () => {
  const filled = (path: string) =>
    path.replace(':digest', DIGEST).replace(':encodedKey', 'abc').replace(':model', 'tiny')
  const inTable = new Set(ollamaRoutes.map(({ path }) => filled(path)))
  expect([...inTable].sort()).toEqual(documented.map(([path]) => path).toSorted())
})

for (const method of methods)
  test(`${method} on every route`, async () => {
    const withBody =
      method === 'GET' || method === 'HEAD' || method === 'OPTIONS' ? () => undefined : (body: unknown) => body
    expect(await differences(documented.map(([path, body]) => requestOf(method, path, withBody(body))))).toEqual([])
  })

describe('every route that takes a body', () => {
  const taking = documented.filter(([, body]) => typeof body === 'object')
  const bodies: readonly (readonly [what: string, change: (body: object) => unknown])[] = [
    ['streamed', (body) => ({ ...body, stream: true })],
    ['whole', (body) => ({ ...body, stream: false })],
    ['of an unknown model', (body) => ({ ...body, model: 'nope', source: 'nope' })],
    ['of an unknown model, streamed', (body) => ({ ...body, model: 'nope', source: 'nope', stream: true })],
    ['of no model', ({ ...body }) => ({ ...body, model: undefined, stream: true })],
    ['of a name that is none', (body) => ({ ...body, model: 'a b', stream: true })],
    ['of an embedder, streamed', (body) => ({ ...body, model: 'embed', stream: true })],
    ['of a chat model', (body) => ({ ...body, model: 'tiny' })],
    [
      'that fails before its first word, streamed',
      (body) => ({ ...body, messages: failing, prompt: FAILS, input: FAILS, stream: true }),
    ],
    ['empty', () => ({})],
    ['without a byte', () => undefined],
    ['cut off', (body) => JSON.stringify(body).slice(0, -1)],
    ['a list', () => '[]'],
  ]
  const FAILS = '[[err=400]]'
  const failing = [{ role: 'user', content: FAILS }]
  for (const [what, change] of bodies)
    test(what, async () => {
      const requests = taking.map(([path, body]) =>
        requestOf(path === '/api/delete' ? 'DELETE' : 'POST', path, change(body as object)),
      )
      expect(await differences(requests)).toEqual([])
    })
})

describe('a path that is nearly one of them', () => {
  const variants: readonly (readonly [what: string, path: (path: string) => string])[] = [
    ['with a slash behind it', (path) => `${path}/`],
    ['with two slashes in front', (path) => `/${path}`],
    ['with a query', (path) => `${path}?a=b&c=%20`],
    ['with one segment more', (path) => `${path === '/' ? '' : path}/more`],
  ]
  for (const [what, change] of variants)
    test(what, async () => {
      const paths = documented.filter(([path]) => path !== '/').map(([path]) => change(path))
      const requests = ['GET', 'POST'].flatMap((method) => paths.map((path) => requestOf(method, path, undefined)))
      expect(await differences(requests)).toEqual([])
    })
})

test('a page of an allowed origin, a foreign one, and preflights of both', async () => {
  const requests = ['http://localhost:3000', 'https://evil.example', 'null'].flatMap((origin) =>
    documented.flatMap(([path]) => [
      requestOf('GET', path, undefined, [`Origin: ${origin}`]),
      requestOf('OPTIONS', path, undefined, [`Origin: ${origin}`, 'Access-Control-Request-Method: POST']),
    ]),
  )
  expect(await differences(requests)).toEqual([])
})
