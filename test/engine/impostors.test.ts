/** A1 to A3: whatever stands in for the target, jobs wait for the target; and its naps cost none of them a try. */
import { afterEach, describe, expect, test } from 'bun:test'
import { type ImpostorName, impostorNames } from '../../src/simulator/impostor.ts'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'
import { impersonated } from '../support/virtual-impostor.ts'
import { goodStream } from '../support/virtual-target.ts'

const JOBS = 2_000

let bench: Bench
afterEach(() => bench.close())

const submitAll = async (count: number) => {
  for (let from = 0; from < count; from += 500)
    await Promise.all(
      Array.from({ length: Math.min(500, count - from) }, (_, i) =>
        bench.submit(`j${from + i}`, { model: i % 2 === 0 ? 'm-a' : 'm-b' }),
      ),
    )
}

/** The target is another for a minute, and is itself again. */
const replaceFor = async (name: ImpostorName, ms: number) => {
  const { send } = bench.target
  bench.target.send = impersonated(bench.clock, name)
  await bench.clock.advance(ms)
  const asleep = bench.engine.state.view
  bench.target.send = send
  return asleep
}

const drained = (count: number) =>
  bench.until(() => bench.eventsOf('job_done').length + bench.eventsOf('job_failed').length >= count, 3_600_000, 1_000)

describe(`${JOBS} jobs wait while the target is replaced for a minute`, () => {
  test.each(impostorNames)('by "%s": none fails, none loses an attempt, all are done afterwards', async (name) => {
    bench = createBench({ workMs: 20 })
    await bench.clock.advance(1_000)
    await submitAll(JOBS)
    await bench.clock.advance(500)
    const view = await replaceFor(name, 60_000)
    expect([name, view.degraded, view.reachable]).toEqual([name, true, false])
    expect(view.reason).toMatch(/not Ollama|status line|no whole answer/)
    await drained(JOBS)
    const rows = bench.store.rows()
    expect(rows.filter(({ state }) => state !== 'done')).toEqual([])
    expect(rows.filter(({ attempt }) => attempt !== 1)).toEqual([])
    expect(bench.eventsOf('job_failed')).toEqual([])
    const tries = rows.reduce((sum, { deferrals }) => sum + deferrals, 0)
    // The worker parks after the first: nobody hammers a proxy, and no webhook tells of what did not happen.
    expect(tries).toBeLessThanOrEqual(5)
    figure('A1', `"${name}" for 60 s: ${JOBS} jobs, 0 failed, 0 attempts spent, ${tries} deferrals, drained`)
  })

  test('by each in turn, for ten minutes in all', async () => {
    bench = createBench({ workMs: 20 })
    await submitAll(JOBS)
    for (const name of impostorNames) {
      await replaceFor(name, 30_000)
      await bench.clock.advance(5_000)
    }
    await drained(JOBS)
    expect(bench.eventsOf('job_failed')).toEqual([])
    expect(bench.store.rows().filter(({ attempt, state }) => attempt !== 1 || state !== 'done')).toEqual([])
  })
})

test('a client that waits is told what answers there', async () => {
  bench = createBench({ config: { unreachableDeadlineMs: 20_000 } })
  await bench.clock.advance(1_000)
  bench.target.send = impersonated(bench.clock, 'basic-auth')
  const call = bench.call('a')
  await bench.until(() => call.isOver, 60_000)
  expect(call.status).toBe(503)
  expect(bench.engine.state.view.reason).toBe(
    `the target answered 401 text/html: that is not Ollama (a proxy's login?)`,
  )
})

