/** While the target is away its callers are answered by the fallback, to the byte as if they had asked it themselves. */
import { afterEach, expect, test } from 'bun:test'
import type { SyncCaller } from '../../../src/http/ollama/answer.ts'
import { leadPast } from '../../../src/http/ollama/stand-in.ts'
import { type Simulator, startSimulator } from '../../../src/simulator/simulator.ts'
import { type EchoServer, startEchoServer } from '../../support/echo-server.ts'
import { figure } from '../../support/figures.ts'
import { type RunningForeman, runForeman } from '../../support/foreman.ts'
import { freePort } from '../../support/stand-in.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const AFTER_MS = 300
const nowhere = () => `http://127.0.0.1:${freePort()}`

const startFallback = (models = ['tiny', 'small']): EchoServer => {
  const server = startEchoServer(models)
  stops.push(server.stop)
  return server
}

const start = async (target: string, env: Record<string, string>): Promise<RunningForeman> => {
  const foreman = await runForeman(target, {
    FOREMAN_FALLBACK_MODELS: '*=same',
    FOREMAN_FALLBACK_AFTER: `${AFTER_MS}ms`,
    FOREMAN_UNREACHABLE_DEADLINE: '3s',
    ...env,
  })
  stops.push(foreman.stop)
  return foreman
}

const post = (url: string, path: string, body: object, headers: Record<string, string> = {}) =>
  fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body), headers })

const chat = (url: string, more: object = {}, headers: Record<string, string> = {}) =>
  post(url, '/api/chat', { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], ...more }, headers)

const flavours = [
  ['/api/chat', (i: number) => ({ model: 'tiny', messages: [{ role: 'user', content: `chat ${i}` }] })],
  [
    '/v1/chat/completions',
    (i: number) => ({ model: 'tiny', stream: true, messages: [{ role: 'user', content: `${i}` }] }),
  ],
  [
    '/v1/messages',
    (i: number) => ({ model: 'tiny', stream: true, max_tokens: 9, messages: [{ role: 'user', content: `${i}` }] }),
  ],
] as const

test('a target that sleeps: 100 streamed calls of three flavours, each as the fallback itself would answer it', async () => {
  const fallback = startFallback()
  const asleep = await startSimulator({ models: [{ name: 'tiny' }] })
  stops.push(asleep.stop)
  const env = { FOREMAN_FALLBACK_URL: fallback.url, FOREMAN_FALLBACK_CONCURRENCY: '4', FOREMAN_POLL_INTERVAL: '100ms' }
  const { url, logged } = await start(asleep.url, env)
  expect((await chat(url)).status).toBe(200)
  asleep.sleep()
  await logged('target_unreachable')
  let slowestMs = 0
  const one = async (i: number) => {
    const [path, bodyOf] = flavours[i % flavours.length] ?? flavours[0]
    const direct = await post(fallback.url, path, bodyOf(i))
    const wanted = Buffer.from(await direct.arrayBuffer())
    const beganMs = performance.now()
    const response = await post(url, path, bodyOf(i))
    const given = Buffer.from(await response.arrayBuffer())
    slowestMs = Math.max(slowestMs, performance.now() - beganMs)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, direct.headers.get('content-type')])
    expect(given.equals(wanted)).toBe(true)
    expect(response.headers.get('x-foreman-served-by')).toBe('fallback')
    expect(response.headers.get('x-foreman-model')).toBe('tiny')
  }
  await Promise.all(Array.from({ length: 100 }, (_, i) => one(i)))
  figure(
    'FB1',
    `100 calls while the target sleeps, 4 at once, FOREMAN_FALLBACK_AFTER=${AFTER_MS}ms: slowest ${Math.round(slowestMs)} ms`,
  )
  expect(slowestMs).toBeLessThan(AFTER_MS + 5_000)
  expect(fallback.asked.length).toBe(200)
}, 60_000)

