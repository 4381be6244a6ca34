/** Proves what a receiver gets and what its answer is taken for, over real sockets. */
import { afterEach, describe, expect, test } from 'bun:test'
import { startScriptedTarget } from '../ollama/scripted-target.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'
import { createDeliveryRig, type DeliveryRig, type RigOptions } from './delivery-rig.ts'

const rigs: DeliveryRig[] = []
const servers: { stop(force?: boolean): unknown }[] = []

afterEach(() => {
  for (const rig of rigs.splice(0)) rig.expectNoLeaks()
  for (const server of servers.splice(0)) server.stop(true)
})

const rigOf = (options?: RigOptions) => {
  const rig = createDeliveryRig(options)
  rigs.push(rig)
  return rig
}

interface Got {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  readonly body: Buffer
}

const startReceiver = (answer: (request: Request) => Response) => {
  const got: Got[] = []
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const body = Buffer.from(await request.arrayBuffer())
      got.push({ method: request.method, path: pathname + search, headers: request.headers, body })
      return answer(request)
    },
  })
  servers.push(server)
  return { port: server.port ?? 0, got }
}

describe('what the receiver gets', () => {
  test('one POST with the exact bytes, the type, the agent and both signatures', async () => {
    const { port, got } = startReceiver(() => new Response('thanks'))
    const rig = rigOf({ secrets: ['a-secret-of-some-length'] })
    const body = Buffer.from('{"text":"Grüße \u2028"}')
    expect(await rig.post(`http://receiver.test:${port}/hook/ä?key=a%20b#part`, { body })).toEqual({
      kind: 'accepted',
      status: 200,
    })
    const [only, ...more] = got
    expect(more).toEqual([])
    expect(only).toMatchObject({ method: 'POST', path: '/hook/%C3%A4?key=a%20b', body })
    const headers = Object.fromEntries(only!.headers)
    expect(headers).toEqual({
      'content-length': String(body.length),
      'content-type': 'application/json',
      host: `receiver.test:${port}`,
      'user-agent': 'foreman/1.2.3',
      'webhook-id': 'job_1',
      'webhook-signature': expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=$/),
      'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
      'x-foreman-signature': expect.stringMatching(/^sha256=[0-9a-f]{64}$/),
    })
  })

  test('the same id on every try, and the time of the try', async () => {
    const { port, got } = startReceiver(() => new Response(null, { status: 500 }))
    const clock = createVirtualClock()
    const rig = rigOf({ clock, secrets: ['a-secret-of-some-length'] })
    for (let i = 0; i < 2; i++) {
      expect(await rig.post(`http://127.0.0.1:${port}/`)).toMatchObject({ kind: 'retry' })
      await clock.advance(60_000)
    }
    expect(got.map(({ headers }) => headers.get('webhook-id'))).toEqual(['job_1', 'job_1'])
    const [first, second] = got.map(({ headers }) => Number(headers.get('webhook-timestamp')))
    expect(second! - first!).toBe(60)
  })

  test('a large body arrives whole', async () => {
    const { port, got } = startReceiver(() => new Response())
    const body = Buffer.alloc(5_000_000, 'x')
    expect(await rigOf().post(`http://127.0.0.1:${port}/`, { body })).toMatchObject({ kind: 'accepted' })
    expect(got[0]?.body.equals(body)).toBe(true)
  })
})

