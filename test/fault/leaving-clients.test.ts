/** P3: clients that hang up, at any moment: their work ends within a second, and nobody else notices. */
import { afterEach, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createDice, type Dice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { generation, seenBy } from '../support/generation-call.ts'
import { healthIs, idle, polled } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { post } from '../support/raw-client.ts'
import { openClient, type WireCall, type WireClient } from '../support/wire-client.ts'

const PER_PHASE = Number(process.env['FOREMAN_TEST_DISCONNECTS'] ?? 200)
const RELEASE_MS = 1_000
const HUNG_MS = 20_000

let simulator: Simulator
let foreman: RunningForeman

const start = async (pace: { loadMs?: number; firstTokenMs?: number; tokensPerSecond?: number }) => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }, { name: 'other' }, { name: 'third' }], ...pace })
  foreman = await runForeman(simulator.url, { FOREMAN_EMBED: 'bypass' })
  await polled(foreman)
}
afterEach(async () => {
  await foreman.stop()
  await simulator.stop()
})

interface Guest {
  readonly client: WireClient
  readonly call: WireCall
}

const enter = async (prompt: string, model = 'tiny'): Promise<Guest> => {
  const client = await openClient(foreman.port)
  return { client, call: client.send(generation('/api/chat', { stream: true, prompt, model })) }
}

const isServed = async ({ client, call }: Guest) => {
  const answer = await within(HUNG_MS, 'a client that stayed', call.answer)
  client.drop()
  return seenBy('/api/chat', true, answer)
}

let departures = 0

/** Milliseconds until `released` after the client left: with a reset (a killed program) and a FIN (a closed tab) in turn. */
const timeToRelease = async (guest: Guest, released: () => Promise<unknown>): Promise<number> => {
  const startedAt = performance.now()
  if (departures++ % 2 === 0) guest.client.drop()
  else guest.client.close()
  await within(HUNG_MS, 'the target to be released', released())
  return performance.now() - startedAt
}

const report = (phase: string, times: readonly number[]) => {
  const sorted = [...times].sort((a, b) => a - b)
  const worst = sorted.at(-1) ?? 0
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  figure(
    'P3',
    `${times.length} left ${phase}: released after ${median.toFixed(1)} ms (median), ${worst.toFixed(1)} ms (worst)`,
  )
  expect(worst).toBeLessThan(RELEASE_MS)
}

const nobodyLeft = async () => {
  const health = await idle(foreman)
  expect(health.queue.queued).toBe(0)
  await within(
    HUNG_MS,
    'the simulator to be free',
    simulator.waitFor(({ open }) => open === 0),
  )
  // The simulator itself proves that it is free, by serving the next one.
  expect(await isServed(await enter('[[n=2]]'))).toBe('done')
}

