/** A target that is away: what is known of it is answered, what is not waits as a chat does, and nothing takes long to say so (T1-T3). */
import { afterEach, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { healthIs, polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { askOnce, headerOf, type WireAnswer } from '../support/wire-client.ts'

const HASTE = 20
const SAID_WITHIN_MS = 2_000

let undone: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of undone.reverse()) await undo()
  undone = []
})

const models = [{ name: 'tiny' }, { name: 'embed', capabilities: ['embedding'] as const }]

interface World {
  readonly simulator: Simulator
  readonly foreman: RunningForeman
}

const start = async (env: Record<string, string> = {}, haste = 1): Promise<World> => {
  const simulator = await startSimulator({ models, maxLoadedModels: 2 })
  undone.push(() => simulator.stop())
  const clock = createHastyClock(haste)
  const foreman = await runForeman(simulator.url, { FOREMAN_POLL_INTERVAL: '1h', ...env }, { clock })
  undone.push(() => foreman.stop())
  await polled(foreman)
  return { simulator, foreman }
}

const awayIs = (foreman: RunningForeman) => healthIs(foreman, 'it is seen to be away', (h) => !h.target.reachable)

/** Everybody asks at once: `asked` is known, and then the target is away and noticed. */
const fallAsleep = async ({ simulator, foreman }: World, how: 'sleep' | 'refuse' = 'sleep') => {
  simulator.fault({ kind: how })
  await askOnce(foreman.port, get('/api/version'))
  await awayIs(foreman)
}

const show = (more: object = {}) => post('/api/show', { model: 'tiny', ...more })
const textOf = ({ body }: WireAnswer) => body.toString()
const fromMemory = (answer: WireAnswer) => headerOf(answer, 'x-foreman-answered-from') ?? ''

const questions: Record<string, string> = {
  '/api/version': get('/api/version'),
  '/api/status': get('/api/status'),
  '/api/tags': get('/api/tags'),
  '/api/ps': get('/api/ps'),
  '/v1/models': get('/v1/models'),
  '/v1/models/tiny': get('/v1/models/tiny'),
  '/api/show': show(),
  '/api/show verbose': show({ verbose: true }),
}

