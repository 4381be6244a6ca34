/** Whose answer it is: everything a real Ollama was recorded to say is its own, and nothing a proxy or a stranger says is. */
import { describe, expect, test } from 'bun:test'
import type { Flavour } from '../../../src/domain/wire/routes.ts'
import { matchRoute } from '../../../src/domain/wire/routes.ts'
import { isStream } from '../../../src/domain/wire/stream-watch.ts'
import { type Asked, isOllamaVersion, isOpening, whoseAnswer, whoseStream } from '../../../src/domain/wire/whose.ts'
import { type Impostor, impostorNames, impostors } from '../../../src/simulator/impostor.ts'
import { figure } from '../../support/figures.ts'
import { type Recorded, readTranscript, transcriptFiles } from '../../support/transcripts.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const chat: Asked = { path: '/api/chat', flavour: 'native', cloud: false }

const heard = (status: number, contentType: string, body: string, asked: Partial<Asked> = {}) =>
  whoseAnswer({ status, contentType, encoded: false, body: bytes(body) }, { ...chat, ...asked }).kind

const headerOf = ({ headers }: Recorded, name: string) =>
  headers.find((line) => line.toLowerCase().startsWith(`${name}: `))?.slice(name.length + 2) ?? ''

/** The body without its chunk framing. */
const bodyOf = (recorded: Recorded): string => {
  const length = headerOf(recorded, 'content-length')
  if (length !== '') return recorded.rawBody.slice(0, Number(length))
  return recorded.rawBody.replace(/^[0-9a-f]{1,4}\r?\n(?=\S)/gm, '').replace(/\r?\n0\r?\n[\r\n]*$/, '')
}

const requestOf = ({ request }: Recorded) => {
  const head = new TextDecoder().decode(request).split('\r\n\r\n')[0] ?? ''
  const [method = '', path = ''] = head.split('\r\n')[0]?.split(' ') ?? []
  return {
    method,
    path: path.split('?')[0] ?? '',
    hasOrigin: /^origin: /im.test(head),
    host: /^host: (.*)/im.exec(head)?.[1],
  }
}

test('every recorded answer on a route of Ollama is its own, at the latest with a look at its version', async () => {
  const all = (await Promise.all(transcriptFiles.map(readTranscript))).flat()
  const counts = { ollama: 0, doubtful: 0 }
  for (const recorded of all) {
    const { method, path, hasOrigin, host } = requestOf(recorded)
    const matched = matchRoute(method, path)
    // Redirects, unknown paths, preflights, Origins and Hosts that are not the target's: foreman sends none of them.
    if (matched.kind !== 'route' || recorded.isHead || hasOrigin || host !== '127.0.0.1:21434' || !recorded.bodyShown)
      continue
    const { flavour } = matched.route
    const status = Number(recorded.status.split(' ')[1])
    const contentType = headerOf(recorded, 'content-type')
    const body = bytes(bodyOf(recorded))
    const whose =
      status < 300 && isStream(contentType) && matched.route.class === 'queued'
        ? whoseStream(contentType, body)
        : whoseAnswer({ status, contentType, encoded: false, body }, { path, flavour, cloud: false })
    if (whose.kind === 'foreign') throw new Error(`${recorded.command}: ${JSON.stringify(whose)}`)
    if (matched.route.class !== 'control' && status < 300)
      expect([recorded.command, whose.kind]).toEqual([recorded.command, 'ollama'])
    counts[whose.kind]++
  }
  expect(counts.ollama).toBeGreaterThan(80)
  figure(
    'A1',
    `${counts.ollama} recorded answers known at once, ${counts.doubtful} with a look at the version, 0 taken for another's`,
  )
})