describe('a client that leaves', () => {
  test('while it waits is taken out of the queue, and the target never hears of it', async () => {
    await start({})
    const running = await enter('[[n=100000]][[silent=2000]][[id=running]]')
    await simulator.waitFor(({ open }) => open === 1)
    const waiting = await Promise.all(Array.from({ length: PER_PHASE }, () => enter('[[id=left]]')))
    const stayed = await enter('[[id=stayed]]')
    await healthIs(foreman, 'all to wait', ({ queue }) => queue.queued === PER_PHASE + 1)
    const startedAt = performance.now()
    for (const { client } of waiting) client.drop()
    await healthIs(foreman, 'all to be gone', ({ queue }) => queue.queued <= 1)
    report(
      'while queued',
      waiting.map(() => performance.now() - startedAt),
    )
    expect(await isServed(running)).toBe('done')
    expect(await isServed(stayed)).toBe('done')
    const { executions } = simulator.counters()
    expect(executions).toEqual({ running: 1, stayed: 1 })
    await nobodyLeft()
  }, 60_000)

  test('while its model loads ends the load, so that nothing is loaded for nobody', async () => {
    await start({ loadMs: 60_000 })
    const times: number[] = []
    for (let i = 0; i < PER_PHASE; i++) {
      const { loads, aborts } = simulator.counters()
      const guest = await enter('[[id=left]]', i % 2 === 0 ? 'tiny' : 'other')
      await within(
        HUNG_MS,
        'the load',
        simulator.waitFor((counters) => counters.loads > loads),
      )
      times.push(await timeToRelease(guest, () => simulator.waitFor((counters) => counters.aborts > aborts)))
    }
    report('while loading', times)
    await idle(foreman)
    expect(simulator.residents()).toEqual([])
    expect(simulator.counters().executions).toEqual({})
  }, 60_000)

  test('while its model loads does not end the load that another one waits for', async () => {
    await start({ loadMs: 200 })
    const first = await enter('[[id=first]]')
    await simulator.waitFor(({ loads }) => loads === 1)
    const second = await enter('[[id=second]]')
    await healthIs(foreman, 'the second to wait', ({ queue }) => queue.queued === 1)
    first.client.drop()
    expect(await isServed(second)).toBe('done')
    expect(simulator.counters()).toMatchObject({ loads: 1, executions: { second: 1 } })
  })

  test('while its embedder loads past the queue ends that load, in the first moment too', async () => {
    await start({ loadMs: 60_000 })
    const times: number[] = []
    for (let i = 0; i < PER_PHASE / 4; i++) {
      const { loads, aborts } = simulator.counters()
      const client = await openClient(foreman.port)
      const model = i % 2 === 0 ? 'tiny' : 'other'
      const call = client.send(post('/api/embed', { model, input: 'x' }))
      await within(
        HUNG_MS,
        'the load',
        simulator.waitFor((counters) => counters.loads > loads),
      )
      times.push(await timeToRelease({ client, call }, () => simulator.waitFor((counters) => counters.aborts > aborts)))
    }
    report('while an embedder loads', times)
    expect(simulator.residents()).toEqual([])
  }, 60_000)

  test('before its first token frees the target', async () => {
    await start({})
    const times: number[] = []
    for (let i = 0; i < PER_PHASE; i++) {
      const { generationsStarted, generationsAborted } = simulator.counters()
      const guest = await enter('[[silent=60000]]')
      await simulator.waitFor((counters) => counters.generationsStarted > generationsStarted && counters.open === 1)
      times.push(
        await timeToRelease(guest, () =>
          simulator.waitFor((counters) => counters.generationsAborted > generationsAborted && counters.open === 0),
        ),
      )
    }
    report('before the first token', times)
    await nobodyLeft()
  }, 60_000)

  test('in the middle of its stream frees the target', async () => {
    await start({ tokensPerSecond: 500 })
    const times: number[] = []
    for (let i = 0; i < PER_PHASE; i++) {
      const { generationsAborted } = simulator.counters()
      const guest = await enter('[[n=100000]]')
      await within(HUNG_MS, 'the first chunk', guest.call.begun)
      times.push(
        await timeToRelease(guest, () =>
          simulator.waitFor((counters) => counters.generationsAborted > generationsAborted && counters.open === 0),
        ),
      )
    }
    report('mid-stream', times)
    await nobodyLeft()
  }, 60_000)

  test('after it has stopped reading frees the target, which had stopped sending', async () => {
    await start({})
    const times: number[] = []
    for (let i = 0; i < PER_PHASE / 10; i++) {
      const { aborts } = simulator.counters()
      const guest = await enter(`[[chunk=${40 * 1024 * 1024}]]`)
      await within(HUNG_MS, 'the first chunk', guest.call.begun)
      guest.client.pause()
      times.push(await timeToRelease(guest, () => simulator.waitFor((counters) => counters.aborts > aborts)))
    }
    report('as a slow reader', times)
    await nobodyLeft()
  }, 60_000)
})

describe('clients that leave at random moments', () => {
  const visit = async (dice: Dice, number: number): Promise<'left' | string> => {
    const guest = await enter(`[[n=20]][[id=${number}]]`, dice.pick(['tiny', 'other', 'third']))
    if (dice.chance(0.25)) return String(await isServed(guest))
    const leaving = Promise.withResolvers<void>()
    // The moment itself is what is random here.
    setTimeout(leaving.resolve, dice.between(0, 250))
    await Promise.race([leaving.promise, guest.call.answer.catch(() => undefined)])
    guest.client.drop()
    return 'left'
  }

  test('leave no waiter behind, and those who stay are all served', async () => {
    await start({ loadMs: 15, firstTokenMs: 5, tokensPerSecond: 4_000 })
    const dice = createDice(seedOf('leaving'))
    const seen: Record<string, number> = {}
    const visitors = PER_PHASE * 2
    let next = 0
    const lane = async () => {
      for (let number = next++; number < visitors; number = next++) {
        const how = await visit(dice, number)
        seen[how] = (seen[how] ?? 0) + 1
      }
    }
    await Promise.all(Array.from({ length: 16 }, lane))
    const { done = 0, left = 0 } = seen
    figure('P3', `${left} left at random moments, ${done} stayed and were all served`)
    expect(Object.keys(seen).sort()).toEqual(['done', 'left'])
    expect(left).toBeGreaterThan(visitors / 2)
    await nobodyLeft()
    const { overlaps, executions } = simulator.counters()
    expect(overlaps).toBe(0)
    // Nobody is worked for twice, whoever came and went.
    expect(Object.values(executions).every((times) => times === 1)).toBe(true)
  }, 60_000)
})