describe('an Ollama that answers', () => {
  const failsAt = (isFailing: (path: string) => boolean) => {
    bench.target.script = ({ path }) =>
      isFailing(path) ? { kind: 'status', status: 500, error: 'Internal Server Error' } : undefined
  }

  test.each([true, false])('and fails at everything but its version is away (loaded before: %p)', async (isLoaded) => {
    bench = createBench()
    await bench.clock.advance(1_000)
    if (isLoaded) await bench.submit('first')
    await bench.clock.advance(1_000)
    failsAt((path) => path !== '/api/version')
    await submitAll(100)
    await bench.clock.advance(500)
    expect(bench.engine.state.view).toMatchObject({
      degraded: true,
      reachable: false,
      reason: 'the target answers, but fails at all it is asked, /api/tags too: Internal Server Error',
    })
    await bench.clock.advance(300_000)
    expect(
      bench.store
        .rows()
        .filter(({ id }) => id !== 'first')
        .every(({ attempt }) => attempt === 0),
    ).toBe(true)
    failsAt(() => false)
    await drained(isLoaded ? 101 : 100)
    expect(bench.eventsOf('job_failed')).toEqual([])
    expect(bench.store.rows().every(({ state, attempt }) => state === 'done' && attempt === 1)).toBe(true)
  })

  test.each([
    ['a 500', { kind: 'status', status: 500, error: 'words of a version to come' }, 'runner_failed'],
    ['an answer without an end', { kind: 'ok', text: '{"model":"m","done":false}\n' }, 'unfinished'],
    ['an error in a stream', { kind: 'ok', text: '{"error":"words of a version to come"}\n' }, 'runner_failed'],
  ] as const)('and does all else well has its jobs tried three times: %s', async (_, plan, code) => {
    bench = createBench()
    bench.target.script = ({ isWork }) => (isWork ? plan : undefined)
    await bench.submit('j')
    await bench.until(() => bench.eventsOf('job_failed').length === 1)
    expect(bench.store.row('j')).toMatchObject({ attempt: 3, deferrals: 0, error_code: code })
  })

  test('and is behind a proxy that compresses has its answers read as far as they can be', async () => {
    bench = createBench()
    const { send } = bench.target
    bench.target.send = async (request, options) => {
      const reply = await send(request, options)
      if (request.path !== '/api/chat' || reply.kind !== 'answered') return reply
      return { ...reply, headers: [...reply.headers, ['Content-Encoding', 'gzip']] }
    }
    const call = bench.call('a')
    await bench.until(() => call.isOver, 10_000)
    expect([call.status, call.text]).toEqual([200, goodStream])
  })
})

test('models that vanish all at once are a disk that is not mounted; one that vanishes is gone', async () => {
  bench = createBench()
  await bench.clock.advance(1_000)
  const missing = (model: string) => ({ kind: 'status', status: 404, error: `model '${model}' not found` }) as const
  bench.target.script = ({ path, key }) =>
    path.startsWith('/api/t') ? undefined : key === '' ? undefined : missing(key)
  bench.target.installed = []
  await submitAll(100)
  await bench.clock.advance(120_000)
  expect(bench.store.rows().every(({ state, attempt }) => state === 'queued' && attempt === 0)).toBe(true)
  expect(bench.engine.state.view).toMatchObject({ degraded: true, reachable: false })
  expect(bench.engine.state.view.reason).toBe('the target lists no models where it had 2: is their disk mounted?')

  bench.target.installed = ['m-a:latest']
  bench.target.script = ({ key }) => (key === 'm-b' ? missing('m-b') : undefined)
  await drained(100)
  expect(new Set(bench.eventsOf('job_done').map(({ model }) => model))).toEqual(new Set(['m-a']))
  expect(new Set(bench.eventsOf('job_failed').map(({ model }) => model))).toEqual(new Set(['m-b']))
})

const NAPS_MS = 6 * 3_600_000

test.each([
  ['half-open', 50],
  ['reset', 50],
  ['half-open', 1],
  ['reset', 1],
] as const)('dark wakes, 8 s of 63 s, for six hours (%s, %d jobs): nothing fails', async (how, jobs) => {
  bench = createBench({ workMs: 21_000 })
  await submitAll(jobs)
  const began = bench.clock.monotonicMs()
  const { send } = bench.target
  while (bench.clock.monotonicMs() - began < NAPS_MS) {
    bench.target.awake = false
    // Whatever was under way when it fell asleep neither goes on nor ends by itself, or breaks.
    if (how === 'reset') bench.target.cut()
    await bench.clock.advance(55_000)
    bench.target.awake = true
    bench.target.script = ({ isWork }) => (isWork ? { kind: 'hang' } : undefined)
    await bench.clock.advance(8_000)
  }
  bench.target.send = send
  bench.target.script = () => undefined
  await drained(jobs)
  const rows = bench.store.rows()
  expect(bench.eventsOf('job_failed')).toEqual([])
  expect(rows.every(({ state }) => state === 'done')).toBe(true)
  const worst = Math.max(...rows.map(({ attempt }) => attempt))
  figure('A5', `8 s of 63 s awake for 6 virtual hours, ${how}, ${jobs} jobs: 0 failed, at most ${worst} attempts`)
})
