/** A GPU that silently became a CPU: seen by memory and by speed, told once, and with FOREMAN_REQUIRE_GPU a fault that ends by itself. */
import { afterEach, expect, test } from 'bun:test'
import { figure } from '../../support/figures.ts'
import { createResidencyBench, type ResidencyBench } from '../../support/residency-bench.ts'

let bench: ResidencyBench
afterEach(() => bench?.close())

/** How much of what is loaded is video memory. */
const onGpu = (share: number) => () => ({ size: 1_000, size_vram: 1_000 * share })
const alarms = () => bench.eventsOf('alarm').map(({ name, state }) => [name, state])
const isDown = () => bench.engine.state.view.down !== null

test('a share that falls below nine tenths of what it was is told once, raised as an alarm, and resolved', async () => {
  bench = createResidencyBench({})
  bench.target.resident = 'm-a'
  bench.target.shown = onGpu(0.8)
  await bench.clock.advance(60_000)
  bench.target.shown = onGpu(0.73)
  await bench.clock.advance(60_000)
  expect(alarms()).toEqual([])
  bench.target.shown = onGpu(0.7)
  await bench.clock.advance(300_000)
  expect(bench.noticed('gpu_lost')).toMatchObject([{ model: 'm-a:latest', by: 'memory', share: 0.7, was: 0.8 }])
  expect(bench.metric('foreman_gpu_lost')).toEqual([{ value: 1 }])
  expect(bench.status()).toEqual({ gpu_lost: [expect.stringContaining('70 %')] })
  expect(isDown()).toBe(false)
  bench.target.shown = onGpu(0.8)
  await bench.clock.advance(60_000)
  expect(alarms()).toEqual([
    ['gpu_lost m-a:latest', 'raised'],
    ['gpu_lost m-a:latest', 'resolved'],
  ])
})

test('a larger context that does not fit the card is no loss', async () => {
  bench = createResidencyBench({})
  bench.target.resident = 'm-a'
  bench.target.shown = onGpu(1)
  await bench.clock.advance(60_000)
  bench.target.resident = 'm-a@65536'
  bench.target.shown = onGpu(0.5)
  await bench.clock.advance(60_000)
  expect(alarms()).toEqual([])
})

const answer = (tokens: number, perSecond: number) =>
  `{"model":"m","message":{"role":"assistant","content":"x"},"done":true,"eval_count":${tokens},"eval_duration":${Math.round((tokens / perSecond) * 1e9)}}\n`

/** So many calls, answered at this speed. */
const calls = async (count: number, perSecond: number, tokens = 100) => {
  bench.target.script = ({ isWork }) => (isWork ? { kind: 'ok', text: answer(tokens, perSecond) } : undefined)
  for (let i = 0; i < count; i++) {
    const result = bench.call(`s${bench.events.length}`, { model: 'm-a' })
    await bench.until(() => result.isOver)
  }
}

test('a speed under a quarter of its average, three times in a row, is told; one slow answer or a short one is not', async () => {
  bench = createResidencyBench({})
  await calls(12, 40)
  await calls(2, 5)
  await calls(1, 38)
  await calls(5, 5, 8)
  expect(bench.noticed('gpu_lost')).toEqual([])
  await calls(3, 5)
  expect(bench.noticed('gpu_lost')).toMatchObject([{ model: 'm-a:latest', by: 'speed' }])
  await calls(20, 5)
  expect(alarms().length).toBe(1)
  await calls(1, 39)
  expect(alarms().at(-1)?.[1]).toBe('resolved')
})

test('with FOREMAN_REQUIRE_GPU the target is down, jobs keep their attempt, and a fresh load on the GPU ends it', async () => {
  bench = createResidencyBench({ requireGpu: true })
  const good = bench.call('good', { model: 'm-a' })
  bench.target.shown = onGpu(1)
  await bench.until(() => good.isOver)
  await bench.clock.advance(30_000)
  bench.target.shown = onGpu(0)
  await bench.until(isDown, 31_000)
  await bench.submit('waits', { model: 'm-a' })
  await bench.clock.advance(1_800_000)
  expect([isDown(), bench.store.row('waits')?.state]).toEqual([true, 'queued'])
  // 1, 2, 4, 8, 10, 10 ... minutes: it never spins.
  const tries = bench.noticed('gpu_retried').length
  expect([tries >= 4, tries <= 6]).toEqual([true, true])
  bench.target.shown = onGpu(1)
  const backMs = await bench.until(() => !isDown(), 660_000)
  await bench.until(() => bench.store.row('waits')?.state === 'done', 60_000)
  expect(bench.store.row('waits')).toMatchObject({ attempt: 1 })
  expect(alarms().at(-1)).toEqual(['gpu_lost m-a:latest', 'resolved'])
  figure(
    'K5',
    'a model on the CPU for half an hour with FOREMAN_REQUIRE_GPU',
    `${tries} tries, 0 attempts spent, back ${Math.round(backMs / 1_000)} s after the GPU`,
  )
})

test('with FOREMAN_REQUIRE_GPU two models on the CPU are both waited for, and one that is removed is not waited for any more', async () => {
  bench = createResidencyBench({ requireGpu: true })
  const shares: Record<string, number> = { 'm-a': 1, 'm-b': 1 }
  bench.target.shown = (name) => onGpu(shares[name.replace(/:latest$/, '')] ?? 1)()
  bench.target.modelSlots = 2
  for (const model of ['m-a', 'm-b']) {
    const call = bench.call(`good ${model}`, { model })
    await bench.until(() => call.isOver)
  }
  await bench.clock.advance(30_000)
  Object.assign(shares, { 'm-a': 0, 'm-b': 0 })
  await bench.until(isDown, 31_000)
  await bench.clock.advance(1_000)
  const [first] = bench.noticed('gpu_lost').map(({ model }) => String(model).replace(/:latest$/, ''))
  const other = first === 'm-a' ? 'm-b' : 'm-a'
  shares[String(first)] = 1
  await bench.until(() => bench.noticed('gpu_retried').some(({ has_worked }) => has_worked === true), 660_000)
  expect([isDown(), bench.engine.state.view.down]).toEqual([true, expect.stringContaining(other)])
  bench.target.installed = bench.target.installed.filter((name) => !name.startsWith(other))
  bench.target.evict(other)
  await bench.until(() => !isDown(), 1_300_000)
  expect(alarms().at(-1)).toEqual([`gpu_lost ${other}:latest`, 'resolved'])
})
