/** The embedder is warmed at start and after each return, and a target without room for two is named once. */
import { afterEach, expect, test } from 'bun:test'
import type { PartPorts } from '../../src/engine/part.ts'
import { createEmbedder } from '../../src/parts/embedder/part.ts'
import { type Bench, createBench } from '../support/engine-bench.ts'

let bench: Bench
afterEach(() => bench.close())

const embeds = () => bench.target.seen.filter(({ path }) => path === '/api/embed')
const part = (ports: PartPorts<never>) => createEmbedder({ ...ports, settings: { embedModel: 'nomic-embed-text' } })
/** Fields of the notices of this name. */
const noticed = (name: string) =>
  bench.eventsOf('noticed').flatMap((event) => (event.name === name ? [event.fields] : []))

test('it is warmed once at start, to stay for ever', async () => {
  bench = createBench({ part })
  await bench.clock.advance(600_000)
  expect(embeds().map(({ body }) => JSON.parse(body))).toEqual([
    { model: 'nomic-embed-text', input: 'warm', keep_alive: -1 },
  ])
  expect(noticed('embedder_warmed').length).toBe(1)
})

test('it is warmed again after each return of the target', async () => {
  bench = createBench({ part })
  await bench.clock.advance(60_000)
  for (let round = 2; round <= 4; round++) {
    bench.target.awake = false
    await bench.clock.advance(120_000)
    bench.target.awake = true
    await bench.clock.advance(60_000)
    expect(noticed('embedder_warmed').length).toBe(round)
  }
})

test('a target that is away at start is warmed when it comes', async () => {
  bench = createBench({ part })
  bench.target.awake = false
  await bench.clock.advance(120_000)
  expect(noticed('embedder_warmed').length).toBe(0)
  bench.target.awake = true
  await bench.clock.advance(60_000)
  expect(noticed('embedder_warmed').length).toBe(1)
})

test('a model that cannot be warmed is reported and warned about no further', async () => {
  bench = createBench({ part })
  bench.target.script = ({ path }) =>
    path === '/api/embed' ? { kind: 'status', status: 404, error: 'gone' } : undefined
  bench.target.resident = 'm-a'
  await bench.clock.advance(300_000)
  expect(noticed('embedder_failed')).toMatchObject([{ model: 'nomic-embed-text', message: 'gone' }])
  expect(noticed('two_slots_missing')).toEqual([])
})

test('when it is pushed out by the worker model again and again, that is said once', async () => {
  bench = createBench({ part })
  await bench.submit('a')
  await bench.clock.advance(600_000)
  expect(noticed('two_slots_missing').map((fields) => fields['message'])).toEqual([
    expect.stringContaining('OLLAMA_MAX_LOADED_MODELS=2'),
  ])
})

test('when both are loaded nothing is said', async () => {
  bench = createBench({ part })
  bench.target.alsoResident = ['nomic-embed-text:latest']
  await bench.submit('a')
  await bench.clock.advance(600_000)
  expect(noticed('two_slots_missing')).toEqual([])
})

test('a stop in the middle of the warm-up ends it', async () => {
  bench = createBench({ part })
  bench.target.script = ({ path }) => (path === '/api/embed' ? { kind: 'hang' } : undefined)
  await bench.clock.advance(1_000)
  expect(embeds().length).toBe(1)
  // The engine first, as when a foreman stops.
  await bench.engine.stop(0)
  await bench.quiet()
  expect(embeds().length).toBe(1)
})

test('without a configured embedder the target is never asked to embed', async () => {
  bench = createBench()
  await bench.submit('a')
  await bench.clock.advance(600_000)
  expect(embeds()).toEqual([])
})
