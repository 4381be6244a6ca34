/** A target that is said to be down counts as away although it answers, and an alarm is told once for each change. */
import { afterEach, expect, test } from 'bun:test'
import type { PartPorts } from '../../src/engine/part.ts'
import { type Bench, createBench } from '../support/engine-bench.ts'

let bench: Bench
afterEach(() => bench.close())

const make = (options: Parameters<typeof createBench>[0] = {}) => {
  let ports: PartPorts<never> | undefined
  const part = (given: PartPorts<never>) => {
    ports = given
    return { start: () => undefined, stop: async () => undefined }
  }
  bench = createBench({ ...options, part })
  if (ports === undefined) throw new Error('no part was made')
  return ports
}

test('while the target is said to be down no poll brings it back, and nothing is lost', async () => {
  const { target } = make()
  await bench.clock.advance(60_000)
  target.declareDown('three inferences in a row failed')
  await bench.submit('a')
  await bench.clock.advance(600_000)
  expect(bench.engine.state.view).toMatchObject({ reachable: false, down: 'three inferences in a row failed' })
  expect(bench.store.row('a')).toMatchObject({ state: 'queued', attempt: 0 })
  target.declareDown(null)
  await bench.until(() => bench.store.row('a')?.state === 'done')
  expect(bench.engine.state.view).toMatchObject({ reachable: true, down: null })
})

test('two that say so are both believed until both have taken it back', async () => {
  make()
  const { engine } = bench
  engine.declareDown('manager', 'it hangs')
  engine.declareDown('residency', 'its GPU is gone')
  expect(engine.state.view.down).toBe('it hangs')
  engine.declareDown('manager', null)
  await bench.clock.advance(60_000)
  expect(engine.state.view).toMatchObject({ down: 'its GPU is gone', reachable: false })
  engine.declareDown('residency', null)
  await bench.clock.advance(60_000)
  expect(engine.state.view).toMatchObject({ down: null, reachable: true })
})

test('a job that runs comes back with its attempt when the target is said to be down', async () => {
  const { target } = make({ workMs: 120_000 })
  await bench.submit('a')
  await bench.until(() => bench.store.row('a')?.state === 'working')
  target.declareDown('it hangs')
  await bench.quiet()
  expect(bench.store.row('a')).toMatchObject({ state: 'queued', attempt: 0 })
  target.declareDown(null)
  await bench.until(() => bench.store.row('a')?.state === 'done')
  expect(bench.store.row('a')).toMatchObject({ attempt: 1 })
})

test('a caller that waits is told why after its deadline', async () => {
  const { target } = make()
  await bench.clock.advance(60_000)
  target.declareDown('it is being restarted')
  const result = bench.call('c')
  await bench.until(() => result.isOver)
  expect(result.status).toBe(503)
  expect(result.text).toContain('it is being restarted')
})

test('an alarm is told when it is raised and when it is resolved, however often either is said', () => {
  const { alarm, alarms } = make()
  alarm('memory', 'ollama holds 9 GiB')
  alarm('memory', 'ollama holds 10 GiB')
  expect(alarms().map(({ words }) => words)).toEqual(['ollama holds 10 GiB'])
  alarm('memory', null)
  alarm('memory', null)
  expect(bench.eventsOf('alarm').map(({ name, state }) => [name, state])).toEqual([
    ['memory', 'raised'],
    ['memory', 'resolved'],
  ])
  expect(alarms()).toEqual([])
})
