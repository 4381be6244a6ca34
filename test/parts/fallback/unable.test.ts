/** A fallback that cannot help: its callers wait for the target as they would have without one, and each of the two breakers opens by itself. */
import { afterEach, expect, test } from 'bun:test'
import { startSimulator } from '../../../src/simulator/simulator.ts'
import { startEchoServer } from '../../support/echo-server.ts'
import { figure } from '../../support/figures.ts'
import { type RunningForeman, runForeman } from '../../support/foreman.ts'
import { freePort } from '../../support/stand-in.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const nowhere = () => `http://127.0.0.1:${freePort()}`
const DEADLINE_MS = 1_500

const start = async (target: string, fallback: string, env: Record<string, string> = {}): Promise<RunningForeman> => {
  const foreman = await runForeman(target, {
    FOREMAN_FALLBACK_URL: fallback,
    FOREMAN_FALLBACK_MODELS: '*=same',
    FOREMAN_FALLBACK_AFTER: '100ms',
    FOREMAN_UNREACHABLE_DEADLINE: `${DEADLINE_MS}ms`,
    ...env,
  })
  stops.push(foreman.stop)
  return foreman
}

const startEcho = (port = 0) => {
  const server = startEchoServer(['tiny'], port)
  stops.push(server.stop)
  return server
}

const chat = (url: string, headers: Record<string, string> = {}, model = 'tiny') =>
  fetch(`${url}/api/chat`, {
    method: 'POST',
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
    headers,
  })

const timed = async (request: Promise<Response>) => {
  const beganMs = performance.now()
  const response = await request
  await response.text()
  return { status: response.status, ms: performance.now() - beganMs, by: response.headers.get('x-foreman-served-by') }
}

const page = () => new Response('<html>login</html>', { headers: { 'Content-Type': 'text/html' } })
const busy = () => Response.json({ error: 'server busy' }, { status: 503, headers: { 'Retry-After': '7' } })
const faults = {
  down: null,
  busy,
  'an impostor': page,
  'without the model': () => Response.json({ error: "model 'tiny' not found" }, { status: 404 }),
  'without a plan': () => Response.json({ error: 'this model requires a subscription' }, { status: 403 }),
  broken: () => Response.json({ error: 'llama-server process has terminated' }, { status: 500 }),
} as const

test.each(Object.keys(faults) as (keyof typeof faults)[])(
  'a fallback that is %s: 503 within the deadline, the log says why, and the target’s return is waited for',
  async (name) => {
    const fault = faults[name]
    const fallback = startEcho()
    const url = name === 'down' ? nowhere() : fallback.url
    if (fault !== null) fallback.says = fault
    const target = nowhere()
    const foreman = await start(target, url)
    const told = await timed(chat(foreman.url))
    expect([told.status, told.by]).toEqual([503, null])
    figure(
      'FB3',
      `a fallback that is ${name}, FOREMAN_UNREACHABLE_DEADLINE=${DEADLINE_MS}ms: 503 after ${Math.round(told.ms)} ms`,
    )
    expect(told.ms).toBeGreaterThan(DEADLINE_MS - 300)
    expect(told.ms).toBeLessThan(DEADLINE_MS + 1_500)
    expect(await foreman.logged('fallback_unable')).toMatchObject({
      level: 'warn',
      model: 'tiny',
      reason: 'unreachable',
    })
    const only = await timed(chat(foreman.url, { 'X-Foreman-Fallback': 'only' }))
    expect(only.status).toBe(503)
    // The one who waits has the target when it comes.
    const waits = timed(chat(foreman.url))
    const back = startEcho(Number(new URL(target).port))
    expect(await waits).toMatchObject({ status: 200, by: 'target' })
    expect(back.asked.length).toBe(1)
  },
)

test('a refusal of the request itself is the fallback’s answer', async () => {
  const fallback = startEcho()
  fallback.says = () => Response.json({ error: 'invalid format: expected "json"' }, { status: 400 })
  const foreman = await start(nowhere(), fallback.url)
  const response = await chat(foreman.url)
  expect([response.status, await response.json()]).toEqual([400, { error: 'invalid format: expected "json"' }])
  expect(response.headers.get('x-foreman-served-by')).toBe('fallback')
})

