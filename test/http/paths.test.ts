/** What is judged is what is sent: a path has one spelling inside foreman, and one that could be read in two ways goes nowhere. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { canonicalPath } from '../../src/http/request-path.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { type StubTarget, startStubTarget } from '../support/stub-target.ts'
import { askOnce, headerOf } from '../support/wire-client.ts'

let target: StubTarget
let foreman: RunningForeman

beforeAll(async () => {
  target = startStubTarget(() => Response.json({ models: [], version: '1' }))
  foreman = await runForeman(`${target.url}/ollama`, { FOREMAN_READ_ONLY: 'true', FOREMAN_HOSTS: '*' })
})
afterAll(async () => {
  await foreman.stop()
  await target.stop()
})

const ask = (method: string, path: string, host = 'foreman.local') =>
  askOnce(foreman.port, `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 2\r\n\r\n{}`)

const ambiguous = [
  '/api/x/..%2fpull',
  '/api/x%2f..%2fpull',
  '/api/..%2f..%2fadmin/',
  '/api/%2e%2e%2fadmin',
  '/api/x/..%5cpull',
  '/api/x%5c..%5cpull',
  '/api/pull#x',
  '/api/pull%23x',
  '/api/pull;x',
  '/api/pull%3fx',
  '/api/pull%00',
  '/api/x/%252e%252e%252fpull',
  '/api/x/%2525',
  '/v1/models/a%2fb',
  '/api/x%zz',
  '/api/%ff',
  '/API/pull',
  '/api/Pull',
  '/api/pull//',
  '//api/pull///',
  '/api//pull//',
  '/api/pull%20',
  '/api/%20pull',
  '/api/pull%09',
  '/api/pull%C2%A0',
  '/api/pull.',
  '/api/pull./',
  '/api/pull...',
  '/api/pull+',
  '/api/pull%20./',
  '/api/...%20/pull',
  '/api/pu%E2%80%8Bll',
  '/api/pul%EF%BD%8C',
  '/api/blobs/sha256:x//',
]

describe('a path that could be read in two ways', () => {
  for (const path of ambiguous)
    test(`${path} is nobody's, and the target hears nothing of it`, async () => {
      for (const host of ['foreman.local', 'nas', 'evil/admin?']) {
        const before = target.paths().length
        const refused = await ask('POST', path, host)
        expect([host, refused.status, refused.body.toString()]).toEqual([host, 404, '404 page not found'])
        expect(
          target
            .paths()
            .slice(before)
            .filter((one) => !/\/api\/(tags|ps|version)$/.test(one)),
        ).toEqual([])
      }
    })

  test('neither under another method', async () => {
    const before = target.paths().length
    for (const path of ['/api/delete//', '/api/delete.', '/api/delete%20', '/api/Delete/'])
      expect([path, (await ask('DELETE', path)).status]).toEqual([path, 404])
    const heard = target.paths().slice(before)
    expect(heard.filter((path) => path.includes('elete'))).toEqual([])
  })

  test('dots are followed before anything is judged, or go nowhere where nobody follows them', async () => {
    expect((await ask('POST', '/api/x/../pull')).status).toBe(403)
    expect((await ask('POST', '/api/x/%2e%2e/pull')).status).toBe(403)
    expect((await ask('POST', '/api/x/../pull', 'evil/admin?')).status).toBe(404)
  })

  test('on /jobs it is a problem in the words of /jobs', async () => {
    const refused = await ask('GET', '/jobs/a%2fb')
    expect([refused.status, headerOf(refused, 'content-type')]).toEqual([404, 'application/problem+json'])
  })
})

describe('a path with one meaning', () => {
  test('is sent on in the spelling that was judged', async () => {
    for (const [sent, received] of [
      ['/api/%76ersion?a=%2F', '/ollama/api/version?a=%2F'],
      ['/v1/models/llama3.2%3A3b', '/ollama/v1/models/llama3.2:3b'],
      ['/v1/models/%E6%97%A5', '/ollama/v1/models/%E6%97%A5'],
      ['/api/new/a%20b', '/ollama/api/new/a%20b'],
      ['/api/new//b.', '/ollama/api/new//b.'],
    ] as const)
      for (const host of ['foreman.local', 'nas']) {
        expect((await ask('GET', sent, host)).status).toBe(200)
        // A look at what is loaded or installed, and at who answers there, may come after it.
        const own = ['/ollama/api/ps', '/ollama/api/tags', '/ollama/api/version']
        expect(target.paths().findLast((path) => !own.includes(path))).toBe(received)
      }
  })

  test('with a slash behind it is redirected to its own spelling', async () => {
    for (const host of ['foreman.local', 'nas']) {
      const answer = await ask('GET', '/v1/models/%E6%97%A5/', host)
      expect([answer.status, headerOf(answer, 'location')]).toEqual([301, '/v1/models/%E6%97%A5'])
    }
    const posted = await ask('POST', '/api/%63hat/?a=b')
    expect([posted.status, headerOf(posted, 'location')]).toEqual([307, '/api/chat?a=b'])
  })

  test('of foreman itself is redirected as those of Ollama are', async () => {
    for (const [method, path, status, location] of [
      ['POST', '/jobs/', 307, '/jobs'],
      ['GET', '/jobs/?limit=1', 301, '/jobs?limit=1'],
      ['DELETE', '/jobs/x/', 307, '/jobs/x'],
      ['GET', '/livez/', 301, '/livez'],
      ['HEAD', '/metrics/', 301, '/metrics'],
    ] as const) {
      const answer = await ask(method, path)
      expect([path, answer.status, headerOf(answer, 'location')]).toEqual([path, status, location])
    }
    expect((await ask('PUT', '/jobs/x/')).status).toBe(405)
  })

  test('comes to the same route whatever foreman is called', async () => {
    for (const host of ['a', 'ab', 'nas', 'foreman.local', 'evil/jobs?', ':1', '']) {
      const answer = await ask('GET', '/jobs/01M7Z4BPW8T93C8K41K5GH5ZQW', host)
      expect([host, answer.status, headerOf(answer, 'content-type')]).toEqual([host, 404, 'application/problem+json'])
      expect([host, (await ask('GET', '/livez', host)).status]).toEqual([host, 200])
    }
  })

  test('a canonical path is its own canonical path', () => {
    for (const path of [
      '/',
      '/api/chat',
      '/v1/models/%E6%97%A5/',
      '/a%20b',
      '//x',
      '/.well-known/x',
      '/a/..b',
      '/%5B1%5D',
    ])
      expect([path, canonicalPath(canonicalPath(path) ?? '')]).toEqual([path, path])
  })
})