describe('an answer of other versions passes', () => {
  test.each([
    [
      '0.1: generate',
      '{"model":"llama2","created_at":"2023-11-01T10:00:00Z","response":"hi","done":true,"context":[1]}',
    ],
    ['0.1: load', '{"model":"llama2","created_at":"2023-11-01T10:00:00Z","response":"","done":true}'],
    ['0.3: chat', '{"model":"m","created_at":"x","message":{"role":"assistant","content":"hi"},"done":true}'],
    ['embeddings', '{"embedding":[0.1,0.2]}'],
    ['embed', '{"model":"m","embeddings":[[0.1]],"total_duration":1}'],
    ['debug', '{"model":"m","_debug_info":{"rendered_template":"x"}}'],
    [
      'unload',
      '{"model":"m","created_at":"x","message":{"role":"assistant","content":""},"done":true,"done_reason":"unload"}',
    ],
    ['a member nobody knows yet', '{"model":"m","message":{"content":"x"},"done":true,"rank":{"a":1}}'],
    [
      'from the cloud',
      '{"model":"m:cloud","remote_model":"m","remote_host":"https://ollama.com:443","response":"x","done":true}',
    ],
    ['a completion', '{"id":"cmpl-1","object":"text_completion","choices":[],"model":"m"}'],
    ['a response', '{"id":"resp_1","object":"response","model":"m","output":[]}'],
    ['a message', '{"id":"msg_1","type":"message","model":"m","content":[]}'],
    ['a transcription', '{"text":"hello"}'],
  ])('%s', (_, body) => {
    expect(heard(200, 'application/json; charset=utf-8', body)).toBe('ollama')
    expect(heard(200, '', body)).toBe('ollama')
  })

  test.each([
    [400, '{"error":"registry.ollama.ai/library/tiny:latest does not support tools"}'],
    [400, `{"error":"model 'x' does not support thinking"}`],
    [404, `{"error":"model 'llama2' not found, try pulling it first"}`],
    [404, '{"error":"model \\"x\\" not found, try pulling it first"}'],
    [500, '{"error":"llama runner process has terminated: signal: killed"}'],
    [500, '{"error":"option \\"num_ctx\\" must be of type integer"}'],
    [503, '{"error":"server busy, please try again.  maximum pending requests exceeded"}'],
  ])('%d %s', (status, body) => {
    expect(heard(status, 'application/json; charset=utf-8', body)).toBe('ollama')
  })

  test.each([
    [400, '{"error":"words of a version to come"}'],
    [404, '{"error":"no such adapter"}'],
    [409, '{"error":"words of a version to come"}'],
    [422, '{"detail":[{"msg":"x"}]}'],
    [500, '{"error":"words of a version to come"}'],
    [501, '{"error":"x"}'],
    [503, '{"error":"no room"}'],
    [200, '{"error":"x"}'],
    [200, '{"answer":42}'],
  ])('%d %s, when its version answers', (status, body) => {
    expect(heard(status, 'application/json', body)).toBe('doubtful')
  })

  test('a refusal of its cloud is its own, for a cloud model', () => {
    const cloud = { cloud: true }
    for (const status of [401, 402, 403, 404, 429, 500]) {
      const body = '{"error":"whatever the cloud says"}'
      expect([status, heard(status, 'application/json', body, cloud)]).toEqual([status, 'ollama'])
    }
    expect(heard(401, 'application/json', '{"error":"unauthorized","signin_url":"https://x"}')).toBe('ollama')
    const anthropic: Flavour = 'anthropic'
    const body = '{"type":"error","error":{"type":"authentication_error","message":"unauthorized"}}'
    expect(heard(401, 'application/json', body, { cloud: true, flavour: anthropic })).toBe('ollama')
  })

  test('an older version does not know a newer route, but every version knows chat', () => {
    const unknown = (path: string) => heard(404, 'text/plain', '404 page not found', { path })
    expect(['/v1/responses', '/v1/messages', '/v1/images/generations', '/api/slots'].map(unknown)).toEqual(
      Array(4).fill('doubtful'),
    )
    expect(['/api/chat', '/api/generate', '/v1/chat/completions', '/api/version'].map(unknown)).toEqual(
      Array(4).fill('foreign'),
    )
  })

  test('a request that Go refuses, and a handler that crashed, have no words of its own', () => {
    expect(heard(400, 'text/plain; charset=utf-8', '400 Bad Request: invalid header value')).toBe('doubtful')
    expect(heard(500, '', '')).toBe('doubtful')
  })
})

