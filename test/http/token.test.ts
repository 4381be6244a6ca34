/** S1: without the token nobody gets in, on any route, however the request is spelled; and no token ever reaches the target. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ollamaRoutes } from '../../src/domain/wire/routes.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { startVerbatimTarget, type VerbatimTarget } from '../support/verbatim-target.ts'
import { askOnce, headerOf } from '../support/wire-client.ts'

const TOKEN = 'open-sesame'
const NAMED = 'the-key-of-alice'
const answer = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"done":true}',
)

let target: VerbatimTarget
let foreman: RunningForeman

beforeAll(async () => {
  target = startVerbatimTarget(() => ({ pieces: [answer], close: false }))
  foreman = await runForeman(target.url, {
    FOREMAN_TOKEN: TOKEN,
    FOREMAN_TOKENS: `alice=${NAMED},ci=another`,
    FOREMAN_OLLAMA_TOKEN: 'for-the-target',
    FOREMAN_POLL_INTERVAL: '1h',
    // So that odd names come as far as the token.
    FOREMAN_HOSTS: '*',
  })
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  target.stop()
})

interface Spelling {
  readonly method: string
  readonly path: string
  readonly headers?: readonly string[]
  readonly host?: string | null
}

const ask = ({ method, path, headers = [], host = 'foreman' }: Spelling) => {
  const lines = [...(host === null ? [] : [`Host: ${host}`]), ...headers, 'X-Case: token', 'Content-Length: 16']
  const version = host === null ? 'HTTP/1.0' : 'HTTP/1.1'
  return askOnce(foreman.port, `${method} ${path} ${version}\r\n${lines.join('\r\n')}\r\n\r\n{"model":"tiny"}`)
}

const routes: Spelling[] = [
  ...ollamaRoutes.flatMap(({ methods, path }) =>
    methods.map((method) => ({ method, path: path.replace(/:\w+/, 'sha256:00') })),
  ),
  { method: 'GET', path: '/metrics' },
  { method: 'GET', path: '/swagger' },
  { method: 'GET', path: '/swagger/json' },
]

const spellings: Spelling[] = [
  { method: 'POST', path: '/api/chat/' },
  { method: 'POST', path: '//api/chat' },
  { method: 'GET', path: '/api/unknown' },
  { method: 'GET', path: '/nothing' },
  { method: 'GET', path: '/metrics/' },
  { method: 'GET', path: '//metrics' },
  { method: 'GET', path: '/livez/../api/tags' },
  { method: 'GET', path: '/api/tags?x=/livez' },
  { method: 'PATCH', path: '/api/chat' },
]

const hosts = ['a', 'ab', 'abc', 'evil/livez?', 'livez', '[::1]:8080', ':8080', null] as const

const isHead = ({ method }: Spelling) => method === 'HEAD'

describe('without the token', () => {
  for (const route of [...routes, ...spellings]) {
    test(`${route.method} ${route.path} is a 401 that says how, and reaches nobody`, async () => {
      const asked = target.asked()
      for (const host of ['foreman', ...hosts]) {
        const refused = await ask({ ...route, host })
        expect([host, refused.status, headerOf(refused, 'www-authenticate')]).toEqual([
          host,
          401,
          'Bearer realm="foreman"',
        ])
        if (!isHead(route)) expect(refused.body.toString()).toContain('a bearer token is required')
      }
      expect(target.asked()).toBe(asked)
    })
  }

  for (const path of ['/livez', '/readyz', '/healthz']) {
    test(`GET ${path} is open, because machines watch it`, async () => {
      for (const host of hosts) expect([host, (await ask({ method: 'GET', path, host })).status]).toEqual([host, 200])
    })
  }

  test('the refusal speaks the language of its route', async () => {
    const native = await ask({ method: 'POST', path: '/api/chat' })
    expect(JSON.parse(native.body.toString())).toEqual({ error: 'a bearer token is required' })
    const openai = await ask({ method: 'POST', path: '/v1/chat/completions' })
    expect(JSON.parse(openai.body.toString())).toMatchObject({ error: { message: 'a bearer token is required' } })
    const anthropic = await ask({ method: 'POST', path: '/v1/messages' })
    expect(JSON.parse(anthropic.body.toString())).toMatchObject({ error: { type: 'authentication_error' } })
  })

  test('a preflight passes, because browsers send no credentials with it, and nothing of it reaches the target', async () => {
    const headers = ['Origin: http://localhost:3000', 'Access-Control-Request-Method: POST']
    const asked = target.asked()
    for (const path of ['/api/chat', '/api/anything', '/v1/anything', '/jobs', '/metrics', '/nothing']) {
      expect((await ask({ method: 'OPTIONS', path, headers })).status).toBe(204)
      expect((await ask({ method: 'OPTIONS', path })).status).toBe(401)
    }
    expect(target.asked()).toBe(asked)
  })
})

describe('with a wrong token', () => {
  const wrong = [
    'Authorization: Bearer open-sesam',
    'Authorization: Bearer open-sesame2',
    'Authorization: Bearer OPEN-SESAME',
    'Authorization: Bearer',
    'Authorization: Basic open-sesame',
    'Authorization: open-sesame',
    'Authorization: Bearer open-sesame x',
    'Authorization: Bearer for-the-target',
    'X-Api-Key: nothing',
    'Cookie: token=open-sesame',
  ]
  for (const header of wrong) {
    test(`"${header}" is a 401`, async () => {
      expect((await ask({ method: 'GET', path: '/api/version', headers: [header] })).status).toBe(401)
    })
  }
})

describe('with the token', () => {
  const right = [
    `Authorization: Bearer ${NAMED}`,
    `Authorization: Bearer ${TOKEN}`,
    `authorization: bearer ${TOKEN}`,
    `X-Api-Key: ${TOKEN}`,
  ]
  for (const header of right) {
    test(`"${header}" opens every route, and the target gets its own token instead`, async () => {
      for (const route of [
        { method: 'POST', path: '/api/chat' },
        { method: 'POST', path: '/api/embed' },
        { method: 'POST', path: '/api/show' },
        { method: 'GET', path: '/api/unknown' },
      ]) {
        expect([route.path, (await ask({ ...route, headers: [header] })).status]).toEqual([route.path, 200])
        const headers = target.received.get('token')?.headers ?? []
        expect(headers.filter(([name]) => /^authorization$/i.test(name))).toEqual([
          ['Authorization', 'Bearer for-the-target'],
        ])
        expect(JSON.stringify(headers)).not.toContain(TOKEN)
        expect(JSON.stringify(headers)).not.toContain(NAMED)
      }
      for (const path of ['/metrics', '/swagger/json'])
        expect([path, (await ask({ method: 'GET', path, headers: [header] })).status]).toEqual([path, 200])
    })
  }
})
