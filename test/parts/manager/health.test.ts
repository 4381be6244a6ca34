/** Health is the newest evidence: completions, jobs that move, and one token of a loaded model where there is neither; busy is never down. */

import { afterEach, expect, test } from 'bun:test'
import { noUsage } from '../../../src/domain/job/job.ts'
import { createWorld, type World } from '../../support/managed.ts'

let world: World
afterEach(() => world.bench.close())

const status = () => world.part().status?.() as { health: string; state: string; failures: number; reason: string }
const MINUTE = 60_000

test('idle, a loaded model is asked for one token each half minute, with the options it was loaded with, and never held on to', async () => {
  world = createWorld()
  await world.bench.submit('a', { numCtx: 8_192 })
  await world.bench.clock.advance(5 * MINUTE)
  expect(world.probes().length).toBeGreaterThanOrEqual(6)
  expect(world.probes().length).toBeLessThanOrEqual(9)
  for (const { body } of world.probes())
    expect(JSON.parse(body)).toEqual({
      model: 'm-a',
      prompt: 'test',
      stream: false,
      options: { num_ctx: 8_192, num_predict: 1 },
    })
  // Of the job: nothing else was loaded.
  expect(world.bench.target.loads).toEqual(['m-a@8192'])
  expect(status()).toMatchObject({ health: 'healthy', state: 'running' })
})

test('a completion within the last minute is evidence enough: no question', async () => {
  world = createWorld({ workMs: 1_000 })
  for (let job = 0; job < 30; job++) {
    await world.bench.submit(`j${job}`)
    await world.bench.clock.advance(20_000)
  }
  expect(world.probes()).toEqual([])
  expect(status()).toMatchObject({ health: 'healthy', reason: 'a completion ended just now' })
})

test('what is not loaded, is to go soon, or cannot chat is never asked', async () => {
  world = createWorld()
  await world.bench.clock.advance(5 * MINUTE)
  expect(world.probes()).toEqual([])
  await world.bench.close()
  world = createWorld({ expiresAt: '2026-01-01T00:30:00Z' })
  await world.bench.quiet()
  world.bench.target.resident = 'm-a'
  await world.bench.clock.advance(5 * MINUTE)
  expect(world.probes()).toEqual([])
  await world.bench.close()
  world = createWorld()
  await world.bench.quiet()
  world.bench.target.resident = 'nomic'
  world.script = ({ path }) =>
    path === '/api/show' ? { kind: 'ok', afterMs: 0, text: '{"capabilities":["embedding"]}' } : undefined
  await world.bench.clock.advance(5 * MINUTE)
  expect(world.probes()).toEqual([])
  expect(status()).toMatchObject({ health: 'healthy' })
})

test('a model that somebody else loaded is asked with its context, and never again once that loaded it anew', async () => {
  world = createWorld()
  await world.bench.quiet()
  world.bench.target.resident = 'm-a'
  world.script = ({ body }) =>
    body.includes('"test"') ? { kind: 'ok', afterMs: 10, text: '{"done":true,"load_duration":3000000000}' } : undefined
  await world.bench.clock.advance(5 * MINUTE)
  expect(world.probes().map(({ body }) => JSON.parse(body).options)).toEqual([{ num_ctx: 4_096, num_predict: 1 }])
})

test.each([
  ['4.9 s are healthy', { kind: 'ok', afterMs: 4_900 } as const, 'healthy', 0],
  ['5.1 s are slow', { kind: 'ok', afterMs: 5_100 } as const, 'slow', 0],
  ['a 404 says nothing', { kind: 'status', status: 404, error: 'not found' } as const, 'healthy', 0],
  ['a 503 says nothing', { kind: 'status', status: 503, error: 'busy' } as const, 'healthy', 0],
  ['a 500 is a failure', { kind: 'status', status: 500, error: 'dead runner' } as const, 'failing', 1],
  ['silence is a failure', { kind: 'hang' } as const, 'failing', 1],
])('%s', async (_, plan, health, failures) => {
  world = createWorld()
  await world.bench.submit('a')
  await world.bench.clock.advance(100_000)
  expect(world.probes().length).toBeGreaterThan(0)
  world.script = ({ body }) => (body.includes('"test"') ? plan : undefined)
  const asked = world.probes().length
  await world.bench.until(() => world.probes().length > asked)
  await world.bench.clock.advance(16_000)
  expect(status()).toMatchObject({ health, failures })
})