test('only the model’s name changes on the way, and only where it has another one there', async () => {
  const fallback = startFallback()
  const { url } = await start(nowhere(), {
    FOREMAN_FALLBACK_URL: fallback.url,
    FOREMAN_FALLBACK_MODELS: 'big:70b=small, tiny=same',
    FOREMAN_FALLBACK_TOKEN: 'key-of-the-fallback',
  })
  const send = (body: string) =>
    fetch(`${url}/api/chat`, { method: 'POST', body, headers: { Authorization: 'Bearer mine', 'X-Case': 'kept' } })
  const mapped = await send('{ "messages" : [{"role":"user","content":"é"}], "MODEL":"big:70b" , "keep_alive":"3m"}')
  expect([mapped.status, mapped.headers.get('x-foreman-model')]).toEqual([200, 'small'])
  const same = '{"model":"tiny","messages":[{"role":"user","content":"x"}], "odd" : 1}'
  expect((await send(same)).headers.get('x-foreman-model')).toBe('tiny')
  const [first, second] = fallback.asked
  expect(first?.body).toBe('{ "messages" : [{"role":"user","content":"é"}], "MODEL":"small" , "keep_alive":"3m"}')
  expect(second?.body).toBe(same)
  expect(first?.headers.get('authorization')).toBe('Bearer key-of-the-fallback')
  expect(first?.headers.get('x-case')).toBe('kept')
  const none = await chat(url, { model: 'unknown' })
  expect([none.status, fallback.asked.length]).toEqual([503, 2])
  expect(none.headers.get('x-foreman-served-by')).toBeNull()
})

test('a call may ask for no fallback, or for nothing else; a target that is there is not asked then', async () => {
  const fallback = startFallback()
  const target = await startSimulator({ models: [{ name: 'tiny' }] })
  stops.push(target.stop)
  const { url, logged } = await start(target.url, {
    FOREMAN_FALLBACK_URL: fallback.url,
    FOREMAN_FALLBACK_MODELS: 'tiny=same',
  })
  const only = await chat(url, {}, { 'X-Foreman-Fallback': 'only' })
  expect([only.status, only.headers.get('x-foreman-served-by'), target.counters().requests['/api/chat'] ?? 0]).toEqual([
    200,
    'fallback',
    0,
  ])
  expect(fallback.asked[0]?.headers.get('x-foreman-fallback')).toBeNull()
  expect(await logged('fallback_served')).toMatchObject({ model: 'tiny', reason: 'asked' })
  const missing = await chat(url, { model: 'other' }, { 'X-Foreman-Fallback': 'only' })
  expect([missing.status, await missing.json()]).toEqual([404, { error: "model 'other' not found" }])
  const there = await chat(url, {}, { 'X-Foreman-Fallback': 'nonsense' })
  expect([there.status, there.headers.get('x-foreman-served-by'), there.headers.get('x-foreman-model')]).toEqual([
    200,
    'target',
    'tiny',
  ])
  await there.text()
  await target.stop()
  const never = await chat(url, {}, { 'X-Foreman-Fallback': 'never' })
  expect([never.status, fallback.asked.length]).toEqual([503, 1])
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toContain('foreman_fallback_calls_total{reason="asked",result="served"} 1')
})

test('compressed bytes are never sent by another name than is said, not even where nothing but the fallback is asked for', async () => {
  const fallback = startFallback()
  fallback.says = () => Response.json({ id: 'chatcmpl-1', object: 'chat.completion', choices: [] })
  const { url } = await start(nowhere(), {
    FOREMAN_FALLBACK_URL: fallback.url,
    FOREMAN_FALLBACK_MODELS: 'tiny=small,small=same',
  })
  const send = (model: string) =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: Bun.zstdCompressSync(JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] })),
      headers: { 'Content-Encoding': 'zstd', 'X-Foreman-Fallback': 'only', Cookie: 'session=of-this-client' },
    })
  const renamed = await send('tiny')
  expect([renamed.status, fallback.asked.length]).toEqual([503, 0])
  const same = await send('small')
  expect([same.headers.get('x-foreman-served-by'), fallback.asked.length]).toEqual(['fallback', 1])
  expect(fallback.asked[0]?.headers.get('cookie')).toBeNull()
})