describe('what was answered before', () => {
  test('is answered from memory while the target is away, to the byte and marked', async () => {
    const world = await start()
    const { foreman } = world
    const awake: Record<string, WireAnswer> = {}
    for (const [name, asked] of Object.entries(questions)) awake[name] = await askOnce(foreman.port, asked)
    await fallAsleep(world, 'refuse')
    for (const [name, asked] of Object.entries(questions)) {
      const asleep = await askOnce(foreman.port, asked)
      expect([name, asleep.status, textOf(asleep)]).toEqual([name, 200, textOf(awake[name]!)])
      expect([name, headerOf(asleep, 'content-type')]).toEqual([name, headerOf(awake[name]!, 'content-type')])
      expect([name, fromMemory(awake[name]!), fromMemory(asleep)]).toEqual([
        name,
        '',
        expect.stringMatching(/^memory; at=\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      ])
    }
    const head = await askOnce(foreman.port, get('/api/version').replace('GET', 'HEAD'))
    expect([head.status, textOf(head)]).toEqual([200, ''])
  })

  test('OpenAI lists of models are made of the last list when nobody asked for them before', async () => {
    const world = await start()
    const direct = (path: string) => askOnce(world.simulator.port, get(path))
    const [list, one] = [await direct('/v1/models'), await direct('/v1/models/TINY')]
    await fallAsleep(world, 'refuse')
    for (const [path, awake] of [
      ['/v1/models', list],
      ['/v1/models/TINY', one],
    ] as const) {
      const asleep = await askOnce(world.foreman.port, get(path))
      const { id: _, ...rest } = JSON.parse(textOf(asleep)) as Record<string, unknown>
      const { id: __, ...awakeRest } = JSON.parse(textOf(awake)) as Record<string, unknown>
      expect([path, asleep.status, rest]).toEqual([path, 200, awakeRest])
    }
  })

  test("a model that the last list does not have is not found, in Ollama's words", async () => {
    const world = await start()
    const asks = [post('/api/show', { model: 'nope' }), get('/v1/models/nope')]
    const awake = await Promise.all(asks.map((asked) => askOnce(world.simulator.port, asked)))
    await fallAsleep(world, 'refuse')
    const [shown, listed] = await Promise.all(asks.map((asked) => askOnce(world.foreman.port, asked)))
    expect([shown!.status, textOf(shown!)]).toEqual([404, textOf(awake[0]!)])
    expect([listed!.status, textOf(listed!)]).toEqual([404, expect.stringContaining("model 'nope:latest' not found")])
    expect(fromMemory(shown!)).toStartWith('memory')
  })

  for (const as of ['login-redirect', 'login-page', 'not-found-text', 'other-json', 'bearer-proxy'] as const) {
    test(`what ${as} says in the place of the target is not taken for its answer`, async () => {
      const { simulator, foreman } = await start()
      const awake = await askOnce(foreman.port, get('/v1/models'))
      simulator.fault({ kind: 'impostor', as })
      for (let i = 0; i < 2; i++) {
        const asked = await askOnce(foreman.port, get('/v1/models'))
        expect([asked.status, textOf(asked), fromMemory(asked) !== '']).toEqual([200, textOf(awake), true])
      }
    })
  }
})

describe('a half-open target', () => {
  test('holds no control call for longer than 2 s, known to be away or not', async () => {
    const world = await start()
    const { simulator, foreman } = world
    for (const asked of Object.values(questions)) await askOnce(foreman.port, asked)
    simulator.sleep()
    const others = {
      '/api/me': post('/api/me', {}),
      '/api/pull': post('/api/pull', { model: 'tiny' }),
      '/api/experimental/model-recommendations': get('/api/experimental/model-recommendations'),
      '/api/other': get('/api/other'),
    }
    let worstMs = 0
    const timed = async (asked: string) => {
      const startedAt = performance.now()
      const answer = await askOnce(foreman.port, asked)
      worstMs = Math.max(worstMs, performance.now() - startedAt)
      return answer
    }
    for (const round of ['before anybody knows', 'when it is known']) {
      const known = await Promise.all(Object.values(questions).map(timed))
      expect([round, known.map(({ status }) => status)]).toEqual([round, known.map(() => 200)])
      const unknown = await Promise.all(Object.values(others).map(timed))
      for (const answer of unknown) {
        expect([round, answer.status, headerOf(answer, 'retry-after')]).toEqual([round, 503, '5'])
        expect(textOf(answer)).toContain(`${simulator.url} has been away since `)
        expect(textOf(answer)).toContain('it may be asleep')
        expect(textOf(answer)).not.toContain('job')
      }
      await awayIs(foreman)
    }
    figure('T5', 'longest time to answer a control call while the target is half-open, ms', Math.round(worstMs))
    expect(worstMs).toBeLessThanOrEqual(SAID_WITHIN_MS)
  }, 30_000)
})

describe('a slow target', () => {
  test('that answers questions is never cut, however long a control call takes', async () => {
    const release = Promise.withResolvers<void>()
    const probes = Promise.withResolvers<void>()
    let isAsked = false
    let versions = 0
    const answers: Record<string, () => Response | Promise<Response>> = {
      '/api/tags': () => Response.json({ models: [{ name: 'tiny:latest', digest: 'd' }] }),
      '/api/ps': () => Response.json({ models: [] }),
      '/api/version': () => {
        if (isAsked && ++versions === 3) probes.resolve()
        return Response.json({ version: '0.33.0' })
      },
      '/api/show': async () => {
        isAsked = true
        await release.promise
        return Response.json({ details: {} })
      },
    }
    const target = Bun.serve({
      port: 0,
      fetch: (request) => answers[new URL(request.url).pathname]?.() ?? new Response('404 page not found'),
    })
    undone.push(() => target.stop(true))
    const foreman = await runForeman(`http://127.0.0.1:${target.port}`, {}, { clock: createHastyClock(HASTE) })
    undone.push(() => foreman.stop())
    await polled(foreman)
    const shown = askOnce(foreman.port, show({ verbose: true }))
    await probes.promise
    release.resolve()
    const answer = await shown
    expect([answer.status, textOf(answer)]).toEqual([200, '{"details":{}}'])
  }, 20_000)
})

describe('what nobody has asked before', () => {
  test('a show waits as a chat does, and is answered when the target is back', async () => {
    const world = await start({ FOREMAN_UNREACHABLE_DEADLINE: '10m' }, HASTE)
    await fallAsleep(world)
    const waiting = askOnce(world.foreman.port, show())
    await askOnce(world.foreman.port, get('/api/tags'))
    world.simulator.wake()
    const answer = await waiting
    expect([answer.status, fromMemory(answer)]).toEqual([200, ''])
  }, 20_000)

  test('a show that has waited until the deadline is told which target is away, since when, and why it may be', async () => {
    const world = await start({ FOREMAN_UNREACHABLE_DEADLINE: '10s' }, HASTE)
    await fallAsleep(world)
    const startedAt = performance.now()
    const answer = await askOnce(world.foreman.port, show())
    const waitedMs = (performance.now() - startedAt) * HASTE
    expect([answer.status, headerOf(answer, 'retry-after')]).toEqual([503, '5'])
    expect(textOf(answer)).toMatch(/http:\/\/127\.0\.0\.1:\d+ has been away since \S+Z \(\d+s\): .*; it may be asleep/)
    expect(waitedMs).toBeGreaterThanOrEqual(9_900)
  }, 20_000)

  test('whoever waits is told at once that foreman stops', async () => {
    const world = await start({ FOREMAN_UNREACHABLE_DEADLINE: '10m' })
    await fallAsleep(world, 'refuse')
    const waiting = askOnce(world.foreman.port, show())
    await askOnce(world.foreman.port, get('/api/tags'))
    await world.foreman.stop()
    expect((await waiting).status).toBe(503)
  })
})

test('a cloud generation that fell silent is not sent twice: it may cost money', async () => {
  let chats = 0
  let isAsleep = false
  const never = new Promise<Response>(() => undefined)
  const target = Bun.serve({
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const path = new URL(request.url).pathname
      if (path === '/api/chat') {
        chats++
        isAsleep = true
        // Foreman has given it up: at this very moment the target wakes.
        request.signal.addEventListener('abort', () => {
          isAsleep = false
        })
      }
      if (isAsleep) return never
      return Response.json(path === '/api/version' ? { version: '0.33.0' } : { models: [] })
    },
  })
  undone.push(() => target.stop(true))
  const foreman = await runForeman(`http://127.0.0.1:${target.port}`, {}, { clock: createHastyClock(HASTE) })
  undone.push(() => foreman.stop())
  await polled(foreman)
  const chat = askOnce(
    foreman.port,
    post('/api/chat', { model: 'big:cloud', messages: [{ role: 'user', content: '' }] }),
  )
  expect([(await chat).status, chats]).toEqual([503, 1])
}, 20_000)

