/** Requests of one model side by side: slots, what they gain, and who has one slot whatever the setting says. */
import { afterEach, describe, expect, test } from 'bun:test'
import { defaultSettings, streamSpeed } from '../../src/simulator/settings.ts'
import { chatBody, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

const evalMs = (json: Record<string, unknown>) => Number(json['eval_duration']) / 1e6

describe('the throughput curve', () => {
  const speed = (curve: readonly number[] | null, running: number) =>
    streamSpeed({ ...defaultSettings, tokensPerSecond: 40, curve }, running)

  test('gives each stream its share of the total, the last figure beyond its end, and full speed without one', () => {
    const curve = [1, 1.6, 2.1, 2.5]
    expect([1, 2, 4, 5].map((n) => speed(curve, n))).toEqual([40, 32, 25, 20])
    expect([1, 4].map((n) => speed(null, n))).toEqual([40, 40])
    expect(speed([1, 0.8], 2)).toBe(16)
  })

  test('four streams at 2.5 in all take 1.6 times as long as one, streamed or whole', async () => {
    const rig = await startRig({ numParallel: 4, tokensPerSecond: 200, curve: [1, 1.6, 2.1, 2.5] })
    const ask = () => rig.ask('/api/chat', chatBody('[[n=40]]', { stream: false }))
    const alone = evalMs((await ask()).json)
    const together = await Promise.all([ask(), ask(), ask(), ask()])
    expect(alone).toBeCloseTo(200, 0)
    for (const { json } of together) {
      expect(evalMs(json)).toBeGreaterThan(1.2 * alone)
      expect(evalMs(json)).toBeLessThanOrEqual(1.601 * alone)
    }
    expect(rig.counters().openMax).toBe(4)
  })

  test('can be changed while it runs, through the control port too', async () => {
    const rig = await startRig({ numParallel: 4, controlPort: 0 })
    rig.set({ curve: [1, 0.5] })
    const settings = `${rig.controlUrl}/settings`
    expect(await (await fetch(settings)).json()).toMatchObject({ numParallel: 4, curve: [1, 0.5], deadlock: true })
    const turn = (body: unknown) => fetch(settings, { method: 'POST', body: JSON.stringify(body) })
    expect(await (await turn({ curve: [2], tokensPerSecond: 7 })).json()).toMatchObject({ curve: [2], numParallel: 4 })
    expect(await (await turn({ curve: [] })).json()).toEqual({
      error: '"curve" must be a list such as [1,1.6,2.1,2.5], or null',
    })
    expect((await turn({ speed: 3 })).status).toBe(400)
  })
})

describe('slots', () => {
  const families = [
    { name: 'free', family: 'llama' },
    { name: 'seeing', family: 'qwen3vl' },
    { name: 'mixed', family: 'nemotron_h_moe' },
    { name: 'vectors', capabilities: ['embedding'] },
  ] as const

  /** Starts three streams and resolves when exactly so many of them are inside the runner. */
  const inside = async (model: string, expected: number) => {
    const rig = await startRig({ numParallel: 3, models: families, tokensPerSecond: 100 })
    for (let i = 0; i < 3; i++) await rig.chat('[[n=100000]]', { model })
    await rig.waitFor((c) => c.open === 3 && c.generationsStarted >= expected)
    await rig.ask('/api/show', { model })
    expect([model, rig.counters().generationsStarted]).toEqual([model, expected])
  }

  test('are as many as NUM_PARALLEL says, but one for the families that Ollama forces to one', async () => {
    await inside('free', 3)
    await inside('seeing', 1)
    await inside('mixed', 1)
  })

  test('an embedder has one, and the family of every model is in /api/tags', async () => {
    const rig = await startRig({ numParallel: 3, models: families, firstTokenMs: 30 })
    const started = performance.now()
    expect((await rig.ask('/api/embed', { model: 'vectors', input: ['a', 'b', 'c'] })).status).toBe(200)
    expect(performance.now() - started).toBeGreaterThan(85)
    const tags = (await (await fetch(`${rig.url}/api/tags`)).json()) as { models: { details: { family: string } }[] }
    expect(tags.models.map(({ details }) => details.family).toSorted()).toEqual([
      'bert',
      'llama',
      'nemotron_h_moe',
      'qwen3vl',
    ])
  })
})