describe('what an answer is taken for', () => {
  test.each([200, 201, 202, 204, 299])('%p accepts', async (status) => {
    const { port } = startReceiver(() => new Response(null, { status }))
    expect(await rigOf().post(`http://127.0.0.1:${port}/`)).toEqual({ kind: 'accepted', status })
  })

  test('410 means that nothing more is wanted', async () => {
    const { port } = startReceiver(() => new Response(null, { status: 410 }))
    expect(await rigOf().post(`http://127.0.0.1:${port}/`)).toEqual({ kind: 'gone' })
  })

  test.each([400, 401, 404, 408, 422, 429, 500, 502, 503])('%p is tried again', async (status) => {
    const { port } = startReceiver(() => new Response('no', { status }))
    expect(await rigOf().post(`http://127.0.0.1:${port}/`)).toEqual({
      kind: 'retry',
      reason: `it answered ${status}`,
      retryAfterMs: null,
      isAnswer: true,
    })
  })

  test.each([301, 302, 303, 304, 307, 308])('%p is not followed', async (status) => {
    const elsewhere = startReceiver(() => new Response())
    const { port, got } = startReceiver(
      () => new Response(null, { status, headers: { location: `http://127.0.0.1:${elsewhere.port}/` } }),
    )
    const rig = rigOf()
    expect(await rig.post(`http://127.0.0.1:${port}/`)).toMatchObject({
      kind: 'retry',
      reason: `it answered ${status}, and redirects are not followed`,
    })
    expect([got.length, elsewhere.got.length, rig.dialled.length]).toEqual([1, 0, 1])
  })

  test.each([
    ['120', 120_000],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['whenever', null],
  ])('Retry-After %p is told as %p ms', async (value, retryAfterMs) => {
    const date = 'Thu, 01 Jan 2026 00:00:00 GMT'
    const { port } = startReceiver(() => new Response(null, { status: 503, headers: { date, 'retry-after': value } }))
    const outcome = await rigOf().post(`http://127.0.0.1:${port}/`)
    expect(outcome).toEqual({ kind: 'retry', reason: 'it answered 503', retryAfterMs, isAnswer: true })
  })

  test('nobody listening, a reset and nonsense are all tried again', async () => {
    const closed = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } })
    closed.stop(true)
    const reset = startScriptedTarget((socket) => socket.terminate())
    const hangsUp = startScriptedTarget((socket) => void socket.end())
    const nonsense = startScriptedTarget((socket) => void socket.write('SSH-2.0-OpenSSH_9.6\r\n\r\n'))
    servers.push(reset, hangsUp, nonsense)
    const rig = rigOf()
    for (const port of [closed.port, reset.port, hangsUp.port, nonsense.port])
      expect(await rig.post(`http://127.0.0.1:${port}/`)).toMatchObject({
        kind: 'retry',
        retryAfterMs: null,
        isAnswer: false,
      })
  })

  test('an acceptance counts although the rest of the answer breaks off', async () => {
    const target = startScriptedTarget((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
      socket.end()
    })
    servers.push(target)
    expect(await rigOf().post(target.url)).toEqual({ kind: 'accepted', status: 200 })
  })
})

describe('where it goes', () => {
  test('a refused URL and a refused address are not dialled', async () => {
    const rig = rigOf({ policy: 'public', resolve: async () => ['10.0.0.1', '::1'] })
    expect(await rig.post('http://127.0.0.1:1/')).toMatchObject({ kind: 'refused' })
    expect(await rig.post('http://receiver.test/')).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('10.0.0.1 is a private address'),
    })
    expect(rig.dialled).toEqual([])
  })

  test('foreman and the target are not dialled, whatever name leads there', async () => {
    const { port, got } = startReceiver(() => new Response())
    const rig = rigOf({ offLimits: [{ what: 'foreman itself', host: '127.0.0.1', port }] })
    for (const host of ['127.0.0.1', '127.3.2.1', '[::1]', '[::ffff:127.0.0.1]', 'localhost', 'name.test'])
      expect(await rig.post(`http://${host}:${port}/jobs`)).toMatchObject({ kind: 'refused' })
    expect([rig.dialled, got]).toEqual([[], []])
  })

  test('a name that does not resolve, or to nothing, is tried again', async () => {
    const failing = rigOf({ resolve: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })) })
    expect(await failing.post('http://nowhere.test/')).toMatchObject({
      kind: 'retry',
      reason: 'nowhere.test could not be resolved: ENOTFOUND',
    })
    expect(await rigOf({ resolve: async () => [] }).post('http://empty.test/')).toMatchObject({ kind: 'retry' })
    expect(await rigOf({ resolve: async () => ['0177.0.0.1'] }).post('http://odd.test/')).toMatchObject({
      kind: 'retry',
    })
  })

  test('the second address is dialled when nobody is at the first, but not when it has the request', async () => {
    const { port, got } = startReceiver(() => new Response(null, { status: 500 }))
    const rig = rigOf({
      resolve: async () => ['169.254.1.1', '127.0.0.9', '::ffff:127.0.0.1', '127.0.0.1', '127.0.0.8'],
    })
    expect(await rig.post(`http://two.test:${port}/`)).toMatchObject({ reason: 'it answered 500' })
    expect(rig.dialled).toEqual(['127.0.0.9', '127.0.0.1'])
    expect(got.length).toBe(1)
  })
})