test('lists that are green beside generations that are dead: down after three failed judgements, restarted once, the jobs done', async () => {
  world = createWorld()
  await world.bench.submit('a')
  await world.bench.clock.advance(100_000)
  world.hangs = true
  const hungAtMs = world.bench.clock.monotonicMs()
  await world.bench.until(() => world.starts.length === 2, 10 * MINUTE, 1_000)
  expect(world.bench.clock.monotonicMs() - hungAtMs).toBeLessThan(3 * 46_000)
  await world.bench.submit('b')
  await world.bench.submit('c')
  await world.bench.clock.advance(20 * MINUTE)
  expect(world.starts.length).toBe(2)
  expect(world.noticed('ollama_restarted')).toMatchObject([{ cause: 'hung', attempt: 1 }])
  expect(world.bench.eventsOf('job_done').map(({ jobId }) => jobId)).toEqual(['a', 'b', 'c'])
  expect(status()).toMatchObject({ health: 'healthy', state: 'running' })
})

test('embeddings that go on are no evidence for generations that hang', async () => {
  world = createWorld()
  const models = [
    { name: 'm-a:latest', capabilities: ['completion'] },
    { name: 'nomic:latest', capabilities: ['embedding'] },
  ]
  world.script = ({ path }) =>
    path === '/api/tags' ? { kind: 'ok', afterMs: 0, text: JSON.stringify({ models }) } : undefined
  await world.bench.submit('a')
  await world.bench.clock.advance(100_000)
  world.hangs = true
  const residencyKey = 'registry.ollama.ai/library/nomic:latest'
  const fields = { jobId: 'e', kind: 'async', model: 'nomic', residencyKey, attempt: 1 } as const
  for (let embedding = 0; embedding < 20; embedding++) {
    world.bench.bus.emit({ event: 'job_working', ...fields, queueMs: 0 })
    await world.bench.clock.advance(1_000)
    world.bench.bus.emit({ event: 'job_done', ...fields, usage: noUsage, elapsedMs: 1_000 })
    await world.bench.clock.advance(9_000)
  }
  expect(world.noticed('ollama_restarted')).toMatchObject([{ cause: 'hung' }])
})

test('a job that is silent beside processes that compute nothing hangs, and comes back with its attempt', async () => {
  world = createWorld()
  world.script = ({ isWork }) => (isWork && world.starts.length < 2 ? { kind: 'hang' } : undefined)
  world.computes = false
  await world.bench.submit('a', { maxAttempts: 1 })
  await world.bench.until(() => world.starts.length === 2, 10 * MINUTE, 1_000)
  await world.bench.until(() => world.bench.eventsOf('job_done').length === 1, 10 * MINUTE, 1_000)
  expect(world.noticed('ollama_restarted')).toMatchObject([{ cause: 'hung', attempt: 1 }])
  expect(world.bench.eventsOf('job_failed')).toEqual([])
})

test('a prompt that a card reads without any processor time is not hung, however long it is silent', async () => {
  world = createWorld()
  world.script = ({ isWork }) => (isWork ? { kind: 'hang' } : undefined)
  world.computes = false
  world.isGpuBusy = true
  await world.bench.submit('a')
  await world.bench.clock.advance(20 * MINUTE)
  expect(world.starts.length).toBe(1)
  world.isGpuBusy = false
  await world.bench.until(() => world.starts.length === 2, 5 * MINUTE, 1_000)
})

test('adopted without a command: away while it fails its judgements, back when it passes one, never restarted', async () => {
  world = createWorld({ manage: 'adopt' })
  world.next = { kind: 'missing', words: 'nobody may restart it' }
  await world.bench.submit('a')
  await world.bench.clock.advance(100_000)
  world.hangs = true
  await world.bench.clock.advance(3 * MINUTE)
  expect(world.bench.engine.state.view).toMatchObject({ reachable: false })
  expect(world.bench.engine.state.view.down).toContain('nobody may restart it')
  await world.bench.submit('b')
  await world.bench.clock.advance(10 * MINUTE)
  world.hangs = false
  await world.bench.clock.advance(2 * MINUTE)
  expect(world.bench.engine.state.view).toMatchObject({ reachable: true, down: null })
  expect(world.bench.eventsOf('job_done').map(({ jobId }) => jobId)).toEqual(['a', 'b'])
  expect(world.alarms('down')).toEqual(['raised', 'resolved'])
  expect(world.starts.length).toBe(1)
})

test('adopted and not there from the beginning: GET /status does not say that it runs', async () => {
  world = createWorld({ manage: 'adopt' })
  world.bench.target.awake = false
  await world.bench.clock.advance(10_000)
  expect(world.part().facts?.()).toMatchObject({ ollama_running: { value: false }, health: { value: 'unknown' } })
  world.bench.target.awake = true
  await world.bench.clock.advance(MINUTE)
  expect(world.part().facts?.()).toMatchObject({ ollama_running: { value: true } })
})

test('a machine that sleeps is not down: nothing is restarted, however long', async () => {
  world = createWorld({ manage: 'adopt' }, 'http://gpu-box:11434')
  await world.bench.submit('a')
  await world.bench.clock.advance(100_000)
  world.bench.target.awake = false
  await world.bench.clock.advance(60 * MINUTE)
  expect(world.starts).toEqual([])
  expect(status()).toMatchObject({ state: 'running', failures: 0 })
})
