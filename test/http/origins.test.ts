/** Any web page can send requests to an address in its visitor's network: which ones may use foreman, and what the others get. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ollamaRoutes } from '../../src/domain/wire/routes.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { startVerbatimTarget, type VerbatimTarget } from '../support/verbatim-target.ts'
import { askOnce, headerOf } from '../support/wire-client.ts'

const answer = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"done":true}',
)
const chat = '{"model":"tiny","messages":[{"role":"user","content":"x"}],"stream":false}'

let target: VerbatimTarget
let foreman: RunningForeman
let behindProxy: RunningForeman

beforeAll(async () => {
  target = startVerbatimTarget(() => ({ pieces: [answer], close: false }))
  foreman = await runForeman(target.url, { FOREMAN_POLL_INTERVAL: '1h' })
  behindProxy = await runForeman(target.url, {
    FOREMAN_POLL_INTERVAL: '1h',
    FOREMAN_HOSTS: 'nas, *.home.example',
    FOREMAN_ORIGINS: 'https://chat.example.org, chrome-extension://*, https://*.pages.example',
    FOREMAN_PUBLIC_URL: 'https://foreman.example.org/ai',
  })
  await Promise.all([polled(foreman), polled(behindProxy)])
})
afterAll(async () => {
  await Promise.all([foreman.stop(), behindProxy.stop()])
  target.stop()
})

interface Asking {
  readonly method?: string
  readonly path?: string
  readonly host?: string | null
  readonly origin?: string
  readonly headers?: readonly string[]
  readonly body?: string
  readonly on?: RunningForeman
}

const ask = async ({ method = 'GET', path = '/api/version', host = '127.0.0.1', origin, ...more }: Asking) => {
  const { headers = [], body = '', on = foreman } = more
  const lines = [
    `${method} ${path} ${host === null ? 'HTTP/1.0' : 'HTTP/1.1'}`,
    ...(host === null ? [] : [`Host: ${host}`]),
    ...(origin === undefined ? [] : [`Origin: ${origin}`]),
    ...headers,
    'X-Case: origins',
    `Content-Length: ${body.length}`,
  ]
  return askOnce(on.port, `${lines.join('\r\n')}\r\n\r\n${body}`)
}

const everyRoute: readonly (readonly [string, string])[] = [
  ...ollamaRoutes.flatMap(({ methods, path }) =>
    methods.map((method) => [method, path.replace(/:\w+/, 'sha256:00')] as const),
  ),
  ...(['GET', 'POST'] as const).map((method) => [method, '/jobs'] as const),
  ...(['GET', 'DELETE'] as const).map((method) => [method, '/jobs/01M7Z4BPW8T93C8K41K5GH5ZQW'] as const),
  ...['/jobs/x/events', '/livez', '/readyz', '/healthz', '/metrics', '/swagger', '/swagger/json'].map(
    (path) => ['GET', path] as const,
  ),
  ...['/nothing', '/api/unknown', '/v1/unknown', '/api/version/', '//api/tags'].map((path) => ['GET', path] as const),
  ...['/api/chat', '/jobs', '/nothing'].flatMap((path) =>
    ['OPTIONS', 'PATCH'].map((method) => [method, path] as const),
  ),
]

describe('a foreign page', () => {
  for (const [method, path] of everyRoute)
    test(`gets 403 without a word from ${method} ${path}, and so does a name that was rebound`, async () => {
      const asked = target.asked()
      const body = method === 'GET' || method === 'HEAD' ? '' : chat
      for (const asking of [{ origin: 'https://evil.example' }, { origin: 'null' }, { host: 'evil.example:8080' }]) {
        const refused = await ask({ method, path, body, headers: ['Content-Type: text/plain'], ...asking })
        expect([asking, refused.status, refused.body.length]).toEqual([asking, 403, 0])
        expect(headerOf(refused, 'access-control-allow-origin')).toBeNull()
      }
      expect(target.asked()).toBe(asked)
    })

  const foreign = [
    'chrome-extension://abc',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example',
    'http://localhost:1.evil.example',
    'http://evil.example:11434',
    'https://foreman.example.org',
    'http://192.168.1.5:8080',
  ]
  for (const origin of foreign)
    test(`from ${origin} is none of ours`, async () => {
      expect((await ask({ origin })).status).toBe(403)
    })
})

describe('a page that may', () => {
  const defaults = [
    'http://localhost:3000',
    'https://localhost',
    'http://127.0.0.1:5173',
    'http://0.0.0.0:1',
    'app://obsidian.md',
  ]
  for (const origin of [...defaults, 'file://', 'tauri://localhost', 'vscode-webview://x', 'HTTP://LOCALHOST:3000'])
    test(`from ${origin} is let in, as Ollama lets it in`, async () => {
      const { status, headers } = await ask({ origin })
      expect([status, headerOf({ headers } as never, 'access-control-allow-origin')]).toEqual([200, origin])
    })

  test('may be named in the settings, by pattern too', async () => {
    for (const origin of [
      'https://chat.example.org',
      'chrome-extension://abc',
      'https://a.pages.example',
      'https://foreman.example.org',
    ])
      expect([origin, (await ask({ origin, on: behindProxy })).status]).toEqual([origin, 200])
    for (const origin of ['http://chat.example.org', 'https://chat.example.org.evil.example', 'moz-extension://abc'])
      expect([origin, (await ask({ origin, on: behindProxy })).status]).toEqual([origin, 403])
  })

  const own: readonly (readonly [string, Asking])[] = [
    ['an unknown model', { method: 'POST', path: '/api/chat', body: '{"model":"a b"}' }],
    ['bad JSON', { method: 'POST', path: '/v1/chat/completions', body: '{bad' }],
    ['a wrong method', { path: '/api/chat' }],
    ['a path that is not there', { path: '/nothing' }],
    ['a redirect', { path: '/api/version/' }],
    ['the root', { path: '/' }],
    ['a job that is not there', { path: '/jobs/01M7Z4BPW8T93C8K41K5GH5ZQW' }],
    ['a problem of /jobs', { method: 'POST', path: '/jobs', body: '{' }],
    ['health', { path: '/healthz' }],
    ['what the target says', { path: '/api/ps' }],
  ]
  for (const [what, asking] of own)
    test(`can read ${what}`, async () => {
      const got = await ask({ ...asking, origin: 'http://localhost:3000' })
      expect(headerOf(got, 'access-control-allow-origin')).toBe('http://localhost:3000')
      expect(headerOf(got, 'vary')).toContain('Origin')
      expect(headerOf(await ask(asking), 'access-control-allow-origin')).toBeNull()
    })

  test('asks for leave first, which foreman gives for every path while the target is away too', async () => {
    const gone = await runForeman('http://127.0.0.1:9', {})
    const headers = ['Access-Control-Request-Method: POST', 'Access-Control-Request-Headers: x-api-key']
    const asked = target.asked()
    for (const on of [foreman, gone])
      for (const path of ['/api/chat', '/v1/messages', '/jobs', '/jobs/x/events', '/api/unknown', '/nothing']) {
        const leave = await ask({ method: 'OPTIONS', path, origin: 'http://localhost:3000', headers, body: chat, on })
        expect([path, leave.status, headerOf(leave, 'access-control-allow-origin')]).toEqual([
          path,
          204,
          'http://localhost:3000',
        ])
        expect(headerOf(leave, 'access-control-allow-headers')).toContain('X-Api-Key')
        expect(headerOf(leave, 'access-control-max-age')).toBe('43200')
      }
    expect(target.asked()).toBe(asked)
    await gone.stop()
  })

  test('is never mentioned to the target, which is called by another name and would refuse it', async () => {
    await ask({ origin: 'http://localhost:3000', path: '/api/ps' })
    const names = (target.received.get('origins')?.headers ?? []).map(([name]) => name.toLowerCase())
    expect(names).toContain('x-case')
    expect(names).not.toContain('origin')
  })
})

describe('a page of this very foreman', () => {
  test('is let in by whatever it called foreman, and needs no header for that', async () => {
    for (const asking of [
      { host: '192.168.1.5:8080', origin: 'http://192.168.1.5:8080' },
      { host: 'foo.local', origin: 'https://foo.local' },
      { host: '[::1]:8080', origin: 'http://[::1]:8080' },
    ]) {
      const got = await ask({ ...asking, path: '/api/ps' })
      expect([asking, got.status, headerOf(got, 'access-control-allow-origin')]).toEqual([asking, 200, null])
    }
  })

  test('is let in through a proxy that renames it, and nobody else is', async () => {
    const forwarded = ['X-Forwarded-Host: ai.example.net']
    const through = { host: '127.0.0.1:8080', headers: forwarded }
    expect((await ask({ ...through, origin: 'https://ai.example.net' })).status).toBe(200)
    expect((await ask({ ...through, origin: 'https://evil.example' })).status).toBe(403)
    expect(
      (await ask({ host: 'evil.example', headers: ['X-Forwarded-Host: evil.example'], origin: 'http://evil.example' }))
        .status,
    ).toBe(403)
  })
})

describe('the name foreman is called by', () => {
  const good = [
    'localhost',
    'localhost:8080',
    'LOCALHOST',
    'foo.localhost',
    'box.internal',
    'box.local:1',
    '',
    '10.1.2.3',
    '172.20.0.1:80',
    '192.168.0.1',
    '0.0.0.0:1',
    '[::1]',
    '[fd00::1]:8080',
    null,
  ]
  for (const host of good)
    test(`may be "${host}"`, async () => {
      expect((await ask({ host })).status).toBe(200)
    })
  const bad = [
    'evil.example',
    'nas',
    'localhost.',
    'local',
    '8.8.8.8',
    '172.32.0.1',
    'localhost.evil.example',
    'evil/admin?',
    '[::1',
    'a b',
    '127.0.0.1, evil.example',
    'localhost@evil.example',
  ]
  for (const host of bad)
    test(`may not be "${host}"`, async () => {
      expect((await ask({ host })).status).toBe(403)
    })

  test('may be one of the settings', async () => {
    const on = behindProxy
    for (const host of ['nas', 'NAS:8080', 'a.home.example', 'foreman.example.org', 'localhost'])
      expect([host, (await ask({ host, on })).status]).toEqual([host, 200])
    for (const host of ['home.example', 'evil.example', 'nas.evil.example'])
      expect([host, (await ask({ host, on })).status]).toEqual([host, 403])
  })

  test('may be anything beyond loopback, as with Ollama, unless the settings name some', async () => {
    const env = { FOREMAN_ADDR: '0.0.0.0:0', FOREMAN_POLL_INTERVAL: '1h' }
    const open = await runForeman(target.url, env)
    const strict = await runForeman(target.url, { ...env, FOREMAN_HOSTS: 'gpu-box' })
    const asked = async (on: RunningForeman) =>
      Promise.all(['gpu-box', 'anything.example', '192.168.1.5'].map(async (host) => (await ask({ host, on })).status))
    expect([await asked(open), await asked(strict)]).toEqual([
      [200, 200, 200],
      [200, 403, 200],
    ])
    await Promise.all([open.stop(), strict.stop()])
  })
})
