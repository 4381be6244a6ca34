/** Pinned models: always back, only in quiet moments, and never at the cost of what runs or waits. */
import { afterEach, expect, test } from 'bun:test'
import { parsePins } from '../../../src/parts/residency/pin-list.ts'
import { createDice } from '../../support/chance.ts'
import { figure, seedOf } from '../../support/figures.ts'
import { contexts, createResidencyBench, type ResidencyBench } from '../../support/residency-bench.ts'

let bench: ResidencyBench
afterEach(() => bench?.close())

const POLL_MS = 30_000
const pinLoads = () => bench.target.seen.filter(({ isLoad, body }) => isLoad && body.includes('"keep_alive":-1'))
const isLoaded = (model: string) =>
  bench.engine.state.residency.residents.some(({ name }) => name === model || name === `${model}:latest`)

test('it is loaded at start with keep_alive -1 and its declared context, and not again while it stays', async () => {
  bench = createResidencyBench({ pins: ['pin'], numCtx: contexts('pin=8192,*=drop') })
  bench.target.installed.push('pin:latest')
  await bench.clock.advance(600_000)
  expect(pinLoads().map(({ path, body }) => [path, JSON.parse(body)])).toEqual([
    ['/api/generate', { model: 'pin', stream: false, options: { num_ctx: 8192 }, keep_alive: -1 }],
  ])
  expect(bench.status()).toEqual({ pins: [{ model: 'pin', loaded: true }] })
  expect(bench.facts()).toEqual({ pins: { value: [{ model: 'pin', loaded: true }], reason: 'all are loaded' } })
  expect(bench.metric('foreman_pin_loaded')).toEqual([{ value: 1, labels: { model: 'pin:latest' } }])
  // Its jobs are known to need no load.
  expect(bench.engine.state.residency.residentKeys).toEqual(['registry.ollama.ai/library/pin:latest num_ctx=8192'])
})

test('GET /status has each pin, and why one is not loaded', async () => {
  bench = createResidencyBench({ pins: ['pin', 'never'] })
  bench.target.installed.push('pin:latest')
  await bench.clock.advance(60_000)
  expect(bench.facts()).toMatchObject({
    pins: {
      value: [
        { model: 'pin', loaded: true },
        { model: 'never', loaded: false, installed: false },
      ],
      reason: 'never is not installed',
    },
  })
  await bench.close()
  bench = createResidencyBench({})
  expect(bench.facts()).toEqual({})
})

test('it is loaded again after each return of the target, and after each eviction, seen at the next poll', async () => {
  bench = createResidencyBench({ pins: ['pin'] })
  bench.target.installed.push('pin:latest')
  await bench.clock.advance(60_000)
  bench.target.awake = false
  await bench.clock.advance(120_000)
  bench.target.evict('pin')
  bench.target.awake = true
  await bench.until(() => pinLoads().length === 2, POLL_MS + 1_000)
  bench.target.evict('pin')
  expect(await bench.until(() => pinLoads().length === 3, POLL_MS + 1_000)).toBeLessThanOrEqual(POLL_MS)
})

test('one that is not installed is left alone until it is, and one that cannot be loaded is tried ever more seldom', async () => {
  bench = createResidencyBench({ pins: ['pin'] })
  await bench.clock.advance(300_000)
  expect(pinLoads()).toEqual([])
  bench.target.installed.push('pin:latest')
  bench.target.script = ({ isLoad }) => (isLoad ? { kind: 'status', status: 500, error: 'no memory' } : undefined)
  await bench.clock.advance(3_600_000)
  const failures = bench.noticed('pin_failed')
  expect(failures[0]).toMatchObject({
    model: 'pin',
    message: expect.stringContaining('no memory'),
    retry_in_ms: 60_000,
  })
  expect(failures.length).toBeLessThanOrEqual(10)
})

/** Pushed out by a pin's load while a job of another model ran or waited. */
const causedAmidWork = (spans: readonly (readonly [number, number])[]) =>
  bench.target.pushedOut.filter(({ by, atMs }) => by === 'pin' && spans.some(([from, to]) => atMs >= from && atMs < to))

