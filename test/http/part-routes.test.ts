/** Routes that a part brings stand behind the same guard as all others, and learn who is asking. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Elysia } from 'elysia'
import { definePart } from '../../src/engine/part.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { askOnce, headerOf } from '../support/wire-client.ts'

let foreman: RunningForeman

beforeAll(async () => {
  const plan = definePart({
    name: 'mirror',
    settings: {},
    create: async ({ whoOf }) => ({
      start: () => undefined,
      stop: async () => undefined,
      routes: new Elysia()
        .get('/mirror/:name', ({ params, request }) => ({ name: params.name, who: whoOf(request) }))
        .get('/mirror/endless', () => new Response(new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(9)) }))),
    }),
  })
  foreman = await runForeman('http://127.0.0.1:9', { FOREMAN_TOKEN: 'secret', FOREMAN_HOSTS: 'nas' }, { plans: [plan] })
})
afterAll(() => foreman.stop())

const ask = (path: string, lines: readonly string[], method = 'GET') =>
  askOnce(foreman.port, `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
const token = 'Authorization: Bearer secret'

test('a caller who may is told apart, under a name of three letters too', async () => {
  for (const host of ['nas', 'localhost'])
    expect(JSON.parse((await ask('/mirror/%61b', [`Host: ${host}`, token])).body.toString())).toEqual({
      name: 'ab',
      who: { kind: 'who', name: null },
    })
})

test('nobody else gets there', async () => {
  expect((await ask('/mirror/a', ['Host: nas'])).status).toBe(401)
  expect((await ask('/mirror/a', ['Host: evil.example', token])).status).toBe(403)
  expect((await ask('/mirror/a', ['Host: nas', token, 'Origin: https://evil.example'])).status).toBe(403)
  const page = await ask('/mirror/a', ['Host: nas', token, 'Origin: http://localhost:3000'])
  expect(headerOf(page, 'access-control-allow-origin')).toBe('http://localhost:3000')
})

test('a HEAD of a stream without an end is answered at once', async () => {
  expect((await ask('/mirror/endless', ['Host: nas', token], 'HEAD')).status).toBe(200)
})