test('a path that foreman does not know is not asked of the target either where nothing but the fallback is wanted', async () => {
  const [fallback, target] = [startFallback(), startFallback()]
  for (const server of [fallback, target]) server.says = () => Response.json({ tokens: [1, 2] })
  const { url } = await start(target.url, { FOREMAN_FALLBACK_URL: fallback.url, FOREMAN_FALLBACK_MODELS: 'tiny=same' })
  const tokens = (model: string) => post(url, '/api/tokenize', { model, text: 'x' }, { 'X-Foreman-Fallback': 'only' })
  const only = await tokens('tiny')
  expect([only.status, only.headers.get('x-foreman-served-by')]).toEqual([200, 'fallback'])
  expect((await tokens('other')).status).toBe(404)
  expect([fallback.asked.length, target.asked.length]).toEqual([1, 0])
})

test('a call without a job names none, not even where its answer begins with a sign of life', async () => {
  const fallback = startFallback()
  const goOn = Promise.withResolvers<void>()
  fallback.says = () => goOn.promise.then(() => Response.json({ model: 'tiny', done: true }))
  const { url } = await start(nowhere(), { FOREMAN_FALLBACK_URL: fallback.url })
  const response = await chat(url, { stream: false }, { 'X-Foreman-Fallback': 'only', 'X-Foreman-Heartbeat': '1s' })
  expect([response.status, response.headers.get('x-foreman-job-id')]).toEqual([200, null])
  goOn.resolve()
  expect(await response.json()).toEqual({ model: 'tiny', done: true })
})

test('what was tried elsewhere first has what is left of its deadline at the target', async () => {
  const clock = createVirtualClock()
  const caller = { arrivedAtMs: clock.monotonicMs() } as SyncCaller
  const left: (number | null)[] = []
  const aside = { serve: () => clock.advance(7_000).then(() => false) } as never
  const toTarget = async (leftMs: number | null) => void left.push(leftMs)
  await leadPast({ engine: { aside }, clock }, caller, { deadlineMs: 10_000, toTarget })
  await leadPast({ engine: { aside }, clock }, caller, { deadlineMs: null, toTarget })
  expect(left).toEqual([3_000, null])
})

test('embeddings that go past the queue are answered too', async () => {
  const fallback = startFallback()
  const { url } = await start(nowhere(), { FOREMAN_FALLBACK_URL: fallback.url, FOREMAN_EMBED: 'bypass' })
  const beganMs = performance.now()
  const response = await post(url, '/api/embed', { model: 'tiny', input: 'abc' })
  expect(await response.json()).toEqual({ model: 'tiny', embeddings: [[12, 3]] })
  expect([response.status, response.headers.get('x-foreman-served-by')]).toEqual([200, 'fallback'])
  expect(performance.now() - beganMs).toBeGreaterThan(AFTER_MS - 100)
  const only = await post(url, '/api/embed', { model: 'tiny', input: 'abcd' }, { 'X-Foreman-Fallback': 'only' })
  expect(await only.json()).toEqual({ model: 'tiny', embeddings: [[12, 4]] })
})

test('without a fallback nothing is said of it', async () => {
  const target: Simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  stops.push(target.stop)
  const foreman = await runForeman(target.url)
  stops.push(foreman.stop)
  const response = await chat(foreman.url, {}, { 'X-Foreman-Fallback': 'only' })
  expect([response.status, response.headers.get('x-foreman-served-by')]).toEqual([200, null])
  expect(await (await fetch(`${foreman.url}/metrics`)).text()).not.toContain('fallback')
})
