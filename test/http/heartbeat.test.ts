/** Clients with little patience: signs of life while a call waits, and the truth about its end inside an answer that has begun. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { heartbeatMs } from '../../src/http/ollama/heartbeat.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { type GenerationPath, generation, generationPaths, seenBy } from '../support/generation-call.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { healthIs, polled } from '../support/health.ts'
import { askOnce, headerOf, openClient } from '../support/wire-client.ts'

// A second of foreman's is an eighth of ours.
const HASTE = 8

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }], firstTokenMs: 300 })
  const clock = createHastyClock(HASTE)
  foreman = await runForeman(simulator.url, { FOREMAN_UNREACHABLE_DEADLINE: '2s' }, { clock })
  await polled(foreman)
})
afterEach(() => simulator.fault(null))
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const asked = (path: GenerationPath, stream: boolean, every = '1s') =>
  generation(path, { stream, prompt: '[[n=3]]' }, [`X-Foreman-Heartbeat: ${every}`])

describe('an answer that takes its time', () => {
  // What is whole has one shape on each side.
  const wholePaths: readonly string[] = ['/api/chat', '/v1/chat/completions']
  for (const path of generationPaths)
    for (const stream of wholePaths.includes(path) ? [true, false] : [true]) {
      test(`on ${path}, ${stream ? 'streamed' : 'whole'}, begins with signs of life and is the same behind them`, async () => {
        const [direct, through] = await Promise.all([
          askOnce(simulator.port, generation(path, { stream, prompt: '[[n=3]]' })),
          askOnce(foreman.port, asked(path, stream)),
        ])
        expect([through.status, through.ending]).toEqual([200, 'complete'])
        expect(headerOf(through, 'content-type')).toBe(headerOf(direct, 'content-type'))
        const isEvents = stream && path.startsWith('/v1/')
        const said = through.body.toString()
        expect(said).toMatch(isEvents ? /^(: waiting(; \w+=\d+)*\n\n)+(event|data): / : /^ +\{/)
        const shape = (text: string) => text.replace(/^(: waiting[^\n]*\n\n| )+/, '').split('\n').length
        expect(shape(said)).toBe(shape(direct.body.toString()))
      }, 30_000)
    }

  test('that comes in time is as it always was', async () => {
    const answer = await askOnce(foreman.port, asked('/api/chat', false, '30s'))
    expect([answer.status, answer.body.toString().startsWith('{')]).toEqual([200, true])
    expect(headerOf(answer, 'x-foreman-job-id')).not.toBeNull()
  }, 30_000)
})

describe('whoever waits behind others', () => {
  const numberIn = (text: string, name: string) => Number(new RegExp(`${name}=(\\d+)`).exec(text)?.[1] ?? Number.NaN)

  test('is told the place and the time that is left, before the answer and all the way to it', async () => {
    // Nobody can say how long it takes before one was done.
    await askOnce(foreman.port, generation('/api/chat', { stream: false, prompt: '[[n=3]]' }))
    // Long enough for the other two to come, on a busy machine too.
    const first = askOnce(foreman.port, generation('/api/chat', { stream: false, prompt: '[[n=3]] [[silent=2000]]' }))
    await healthIs(foreman, 'the first to run', ({ queue }) => queue.working === 1)
    const second = askOnce(foreman.port, asked('/api/chat', false))
    await healthIs(foreman, 'the second to wait', ({ queue }) => queue.queued === 1)
    const third = askOnce(foreman.port, asked('/v1/messages', true))
    const [, native, events] = await Promise.all([first, second, third])
    expect(headerOf(native, 'x-foreman-position')).toBe('1')
    expect(headerOf(events, 'x-foreman-position')).toBe('2')
    for (const answer of [native, events]) {
      expect(headerOf(answer, 'x-foreman-job-id')).not.toBeNull()
      expect(Number(headerOf(answer, 'x-foreman-eta-seconds'))).toBeGreaterThan(0)
    }
    expect(headerOf(events, 'cache-control')).toBe('no-cache')
    const comments = events.body.toString().match(/^: waiting.*$/gm) ?? []
    const places = comments.map((comment) => numberIn(comment, 'position'))
    const times = comments.map((comment) => numberIn(comment, 'eta_seconds'))
    expect([places[0], places.at(-1)]).toEqual([2, 0])
    expect(places).toEqual(places.toSorted((a, b) => b - a))
    expect(times.every((time) => time >= 0)).toBe(true)
  }, 30_000)

  test('of an unknown pace, or for a target that is away, hears what is known and no more', async () => {
    simulator.fault({ kind: 'refuse' })
    const answer = await askOnce(foreman.port, asked('/v1/responses', true))
    expect(answer.body.toString()).toMatch(/^: waiting; position=\d+\n\n/)
    expect(headerOf(answer, 'x-foreman-eta-seconds')).toBeNull()
  }, 30_000)
})

describe('a refusal that comes after the first sign of life', () => {
  test('ends a stream in the words of its flavour', async () => {
    simulator.fault({ kind: 'refuse' })
    const native = await askOnce(foreman.port, asked('/api/chat', true))
    expect([native.status, native.ending]).toEqual([200, 'complete'])
    expect(native.body.toString()).toMatch(/^ +\{"error":"the target could not be reached: [^\n]+\}\n$/)
    const events = await askOnce(foreman.port, asked('/v1/messages', true))
    expect(events.body.toString()).toMatch(/^(: waiting[^\n]*\n\n)+event: error\ndata: \{"type":"error",/)
  }, 30_000)

  test('is cut where it is whole: under 200 no client would see it', async () => {
    simulator.fault({ kind: 'refuse' })
    const answer = await askOnce(foreman.port, asked('/v1/chat/completions', false))
    expect([answer.status, answer.ending === 'complete']).toEqual([200, false])
    expect(answer.body.toString()).toMatch(/^ +\{"error":\{"message":"the target could not be reached: /)
  }, 30_000)
})

describe('a stream that breaks behind the signs of life', () => {
  const faults = [
    { kind: 'reset', phase: 'mid-body', chunks: 2, times: 1 },
    { kind: 'error-mid-stream', text: 'the runner died', chunks: 2, times: 1 },
  ] as const
  for (const path of generationPaths)
    for (const fault of faults)
      test(`on ${path} by ${fault.kind} says so in its own way`, async () => {
        // Loaded, so that the fault meets the stream and not its load.
        await askOnce(foreman.port, generation(path, { stream: false, prompt: '[[n=1]]' }))
        simulator.fault({ ...fault, path })
        const answer = await askOnce(foreman.port, asked(path, true))
        expect(answer.body.toString()).toMatch(/^(: waiting| )/)
        expect(seenBy(path, true, answer)).toBe('error in the stream')
      }, 30_000)
})

test('a client that leaves after the first sign of life is gone from the queue', async () => {
  const client = await openClient(foreman.port)
  await client.send(asked('/api/chat', true)).begun
  client.drop()
  await healthIs(foreman, 'the job to be gone', ({ queue }) => queue.queued === 0 && queue.working === 0, 2_000)
}, 30_000)

test.each([
  [null, 0, 0],
  [null, 60_000, 60_000],
  ['30s', 0, 30_000],
  ['5', 60_000, 5_000],
  ['off', 60_000, 0],
  ['0', 60_000, 0],
  ['10ms', 0, 1_000],
  ['9h', 0, 3_600_000],
  ['often', 60_000, 60_000],
])('X-Foreman-Heartbeat %p over a setting of %d ms is %d ms', (header, setting, wanted) => {
  expect(heartbeatMs(header, setting)).toBe(wanted)
})
