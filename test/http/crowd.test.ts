/** Q1 and what waiting costs: many clients at once, one job at a time, nobody forgotten. */
import { afterEach, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { runForeman } from '../support/foreman.ts'
import { generation, generationPaths, seenBy } from '../support/generation-call.ts'
import { healthIs, idle } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { spawnForeman } from '../support/spawned-foreman.ts'
import { openClient, type WireClient } from '../support/wire-client.ts'

const JOBS = Number(process.env['FOREMAN_TEST_CROWD_JOBS'] ?? 10_000)
const CLIENTS = 50
const WAITERS = 1_000

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const simulate = async (): Promise<Simulator> => {
  const simulator = await startSimulator({ models: [{ name: 'tiny' }, { name: 'other' }] })
  stops.push(simulator.stop)
  return simulator
}

describe('a crowd', () => {
  test(`of ${CLIENTS} clients with ${JOBS} jobs is served one job at a time, and all of it`, async () => {
    const simulator = await simulate()
    const foreman = await runForeman(simulator.url, { FOREMAN_LOG_LEVEL: 'warn' })
    stops.push(foreman.stop)
    const startedAt = performance.now()
    let next = 0
    const seen: Record<string, number> = {}
    const lane = async () => {
      const client = await openClient(foreman.port)
      for (let number = next++; number < JOBS; number = next++) {
        const path = generationPaths[number % generationPaths.length]!
        const stream = number % 4 !== 0
        const model = number % 500 < 250 ? 'tiny' : 'other'
        const call = client.send(generation(path, { stream, model, prompt: `[[n=2]][[id=${number}]]` }))
        const how = String(seenBy(path, stream, await within(60_000, `job ${number}`, call.answer)))
        seen[how] = (seen[how] ?? 0) + 1
      }
      client.drop()
    }
    await Promise.all(Array.from({ length: CLIENTS }, lane))
    const seconds = (performance.now() - startedAt) / 1_000
    const { overlaps, openMax, executions } = simulator.counters()
    figure('Q1', `${JOBS} jobs from ${CLIENTS} clients: overlaps ${overlaps}, ${Math.round(JOBS / seconds)} jobs/s`)
    expect(seen).toEqual({ done: JOBS })
    expect({ overlaps, openMax }).toEqual({ overlaps: 0, openMax: 1 })
    expect(Object.keys(executions)).toHaveLength(JOBS)
    expect(Object.values(executions).every((times) => times === 1)).toBe(true)
  }, 120_000)
})

describe('a thousand callers who wait behind one long generation', () => {
  test('are all answered, and cost little memory', async () => {
    const simulator = await simulate()
    const foreman = await spawnForeman(simulator.url)
    stops.push(foreman.kill)
    const served = async (client: WireClient, prompt: string) => {
      const { answer } = client.send(generation('/api/chat', { stream: true, prompt }))
      return String(seenBy('/api/chat', true, await within(60_000, 'a waiter', answer)))
    }
    const blocker = await openClient(foreman.port)
    // Silence that ends when everybody is in line.
    const blocking = served(blocker, '[[silent=4000]][[n=10]]')
    await simulator.waitFor(({ open }) => open === 1)
    const before = foreman.rssBytes()
    const clients = await Promise.all(Array.from({ length: WAITERS }, () => openClient(foreman.port)))
    const waiting = clients.map((client, number) => served(client, `[[n=2]][[id=${number}]]`))
    await healthIs(foreman, 'all to wait', ({ queue }) => queue.queued === WAITERS)
    const perWaiter = (foreman.rssBytes() - before) / WAITERS / 1024
    figure('Q1', `${WAITERS} waiters: ${perWaiter.toFixed(1)} KiB of resident memory each`)
    expect(await Promise.all(waiting)).toEqual(Array.from({ length: WAITERS }, () => 'done'))
    expect(await blocking).toBe('done')
    for (const client of [blocker, ...clients]) client.drop()
    await idle(foreman)
    expect(simulator.counters().overlaps).toBe(0)
    expect(perWaiter).toBeLessThan(128)
  }, 60_000)

  test('and a thousand who say nothing at all do not hold up the next one', async () => {
    const simulator = await simulate()
    const foreman = await spawnForeman(simulator.url)
    stops.push(foreman.kill)
    const silent = await Promise.all(Array.from({ length: WAITERS }, () => openClient(foreman.port)))
    const client = await openClient(foreman.port)
    const ask = async () => {
      const startedAt = performance.now()
      const { answer } = client.send(generation('/api/chat', { stream: true, prompt: '[[n=2]]' }))
      expect(seenBy('/api/chat', true, await answer)).toBe('done')
      return performance.now() - startedAt
    }
    await ask()
    const ms = await ask()
    const rss = foreman.rssBytes() / 1024 / 1024
    figure('R3', `with ${WAITERS} idle sockets a call takes ${ms.toFixed(1)} ms and foreman ${rss.toFixed(0)} MB`)
    expect(ms).toBeLessThan(100)
    expect(rss).toBeLessThan(300)
    for (const each of [client, ...silent]) each.drop()
  }, 30_000)
})
