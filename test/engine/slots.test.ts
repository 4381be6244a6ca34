/** Several jobs side by side, of one residency key: never two keys at once, never more than the slots, and each on its own. */
import { afterEach, expect, test } from 'bun:test'
import { inventoryFrom } from '../../src/domain/wire/inventory.ts'
import { slotsOf } from '../../src/engine/slots.ts'
import { type Bench, createBench } from '../support/engine-bench.ts'

let bench: Bench
// One test needs none, and may be the first.
afterEach(() => (bench as Bench | undefined)?.close())

const build = (parallel: number, workMs = 1_000, loadMs = 0) => {
  bench = createBench({ config: { parallel }, workMs, loadMs })
}

test('jobs of the loaded key share the slots, and others wait until these are empty', async () => {
  build(4)
  for (let i = 0; i < 6; i++) await bench.submit(`a${i}`, { model: 'm-a' })
  await bench.submit('b0', { model: 'm-b' })
  await bench.quiet()
  expect(bench.engine.worker.slots.map(({ slot, jobId }) => [slot, jobId])).toEqual([
    [0, 'a0'],
    [1, 'a1'],
    [2, 'a2'],
    [3, 'a3'],
  ])
  const tookMs = await bench.until(() => bench.eventsOf('job_done').length === 7, 60_000, 50)
  // Two rounds of the first key, then the other one.
  expect(tookMs).toBeLessThanOrEqual(3_200)
  expect([bench.target.mostAtOnce, bench.target.overlaps]).toEqual([4, 0])
  expect(bench.target.loads).toEqual(['m-a', 'm-b'])
})

test('a load is asked for once, whoever shares it, and outlives the one that began it', async () => {
  build(2, 1_000, 5_000)
  const first = bench.call('first')
  const second = bench.call('second')
  await bench.clock.advance(1_000)
  first.leave()
  await bench.until(() => second.isOver, 20_000)
  expect([second.status, bench.target.loads]).toEqual([200, ['m-a']])
})

test('each slot is ended by itself: one client leaves, the other has its answer', async () => {
  build(2, 10_000)
  const stays = bench.call('stays')
  const leaves = bench.call('leaves')
  await bench.clock.advance(2_000)
  leaves.leave()
  await bench.until(() => stays.isOver, 20_000)
  expect(stays.status).toBe(200)
  expect(bench.store.row('leaves')?.state).toBe('cancelled')
})

test('an aged job of another key empties the slots: they are not filled again before it', async () => {
  bench = createBench({ config: { parallel: 2, maxWaitMs: 5_000 }, workMs: 1_000 })
  await bench.submit('a0', { model: 'm-a' })
  await bench.quiet()
  await bench.submit('b0', { model: 'm-b' })
  let next = 1
  for (let i = 0; i < 40; i++) {
    await bench.submit(`a${next++}`, { model: 'm-a' })
    await bench.submit(`a${next++}`, { model: 'm-a' })
    await bench.clock.advance(1_000)
  }
  const done = bench.eventsOf('job_done').find(({ jobId }) => jobId === 'b0')
  expect(done?.elapsedMs).toBeLessThanOrEqual(5_000 + 2_000)
  expect(bench.target.overlaps).toBe(0)
})

test('a stop gives every slot its grace and puts back what did not finish', async () => {
  build(3, 60_000)
  for (let i = 0; i < 3; i++) await bench.submit(`a${i}`)
  await bench.quiet()
  await bench.stop(1_000)
  expect(bench.store.rows().map(({ state, slot, attempt }) => [state, slot, attempt])).toEqual(
    Array(3).fill(['queued', null, 0]),
  )
})

test('models that Ollama itself gives one slot have one here', () => {
  const models = [
    { name: 'chat', details: { family: 'llama' }, capabilities: ['completion'] },
    { name: 'embed', details: { family: 'nomic-bert' }, capabilities: ['embedding'] },
    { name: 'sight', details: { family: 'qwen3vl', families: ['qwen3vl'] }, capabilities: ['completion', 'vision'] },
    { name: 'mamba', details: { family: 'nemotron_h_moe' } },
  ]
  const inventory = inventoryFrom({ models }) ?? new Map()
  const of = (name: string, parallel = 4) => slotsOf(`registry.ollama.ai/library/${name}:latest`, parallel, inventory)
  expect(['chat', 'embed', 'sight', 'mamba', 'unknown'].map((name) => of(name))).toEqual([4, 1, 1, 1, 4])
  expect(of('chat', 1)).toBe(1)
})
