/** Models that nobody uses are unloaded, pins and the warm embedder are not, and a call in the very moment is not hurt. */
import { afterEach, expect, test } from 'bun:test'
import { createDice } from '../../support/chance.ts'
import { figure, seedOf } from '../../support/figures.ts'
import { createResidencyBench, type ResidencyBench } from '../../support/residency-bench.ts'

let bench: ResidencyBench
afterEach(() => bench?.close())

const held = () => ['m-a', 'm-b', 'pin'].filter((model) => bench.target.holds(model))

test('everything but the pin goes after so long without work, and nothing before', async () => {
  bench = createResidencyBench({ pins: ['pin'], idleUnloadMs: 600_000 })
  bench.target.modelSlots = 3
  bench.target.installed.push('pin:latest')
  await bench.until(() => bench.target.holds('pin'))
  for (const model of ['m-a', 'm-b']) {
    const result = bench.call(model, { model })
    await bench.until(() => result.isOver)
  }
  await bench.clock.advance(590_000)
  expect(held()).toEqual(['m-a', 'm-b', 'pin'])
  await bench.clock.advance(70_000)
  expect(held()).toEqual(['pin'])
  expect(bench.noticed('idle_unloaded').length).toBe(2)
  expect(bench.status()).toMatchObject({ idle_unload: { after_seconds: 600, unloaded: 2 } })
  // The next one has it loaded again.
  const again = bench.call('again', { model: 'm-a' })
  await bench.until(() => again.isOver)
  expect(again.status).toBe(200)
})

test('with nothing set nothing is unloaded, asked, said or put on a call', async () => {
  bench = createResidencyBench({})
  bench.target.resident = 'm-a'
  const result = bench.call('a', { model: 'm-a', numCtx: 2048 })
  await bench.clock.advance(2 * 3_600_000)
  expect(held()).toEqual([])
  const polled = ['/api/ps', '/api/tags', '/api/version']
  const asked = bench.target.seen.filter(({ path }) => !polled.includes(path)).map(({ body }) => JSON.parse(body))
  expect(asked).toEqual([
    { model: 'm-a', stream: false, options: { num_ctx: 2048 } },
    { model: 'm-a', messages: [{ role: 'user', content: 'hi' }], options: { num_ctx: 2048 } },
  ])
  expect([result.status, bench.status(), bench.eventsOf('noticed'), bench.eventsOf('alarm')]).toEqual([
    200,
    undefined,
    [],
    [],
  ])
})

test('calls past the queue are work too, and a model that is warmed by another part stays', async () => {
  bench = createResidencyBench({ idleUnloadMs: 60_000 })
  bench.target.alsoResident = ['em:latest']
  bench.target.resident = 'm-a'
  bench.bus.emit({
    event: 'noticed',
    part: 'embedder',
    name: 'embedder_warmed',
    level: 'info',
    fields: { model: 'em' },
  })
  for (let i = 0; i < 20; i++) {
    bench.engine.hangs.watch('registry.ollama.ai/library/em:latest', 'past').over()
    await bench.clock.advance(30_000)
  }
  expect(held()).toEqual(['m-a'])
  await bench.clock.advance(120_000)
  expect(held()).toEqual([])
  const unloaded = bench.target.seen.filter(({ body }) => body.includes('"keep_alive":0')).map(({ key }) => key)
  expect(unloaded).toEqual(['m-a'])
})

test('1,000 random histories with calls in the very moment of unloading: no call is hurt', async () => {
  const dice = createDice(seedOf('idle'))
  const idleMs = 10_000
  bench = createResidencyBench({ pins: ['pin'], idleUnloadMs: idleMs }, { loadMs: 700, workMs: 300 })
  bench.target.modelSlots = 2
  bench.target.installed.push('pin:latest')
  let calls = 0
  let late = 0
  for (let history = 0; history < 1_000; history++) {
    bench.target.unloadMs = dice.pick([0, 0, 50, 400])
    const unloads = bench.noticed('idle_unloaded').length
    const results = Array.from({ length: dice.between(1, 2) }, () =>
      bench.call(`c${calls++}`, { model: dice.pick(['m-a', 'm-a', 'm-b', 'pin']) }),
    )
    await bench.until(() => results.every(({ isOver }) => isOver), 60_000, 200)
    expect(results.map(({ status, text }) => [status, text.includes('"done":true')])).toEqual(
      results.map(() => [200, true]),
    )
    // Before, in, or after the moment.
    await bench.clock.advance(dice.chance(0.8) ? idleMs + dice.between(-1_300, 1_300) : dice.between(0, 3 * idleMs))
    if (bench.noticed('idle_unloaded').length > unloads) late++
  }
  expect(bench.eventsOf('job_requeued')).toEqual([])
  expect(bench.eventsOf('job_failed')).toEqual([])
  expect([late > 100, late < 900]).toEqual([true, true])
  figure(
    'K4',
    `${calls} calls in 1,000 random histories around the moment of unloading`,
    `0 hurt; ${late} came after it`,
  )
}, 60_000)