describe('an embedding for a target that sleeps', () => {
  for (const way of ['bypass', 'queue']) {
    test(`is told so after FOREMAN_UNREACHABLE_DEADLINE, by the ${way}`, async () => {
      const { simulator, foreman } = await start({ FOREMAN_UNREACHABLE_DEADLINE: '60s', FOREMAN_EMBED: way }, HASTE)
      simulator.sleep()
      const startedAt = performance.now()
      const answer = await askOnce(foreman.port, post('/api/embed', { model: 'embed', input: 'x' }))
      const waitedS = ((performance.now() - startedAt) * HASTE) / 1_000
      expect([answer.status, headerOf(answer, 'retry-after')]).toEqual([503, '5'])
      expect(textOf(answer)).toContain('it may be asleep')
      expect(textOf(answer)).not.toContain('job')
      figure('T5', `embedding to a sleeping target, ${way}, told after s (deadline 60)`, waitedS.toFixed(0))
      expect(waitedS).toBeGreaterThanOrEqual(59)
      expect(waitedS).toBeLessThan(75)
    }, 30_000)
  }
})

describe('a client that asks first', () => {
  test('ollama run gets to its chat while the target sleeps, and the chat is answered when it wakes', async () => {
    const world = await start({ FOREMAN_UNREACHABLE_DEADLINE: '10m' }, HASTE)
    const { simulator, foreman } = world
    await askOnce(foreman.port, show())
    await fallAsleep(world)
    const head = await askOnce(foreman.port, get('/').replace('GET', 'HEAD'))
    const shown = await askOnce(foreman.port, show())
    expect([head.status, shown.status]).toEqual([200, 200])
    const load = askOnce(foreman.port, post('/api/generate', { model: 'tiny' }))
    const chat = askOnce(
      foreman.port,
      post('/api/chat', { model: 'tiny', messages: [{ role: 'user', content: '[[n=5]]' }] }),
    )
    await healthIs(foreman, 'both wait', ({ queue }) => queue.queued === 2)
    simulator.wake()
    expect([(await load).status, (await chat).status]).toEqual([200, 200])
    expect(textOf(await chat)).toContain('"done":true')
  }, 20_000)

  test('an editor asks for version, models and show, and then chats', async () => {
    const world = await start({ FOREMAN_UNREACHABLE_DEADLINE: '10m' }, HASTE)
    await askOnce(world.foreman.port, show())
    await fallAsleep(world, 'refuse')
    for (const asked of [get('/api/version'), get('/api/tags'), show(), get('/v1/models')])
      expect((await askOnce(world.foreman.port, asked)).status).toBe(200)
    const body = { model: 'tiny', messages: [{ role: 'user', content: '[[n=5]]' }] }
    const chat = askOnce(world.foreman.port, post('/v1/chat/completions', body))
    await healthIs(world.foreman, 'it waits', ({ queue }) => queue.queued === 1)
    world.simulator.fault(null)
    expect((await chat).status).toBe(200)
  }, 20_000)
})