describe('an answer of something else', () => {
  const html = 'text/html; charset=utf-8'
  test.each([
    [401, 'text/plain', 'Unauthorized', `401 text/plain: that is not Ollama (a proxy's login?)`],
    [
      401,
      'application/json',
      '{"error":"unauthorized"}',
      `401 application/json: that is not Ollama (a proxy's login?)`,
    ],
    [401, html, '<html>', `401 text/html: that is not Ollama (a proxy's login?)`],
    [200, html, '<html>', `200 text/html: that is not Ollama (a proxy's login?)`],
    [302, html, '<a>', `302 text/html: that is not Ollama (a proxy's login?)`],
    [403, html, '<html>', '403 text/html: that is not Ollama (a proxy that refuses?)'],
    [404, 'text/plain', '404 page not found', '404 text/plain: that is not Ollama (another service?)'],
    [404, html, '<html>', '404 text/html: that is not Ollama (another service?)'],
    [500, html, '<html>', `500 text/html: that is not Ollama (a proxy's error page?)`],
    [504, html, '<html>', '504 text/html: that is not Ollama (a proxy whose server is away?)'],
    [
      504,
      'application/json',
      '{"error":"timeout"}',
      '504 application/json: that is not Ollama (a proxy whose server is away?)',
    ],
    [522, '', '', '522 without a body: that is not Ollama (a proxy whose server is away?)'],
    [429, html, '<html>', `429 text/html: that is not Ollama (a proxy's limit?)`],
    [200, '', '', '200 without a body: that is not Ollama (another service?)'],
    [200, 'text/plain', 'ok', '200 text/plain: that is not Ollama (another service?)'],
    [404, 'application/json', 'not json', '404 application/json: that is not Ollama (another service?)'],
  ])('%d %s %s is foreign, and told in words', (status, contentType, body, words) => {
    const whose = whoseAnswer({ status, contentType, encoded: false, body: bytes(body) }, chat)
    expect(whose).toEqual({ kind: 'foreign', words })
  })

  test('none of the impostors is taken for Ollama', () => {
    for (const name of impostorNames) {
      const { status, contentType = '', encoding, body = '', manner = 'whole' }: Impostor = impostors[name]
      // One begins as a stream of Ollama's does; its end tells.
      if (manner === 'banner' || name === 'starting-lines') continue
      const encoded = encoding !== undefined
      const whose =
        status === 200 && isStream(contentType)
          ? whoseStream(contentType, bytes(body), encoded).kind
          : whoseAnswer({ status, contentType, encoded, body: bytes(body) }, chat).kind
      expect([name, whose === 'ollama']).toEqual([name, false])
      expect(isOllamaVersion(status, body.startsWith('{') ? JSON.parse(body.split('\n')[0] ?? '') : body)).toBe(false)
    }
  })

  test('what is compressed shows nothing: a proxy may do that to what Ollama says, and to what it says itself', () => {
    const whose = (status: number, contentType: string) =>
      whoseAnswer({ status, contentType, encoded: true, body: new Uint8Array([31, 139]) }, chat).kind
    expect(whose(200, 'application/json')).toBe('doubtful')
    expect(whose(404, 'application/json')).toBe('doubtful')
    expect(whose(200, html)).toBe('doubtful')
    expect(whose(302, html)).toBe('foreign')
    expect(whoseStream('application/x-ndjson', bytes('{"model":'), true).kind).toBe('doubtful')
  })
})

describe('a stream', () => {
  test.each([
    ['application/x-ndjson', '{"tick":1}\n'],
    ['application/x-ndjson', 'garbage\n'],
    ['application/x-ndjson', '{"done":false}\n'],
    ['text/event-stream', 'data: hello\n\n'],
    ['text/event-stream', 'event: ping\ndata: {}\n\n'],
    ['text/event-stream', 'event: tick\ndata: {"at":1}\n\n'],
  ])('%s %j that no model made is doubted', (type, text) => {
    expect(whoseStream(type, bytes(text)).kind).toBe('doubtful')
  })

  test.each([
    ['application/x-ndjson', '{"error":"x"}\n'],
    ['application/x-ndjson', '{"text":"hello"}'],
    ['text/event-stream', 'data: {"id":"chatcmpl-1","object":"chat.completion.chunk"}\n\n'],
    ['text/event-stream', 'event: message_start\n'],
    ['text/event-stream', 'event: response.created\n'],
    ['text/event-stream', ''],
  ])('%s %j is its own', (type, text) => {
    expect(whoseStream(type, bytes(text)).kind).toBe('ollama')
  })

  test('shows whose it is with its first line, however it is cut', () => {
    expect(isOpening(bytes('{"model"'))).toBe(false)
    expect(isOpening(bytes('{"model":"m"}\n'))).toBe(true)
    expect(isOpening(new Uint8Array(1_024))).toBe(true)
  })
})

test('a version is a word behind a 200, and nothing else', () => {
  expect(isOllamaVersion(200, { version: '0.33.0' })).toBe(true)
  expect(isOllamaVersion(200, { version: '0.0.0', more: 1 })).toBe(true)
  for (const json of [null, [], 'x', {}, { version: 1 }, { version: '' }])
    expect(isOllamaVersion(200, json)).toBe(false)
  expect(isOllamaVersion(401, { version: '0.33.0' })).toBe(false)
})