test('evicted 100 times, under load and idle: back within one poll of quiet, and no swap while a job ran or waited', async () => {
  const dice = createDice(seedOf('pins'))
  bench = createResidencyBench({ pins: ['pin'] }, { loadMs: 2_000, workMs: 3_000 })
  bench.target.modelSlots = 2
  bench.target.installed.push('pin:latest')
  await bench.until(() => isLoaded('pin'))
  const spans: [number, number][] = []
  let doneMs = 0
  bench.bus.on('job_done', 'test', () => {
    doneMs = bench.clock.monotonicMs()
  })
  const count = () => bench.target.loads.filter((key) => key === 'pin').length
  let worstMs = 0
  let id = 0
  for (let round = 0; round < 100; round++) {
    const isUnderLoad = dice.chance(0.5)
    const [done, loads] = [bench.eventsOf('job_done').length, count()]
    const jobs = isUnderLoad ? dice.between(1, 6) : 0
    const beganMs = bench.clock.monotonicMs()
    for (let i = 0; i < jobs; i++) await bench.submit(`j${id++}`, { model: dice.pick(['m-a', 'm-b']) })
    await bench.clock.advance(dice.between(0, jobs * 2_000))
    bench.target.evict('pin')
    await bench.until(() => bench.eventsOf('job_done').length === done + jobs)
    const quietMs = jobs > 0 ? doneMs : bench.clock.monotonicMs()
    if (jobs > 0) spans.push([beganMs, quietMs])
    await bench.until(() => count() > loads && isLoaded('pin'), 120_000)
    worstMs = Math.max(worstMs, bench.clock.monotonicMs() - quietMs)
    await bench.clock.advance(dice.between(0, 20_000))
  }
  // It does push out what is idle: three models share two slots.
  expect(bench.target.pushedOut.some(({ by }) => by === 'pin')).toBe(true)
  expect(causedAmidWork(spans)).toEqual([])
  expect(worstMs).toBeLessThanOrEqual(POLL_MS + 2_500)
  expect(bench.target.overlaps).toBe(0)
  figure(
    'K2',
    'pins evicted 100 times, under load and idle',
    `back ${(worstMs / 1_000).toFixed(1)} s after quiet at worst, load of 2 s included; 0 swaps while a job ran or waited`,
  )
})

test('a pinned model’s job beside a drain of 100 jobs waits for one job, on two slots', async () => {
  bench = createResidencyBench({ pins: ['pin'], numCtx: contexts('pin=8192') }, { loadMs: 10_000, workMs: 5_000 })
  bench.target.modelSlots = 2
  bench.target.installed.push('pin:latest')
  await bench.until(() => isLoaded('pin'))
  for (let i = 0; i < 100; i++) await bench.submit(`heavy${i}`, { model: 'm-a' })
  await bench.clock.advance(60_000)
  let worstMs = 0
  for (let i = 0; i < 20; i++) {
    const beganMs = bench.clock.monotonicMs()
    const result = bench.call(`triage${i}`, { model: 'pin' })
    await bench.until(() => result.isOver)
    expect(result.status).toBe(200)
    worstMs = Math.max(worstMs, bench.clock.monotonicMs() - beganMs)
  }
  // The job that runs, and its own work.
  expect(worstMs).toBeLessThanOrEqual(10_000 + 200)
  expect([bench.target.pushedOut, bench.target.loads.length]).toEqual([[], 2])
  figure(
    'K2',
    'a pinned model beside 100 jobs of another one',
    `at most ${worstMs / 1_000} s, with jobs of 5 s; 0 swaps`,
  )
})

