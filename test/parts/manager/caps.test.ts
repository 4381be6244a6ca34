/** Every cure has a cap: the steps, the quarantine and the hour's bounds hold to the number, and quarantine ends by itself. */
import { afterEach, describe, expect, test } from 'bun:test'
import { createLadder } from '../../../src/parts/manager/ladder.ts'
import { figure } from '../../support/figures.ts'
import { createWorld, type World } from '../../support/managed.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

describe('the ladder', () => {
  test('steps at once, after 5 s and after 30 s, then every ten minutes', () => {
    const ladder = createLadder()
    expect(ladder.next('died', 1_000)).toEqual({ atMs: 1_000, isQuarantined: false })
    expect(ladder.tried('died', 1_000)).toBe(1)
    expect(ladder.next('died', 2_000)).toEqual({ atMs: 7_000, isQuarantined: false })
    ladder.tried('died', 7_000)
    expect(ladder.next('died', 8_000)).toEqual({ atMs: 38_000, isQuarantined: false })
    ladder.tried('died', 38_000)
    expect(ladder.next('died', 39_000)).toEqual({ atMs: 638_000, isQuarantined: true })
  })

  test('ten minutes of health begin it anew, and the bound of three an hour for one cause stays', () => {
    const ladder = createLadder()
    for (const atMs of [0, 15 * MINUTE, 30 * MINUTE]) {
      expect(ladder.next('died', atMs).atMs).toBe(atMs)
      ladder.tried('died', atMs)
      ladder.healthy(atMs, atMs + 10 * MINUTE)
    }
    expect(ladder.next('died', 45 * MINUTE)).toEqual({ atMs: HOUR, isQuarantined: true })
    expect(ladder.next('hung', 45 * MINUTE)).toEqual({ atMs: 45 * MINUTE, isQuarantined: false })
  })

  test('nine minutes of health do not', () => {
    const ladder = createLadder()
    ladder.tried('died', 0)
    ladder.healthy(0, 9 * MINUTE)
    expect(ladder.next('died', 9 * MINUTE).atMs).toBe(9 * MINUTE + 5_000)
  })
})

let world: World
afterEach(() => world?.bench.close())

/** The most that lie within an hour of each other. */
const mostInAnHour = (atMs: readonly number[]) =>
  Math.max(0, ...atMs.map((from) => atMs.filter((at) => at >= from && at < from + HOUR).length))

test('a child that dies at once, for ever: 24 virtual hours hold to the bounds, callers are told, and it leaves quarantine when it lives', async () => {
  world = createWorld({ config: { unreachableDeadlineMs: 5_000 } })
  await world.bench.clock.advance(20 * MINUTE)
  world.next = 'dies'
  world.die()
  const first = world.starts.length
  await world.bench.clock.advance(24 * HOUR)
  const tries = world.starts.slice(first)
  const failures = world.noticed('ollama_restart_failed')
  expect(failures.length).toBe(tries.length)
  expect(tries.slice(0, 3).map((at) => Math.round((at - (tries[0] ?? 0)) / 1_000))).toEqual([0, 5, 35])
  expect(mostInAnHour(tries)).toBe(6)
  const onSteps = failures.filter(({ attempt }) => Number(attempt) <= 3)
  expect(onSteps.length).toBe(3)
  for (let at = 3; at < tries.length; at++)
    expect((tries[at] ?? 0) - (tries[at - 1] ?? 0)).toBeGreaterThanOrEqual(600_000)
  expect(world.alarms('quarantine')).toEqual(['raised'])
  expect(world.part().status?.()).toMatchObject({ state: 'quarantined' })
  const call = world.bench.call('waits')
  await world.bench.clock.advance(6_000)
  expect(call.status).toBe(503)
  expect(call.headers.get('retry-after')).not.toBeNull()
  await world.bench.submit('job')
  world.next = 'lives'
  await world.bench.clock.advance(11 * MINUTE)
  expect(world.part().status?.()).toMatchObject({ state: 'running' })
  expect(world.alarms('quarantine')).toEqual(['raised', 'resolved'])
  expect(world.bench.eventsOf('job_done').map(({ jobId }) => jobId)).toEqual(['job'])
  figure('T9', `a child that dies at once, 24 virtual hours, most tries in an hour 6: ${tries.length} tries`)
})

test('it does not come up at the start: three tries, then quarantine, and foreman serves', async () => {
  world = createWorld()
  world.next = { kind: 'failed', words: 'no space left on device' }
  await world.bench.clock.advance(5 * MINUTE)
  expect(world.starts.map((at) => Math.round(at / 1_000))).toEqual([0, 5, 35])
  expect(world.bench.engine.state.view.down).toContain('no space left on device')
  expect(world.part().status?.()).toMatchObject({ state: 'quarantined' })
})

test('each restart is one event with its cause, evidence, duration and number, and more than three in an hour are told once', async () => {
  world = createWorld()
  await world.bench.clock.advance(MINUTE)
  for (let kill = 0; kill < 3; kill++) {
    world.die()
    await world.bench.clock.advance(MINUTE)
  }
  expect(world.noticed('ollama_restarted')).toEqual(
    [1, 2, 3].map((attempt) => ({ cause: 'died', evidence: 'killed', took_ms: 0, attempt, pid: 4711 })),
  )
  expect(world.alarms('restarts')).toEqual([])
  world.die()
  await world.bench.clock.advance(11 * MINUTE)
  expect(world.alarms('restarts')).toEqual(['raised'])
  await world.bench.clock.advance(HOUR)
  expect(world.alarms('restarts')).toEqual(['raised', 'resolved'])
})

test('while a pull runs a server that lives is not restarted', async () => {
  let isPulling = true
  world = createWorld({ isTransferring: () => isPulling })
  await world.bench.submit('a')
  await world.bench.clock.advance(100_000)
  world.hangs = true
  await world.bench.clock.advance(20 * MINUTE)
  expect(world.starts.length).toBe(1)
  // A person and callers know why nothing happens.
  expect(world.alarms('down')).toEqual(['raised'])
  expect(world.bench.engine.state.view.down).toContain('when the transfer of a model is over')
  isPulling = false
  await world.bench.clock.advance(MINUTE)
  expect(world.starts.length).toBe(2)
  expect(world.alarms('down')).toEqual(['raised', 'resolved'])
})

test('a load that hangs and that nothing softer helped is a cause of its own', async () => {
  world = createWorld()
  await world.bench.clock.advance(MINUTE)
  const told = { event: 'noticed', part: 'residency', name: 'load_hangs', level: 'warn' } as const
  world.bench.bus.emit({ ...told, fields: { model: 'm-a', step: 'unload' } })
  await world.bench.clock.advance(MINUTE)
  expect(world.starts.length).toBe(1)
  world.bench.bus.emit({ ...told, fields: { model: 'm-a', step: 'restart' } })
  await world.bench.clock.advance(MINUTE)
  expect(world.noticed('ollama_restarted')).toMatchObject([{ cause: 'load_hangs' }])
})

test.each(['conflict', 'missing'] as const)('%s is told once, and looked at again until it is over', async (kind) => {
  world = createWorld()
  world.next = { kind, words: 'it is so' }
  await world.bench.clock.advance(10 * MINUTE)
  expect(world.noticed(`ollama_${kind}`)).toEqual([{ message: 'it is so' }])
  expect(world.alarms(kind)).toEqual(['raised'])
  world.next = 'lives'
  await world.bench.clock.advance(MINUTE)
  expect(world.alarms(kind)).toEqual(['raised', 'resolved'])
  expect(world.part().status?.()).toMatchObject({ state: 'running' })
})
