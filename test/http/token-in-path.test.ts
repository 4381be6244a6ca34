/** The token as the first part of a path, for clients that can send no header; it must stay at the door. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { startStubTarget } from '../support/stub-target.ts'
import { askOnce, headerOf, openClient } from '../support/wire-client.ts'

const TOKEN = 'open-sesame'
let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  foreman = await runForeman(simulator.url, { FOREMAN_TOKEN: TOKEN, FOREMAN_TOKEN_IN_PATH: 'true' })
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const chat = { model: 'tiny', stream: false, messages: [{ role: 'user', content: '[[n=2]]' }] }
const statusOf = async (request: string, { port } = foreman) => (await askOnce(port, request)).status

test('lets in on every kind of route', async () => {
  expect(await statusOf('HEAD /open-sesame/ HTTP/1.1\r\nHost: x.local\r\n\r\n')).toBe(200)
  expect(await statusOf(get('/open-sesame'))).toBe(200)
  expect(await statusOf(get('/open-sesame/api/tags?x=1'))).toBe(200)
  expect(await statusOf(post('/open-sesame/api/chat', chat))).toBe(200)
  expect(await statusOf(post('/open-sesame/v1/chat/completions', chat))).toBe(200)
  expect(await statusOf(get('/open-sesame/jobs'))).toBe(200)
  expect(await statusOf(get('/%6fpen-sesame/api/tags'))).toBe(200)
})

test.each(['/open-sesam', '/open-sesamee', '/Open-Sesame', '/api', '/x/open-sesame', '//open-sesame'])(
  '%s is no token',
  async (prefix) => {
    expect(await statusOf(get(`${prefix}/api/tags`))).toBe(401)
  },
)

test('a header goes on working, and a path without a token is what it always was', async () => {
  expect(await statusOf(get('/api/tags', [`Authorization: Bearer ${TOKEN}`]))).toBe(200)
  expect(await statusOf(get('/api/tags'))).toBe(401)
  expect(await statusOf(get('/open-sesame/other'))).toBe(404)
})

test('is seen neither by the target nor by a log', async () => {
  const target = startStubTarget(() => Response.json({ model: 'm', done: true }))
  const mine = await runForeman(target.url, { FOREMAN_TOKEN: TOKEN, FOREMAN_TOKEN_IN_PATH: 'true' })
  await polled(mine)
  await statusOf(post('/open-sesame/api/chat?a=b', { ...chat, model: 'm' }), mine)
  await statusOf(post('/open-sesame/v1/unheard', { model: 'm' }), mine)
  const client = await openClient(mine.port)
  await client.send(get('/open-sesame/api/unheard')).answer
  client.close()
  await mine.stop()
  expect(target.paths()).toContain('/api/chat?a=b')
  expect(target.seen().filter((text) => text.includes('sesame'))).toEqual([])
  expect(mine.lines.filter((line) => line.includes('sesame'))).toEqual([])
  await target.stop()
})

test.each([
  ['GET', '/open-sesame/api/version/', 301, '/open-sesame/api/version'],
  ['GET', '/open-sesame//api/version?x=1', 307, '/open-sesame/api/version?x=1'],
  ['POST', '/open-sesame/api/chat/', 307, '/open-sesame/api/chat'],
  ['GET', '/open-sesame/healthz/', 301, '/open-sesame/healthz'],
  ['GET', '/%6fpen-sesame/api/tags/', 301, '/open-sesame/api/tags'],
])('%s %s leads below the token: who follows is let in', async (method, path, status, location) => {
  const request = (at: string) => `${method} ${at} HTTP/1.1\r\nHost: x.local\r\nContent-Length: 0\r\n\r\n`
  const answer = await askOnce(foreman.port, request(path))
  expect([answer.status, headerOf(answer, 'location')]).toEqual([status, location])
  expect(answer.body.toString()).toBe(
    method === 'GET'
      ? `<a href="${location}">${status === 301 ? 'Moved Permanently' : 'Temporary Redirect'}</a>.\n\n`
      : '',
  )
  expect(await statusOf(request(location))).not.toBe(401)
})

test('a submitted job is found below the token too', async () => {
  const submitted = await askOnce(foreman.port, post('/open-sesame/jobs', chat))
  const at = headerOf(submitted, 'location') ?? ''
  expect([submitted.status, at.startsWith('/open-sesame/jobs/')]).toEqual([202, true])
  expect(await statusOf(get(at))).toBe(200)
  const plain = await askOnce(foreman.port, post('/jobs', chat, [`Authorization: Bearer ${TOKEN}`]))
  expect(headerOf(plain, 'location')).toStartWith('/jobs/')
})

test('without the setting a token in a path is none', async () => {
  const plain = await runForeman(simulator.url, { FOREMAN_TOKEN: TOKEN })
  expect(await statusOf(get('/open-sesame/api/tags'), plain)).toBe(401)
  await plain.stop()
})
