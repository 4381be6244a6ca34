/** Streaming is the point: what the target says is passed on when it is said, not when it has been said. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { generation, generationPaths, seenBy } from '../support/generation-call.ts'
import { polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { askOnce, openClient } from '../support/wire-client.ts'

const TOKENS = 20
const GAP_MS = 50

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({
    models: [{ name: 'tiny' }, { name: 'embed', capabilities: ['embedding'] }],
    tokensPerSecond: 1_000 / GAP_MS,
    maxLoadedModels: 2,
    numParallel: 8,
  })
  foreman = await runForeman(simulator.url)
  await polled(foreman)
  // Loaded, so that what is measured is the way and not the load.
  expect((await askOnce(foreman.port, generation('/api/chat', { stream: false, prompt: '[[n=1]]' }))).status).toBe(200)
  // Through the queue: the target shows that it holds both, and from then on embeddings go past it.
  expect((await askOnce(foreman.port, post('/api/embed', { model: 'embed', input: 'x' }))).status).toBe(200)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const prompt = `[[n=${TOKENS}]]`
// One API of each framing at full length; the others say the same in a quarter of the time.
const longPaths: readonly string[] = ['/api/chat', '/v1/chat/completions']

describe('a stream of tokens', () => {
  for (const path of generationPaths) {
    test(`on ${path} has its first token when the target has made it, and one read for each`, async () => {
      const tokens = longPaths.includes(path) ? TOKENS : TOKENS / 4
      const request = generation(path, { stream: true, prompt: `[[n=${tokens}]]` })
      const measure = async () => {
        const direct = await askOnce(simulator.port, request)
        const through = await askOnce(foreman.port, request)
        return { direct, through, addedMs: through.readsMs[0]! - direct.readsMs[0]! }
      }
      let { direct, through, addedMs } = await measure()
      // A busy machine only ever adds: what it did not add once is what foreman does.
      for (let tries = 1; addedMs >= 20 && tries < 4; tries++) ({ direct, through, addedMs } = await measure())
      expect(seenBy(path, true, through)).toBe('done')
      const gaps = through.readsMs.slice(1).map((at, index) => at - through.readsMs[index]!)
      figure(
        'P2',
        `${path}: first token ${addedMs.toFixed(1)} ms after direct, ${through.readsMs.length} reads (direct ${direct.readsMs.length}), longest gap ${Math.max(...gaps).toFixed(0)} ms`,
      )
      expect(addedMs).toBeLessThan(20)
      expect(through.readsMs.length).toBeGreaterThanOrEqual(tokens)
      expect(Math.max(...gaps)).toBeLessThan(GAP_MS + 100)
      expect(through.headers.find(([name]) => /^content-type$/i.test(name))?.[1]).toBe(
        path.startsWith('/api/') ? 'application/x-ndjson' : 'text/event-stream',
      )
    }, 30_000)
  }

  test('is seen by its client before the target has made the last token', async () => {
    const client = await openClient(foreman.port)
    const finished = simulator.counters().generationsFinished
    const call = client.send(generation('/api/chat', { stream: true, prompt }))
    await call.begun
    expect(simulator.counters()).toMatchObject({ generationsFinished: finished, open: 1 })
    expect(call.soFar().toString()).toContain('tok0')
    expect(call.soFar().toString()).not.toContain('"done":true')
    expect(seenBy('/api/chat', true, await call.answer)).toBe('done')
    client.drop()
  })

  test('keeps each line of the target a line of its own', async () => {
    const { body } = await askOnce(foreman.port, generation('/api/chat', { stream: true, prompt }))
    const lines = body.toString().split('\n')
    expect(lines.pop()).toBe('')
    expect(lines).toHaveLength(TOKENS + 1)
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty('model', 'tiny')
  })
})

describe('while a generation runs', () => {
  const during = async (run: () => Promise<void>) => {
    const client = await openClient(foreman.port)
    const call = client.send(generation('/api/chat', { stream: true, prompt: '[[n=1000]]' }))
    await call.begun
    try {
      await run()
    } finally {
      client.drop()
    }
    await simulator.waitFor(({ open }) => open === 0)
  }
  const timed = async (request: string): Promise<number> => {
    const startedAt = performance.now()
    expect((await askOnce(foreman.port, request)).status).toBe(200)
    return performance.now() - startedAt
  }
  const median = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0
  const repeated = async (request: string): Promise<number> => {
    const times: number[] = []
    for (let i = 0; i < 20; i++) times.push(await timed(request))
    return median(times)
  }

  test('the list of models does not wait for it', async () => {
    const idleMs = await repeated(get('/api/tags'))
    await during(async () => {
      const busyMs = await repeated(get('/api/tags'))
      figure('P2', `GET /api/tags: ${idleMs.toFixed(2)} ms idle, ${busyMs.toFixed(2)} ms beside a generation (median)`)
      expect(busyMs).toBeLessThan(50)
    })
  })

  for (const path of ['/api/embed', '/api/embeddings', '/v1/embeddings']) {
    test(`an embedding on ${path} does not wait for it`, () =>
      during(async () => {
        const ms = await timed(post(path, { model: 'embed', input: 'x', prompt: 'x' }))
        expect(ms).toBeLessThan(1_000)
        expect(simulator.counters().open).toBe(1)
      }))
  }

  test('health and metrics do not wait for it', () =>
    during(async () => {
      for (const path of ['/livez', '/readyz', '/healthz', '/metrics'])
        expect([path, (await repeated(get(path))) < 50]).toEqual([path, true])
    }))
})