test('a job of another model ends the load of a pin, and a job of the pin itself joins it', async () => {
  bench = createResidencyBench({ pins: ['pin'] }, { loadMs: 20_000, workMs: 1_000 })
  bench.target.modelSlots = 2
  bench.target.installed.push('pin:latest')
  await bench.until(() => bench.target.active === 1)
  await bench.clock.advance(5_000)
  const other = bench.call('other', { model: 'm-a' })
  // Its own load and work, and nothing of the pin's.
  expect(await bench.until(() => other.isOver)).toBeLessThanOrEqual(21_000 + 200)
  await bench.until(() => bench.target.active === 1, 120_000)
  await bench.clock.advance(15_000)
  const own = bench.call('own', { model: 'pin' })
  expect(await bench.until(() => own.isOver)).toBeLessThanOrEqual(6_000 + 200)
  expect(bench.target.loads).toEqual(['m-a', 'pin'])
  expect(bench.target.overlaps).toBe(0)
})

test('a job that waits out its backoff is work too: nothing is loaded while it waits', async () => {
  bench = createResidencyBench({ pins: ['pin'] })
  bench.target.script = ({ isWork }) =>
    isWork ? { kind: 'status', status: 503, error: 'busy', retryAfter: '60' } : undefined
  await bench.submit('a')
  await bench.clock.advance(1_000)
  bench.target.installed.push('pin:latest')
  await bench.clock.advance(600_000)
  expect(pinLoads()).toEqual([])
  bench.target.script = () => undefined
  await bench.until(() => isLoaded('pin'), 120_000)
})

test.each([1, 2])(
  'more pins than fit on %i slots: one warning, the first ones stay, and nothing is loaded again and again',
  async (slots) => {
    bench = createResidencyBench({ pins: ['p1', 'p2', 'p3'] }, { loadMs: 5_000 })
    bench.target.modelSlots = slots
    bench.target.installed.push('p1:latest', 'p2:latest', 'p3:latest')
    await bench.clock.advance(24 * 3_600_000)
    expect(bench.noticed('pins_do_not_fit').map(({ message }) => message)).toEqual([
      expect.stringContaining('OLLAMA_MAX_LOADED_MODELS=4'),
    ])
    expect(['p1', 'p2', 'p3'].filter(isLoaded)).toEqual(['p1', 'p2', 'p3'].slice(0, slots))
    expect(bench.target.loads.length).toBeLessThanOrEqual(6)
  },
)

test('a target without room for a pin beside the worker’s model is warned about once, and a call every 20 s is not slowed down', async () => {
  bench = createResidencyBench({ pins: ['pin'] }, { loadMs: 15_000, workMs: 1_000 })
  bench.target.installed.push('pin:latest')
  const waits: number[] = []
  for (let i = 0; i < 60; i++) {
    const result = bench.call(`c${i}`, { model: 'm-a' })
    waits.push(await bench.until(() => result.isOver))
    await bench.clock.advance(20_000 - 1_000)
  }
  // The first load, and what the first tries of the pin cost: each further one waits for a longer quiet.
  expect(waits.filter((ms) => ms > 2_000).length).toBeLessThanOrEqual(3)
  await bench.clock.advance(120_000)
  expect(isLoaded('pin')).toBe(true)
})

test('what somebody gave a keep-alive stays, and what is on its way out is not called back', async () => {
  bench = createResidencyBench({ pins: ['pin'] })
  bench.target.installed.push('pin:latest')
  await bench.until(() => isLoaded('pin'))
  const at = (ms: number) => () => ({ expires_at: new Date(bench.clock.now() + ms).toISOString() })
  bench.target.shown = at(-1_000)
  await bench.clock.advance(300_000)
  expect(pinLoads().length).toBe(1)
  bench.target.shown = at(600_000)
  await bench.clock.advance(POLL_MS)
  bench.target.shown = at(292 * 365 * 86_400_000)
  await bench.clock.advance(300_000)
  expect(pinLoads().length).toBe(2)
  expect(bench.target.loads).toEqual(['pin'])
})

test.each(['a,a:latest', 'a,,b', 'gpt-oss:cloud', 'a b'])('"%s" is no list of pins', (text) => {
  expect(parsePins(text).kind).toBe('bad')
})