test('after three faults in a row the fallback is left alone, and that is an alarm until it answers', async () => {
  const fallback = startEcho()
  fallback.says = page
  const foreman = await start(nowhere(), fallback.url, { FOREMAN_UNREACHABLE_DEADLINE: '300ms' })
  for (let i = 0; i < 6; i++) expect((await timed(chat(foreman.url))).status).toBe(503)
  expect(fallback.asked.length).toBe(3)
  // The target has nothing to do with it.
  expect(foreman.lines.filter((line) => line.includes('"breaker_opened"')).length).toBe(1)
  const health = (await (await fetch(`${foreman.url}/healthz`)).json()) as { parts: { fallback: { breaker: string } } }
  expect(health.parts.fallback.breaker).toBe('open')
  expect(await foreman.logged('breaker_opened')).toMatchObject({ of: 'fallback' })
})

test('a model that the fallback does not have keeps nobody else from it', async () => {
  const fallback = startEcho()
  fallback.says = () => Response.json({ error: "model 'rare' not found" }, { status: 404 })
  const foreman = await start(nowhere(), fallback.url, { FOREMAN_UNREACHABLE_DEADLINE: '300ms' })
  for (let i = 0; i < 4; i++) expect((await timed(chat(foreman.url, {}, 'rare'))).status).toBe(503)
  fallback.says = null
  expect(await timed(chat(foreman.url))).toMatchObject({ status: 200, by: 'fallback' })
  expect(foreman.lines.join('')).not.toContain('breaker_opened')
})

test('a busy one is not asked again before it said, and that is no fault', async () => {
  const fallback = startEcho()
  fallback.says = busy
  const foreman = await start(nowhere(), fallback.url, { FOREMAN_UNREACHABLE_DEADLINE: '300ms' })
  for (let i = 0; i < 5; i++) expect((await timed(chat(foreman.url))).status).toBe(503)
  expect(fallback.asked.length).toBe(1)
  expect(foreman.lines.join('')).not.toContain('breaker_opened')
})

test('attempts that the target’s own faults have spent are answered elsewhere, and the slot is free meanwhile', async () => {
  const target = startEcho()
  target.says = () => Response.json({ error: 'llama-server process has terminated: exit status 2' }, { status: 500 })
  const fallback = startEcho()
  const goOn = Promise.withResolvers<void>()
  fallback.says = async () => {
    await goOn.promise
    return null as never
  }
  const foreman = await start(target.url, fallback.url, { FOREMAN_MAX_ATTEMPTS: '1' })
  const first = chat(foreman.url)
  await foreman.logged('job_requeued')
  target.says = null
  // The fallback is still at it, and the target serves the next.
  expect(await timed(chat(foreman.url, { 'X-Foreman-Fallback': 'never' }))).toMatchObject({ status: 200, by: 'target' })
  goOn.resolve()
  const rescued = await first
  expect([rescued.status, rescued.headers.get('x-foreman-served-by')]).toEqual([200, 'fallback'])
  expect(await foreman.logged('fallback_served')).toMatchObject({ reason: 'failed' })
  const id = rescued.headers.get('x-foreman-job-id') ?? ''
  await rescued.text()
  const shown = (await (await fetch(`${foreman.url}/jobs/${id}`)).json()) as { state: string; attempt: number }
  expect(shown).toMatchObject({ state: 'done', attempt: 1 })
})

test('a fallback that is another foreman says what it waited and which model answered; a circle of two ends', async () => {
  const [a, b] = [freePort(), freePort()]
  const port = (own: number, other: number, env: Record<string, string> = {}) =>
    start(nowhere(), `http://127.0.0.1:${other}`, { FOREMAN_ADDR: `127.0.0.1:${own}`, ...env })
  const simulator = await startSimulator({ models: [{ name: 'tiny' }], tokensPerSecond: 100 })
  stops.push(simulator.stop)
  const behind = await runForeman(simulator.url, { FOREMAN_ADDR: `127.0.0.1:${b}` })
  const first = await port(a, b)
  const [one, two] = await Promise.all([chat(first.url), chat(first.url)])
  expect([one?.status, two?.status]).toEqual([200, 200])
  for (const response of [one, two]) {
    expect(response?.headers.get('x-foreman-served-by')).toBe('fallback')
    expect(response?.headers.get('x-foreman-model')).toBe('tiny')
    expect(response?.headers.get('x-foreman-job-id')).toMatch(/^[0-9A-Z]{26}$/)
    expect(Number(response?.headers.get('x-foreman-queue-ms'))).toBeGreaterThan(50)
    await response?.text()
  }
  await behind.stop()
  await port(b, a)
  const told = await timed(chat(first.url))
  expect(told.status).toBe(503)
  figure('FB4', `two foremen that are each other's fallback, both targets away: 503 after ${Math.round(told.ms)} ms`)
  expect(told.ms).toBeLessThan(DEADLINE_MS + 1_000)
})
