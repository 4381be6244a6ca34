/** Spec 5.5, row by row: what is tried again, what is not, and whose answer the client gets in the end. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { type Fault, type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import {
  type GenerationOptions,
  type GenerationPath,
  generation,
  generationPaths,
  seenBy,
} from '../support/generation-call.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { healthIs } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { askOnce, headerOf, type WireAnswer } from '../support/wire-client.ts'

// The backoffs of foreman are seconds; here they are tens of milliseconds.
const HASTE = 40
const CRASHED = 'model runner has unexpectedly stopped'

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  const models = [
    { name: 'tiny' },
    { name: 'embed', capabilities: ['embedding'] as const },
    { name: 'badload', loadError: 'llama-server process has terminated: exit status 1: error loading model: fake' },
  ]
  simulator = await startSimulator({ models })
  const env = { FOREMAN_UNREACHABLE_DEADLINE: '20s', FOREMAN_EMBED: 'bypass' }
  foreman = await runForeman(simulator.url, env, { clock: createHastyClock(HASTE) })
})
afterEach(() => simulator.fault(null))
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const asked = (path: string) => simulator.counters().requests[path] ?? 0

/** The answer, and how often the target was asked for it. */
const call = async (path: GenerationPath, options: GenerationOptions) => {
  const before = asked(path)
  const linesBefore = foreman.lines.length
  const answer = await askOnce(foreman.port, generation(path, options))
  const requeued = foreman.lines
    .slice(linesBefore)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === 'job_requeued')
  return { answer, seen: seenBy(path, options.stream, answer), tries: asked(path) - before, requeued }
}

/** With its model loaded, the next call is one request and nothing else. */
const loaded = async () => expect((await call('/api/chat', { stream: true })).seen).toBe('done')

const errorOf = ({ body }: WireAnswer): string => (JSON.parse(body.toString()) as { error: string }).error

describe('before the first byte', () => {
  const passing: Record<string, Fault> = {
    'a reset before the head': { kind: 'reset', phase: 'before-headers' },
    'a reset after the head': { kind: 'reset', phase: 'after-headers' },
    'an end after the head': { kind: 'truncate', chunks: 0 },
    'a chunk that is none': { kind: 'malformed-chunk', chunks: 0 },
    'a crashed runner': { kind: 'error-before', text: `${CRASHED}, this may be due to resource limitations` },
    'a lack of memory': { kind: 'oom' },
    'a busy target': { kind: 'status', status: 503 },
    'a bad gateway': { kind: 'status', status: 502 },
    'too many requests': { kind: 'status', status: 429, retryAfter: 1 },
  }
  for (const [name, fault] of Object.entries(passing)) {
    for (const stream of [true, false]) {
      test(`${name} is tried again and the client sees nothing of it, stream ${stream}`, async () => {
        simulator.fault({ ...fault, times: 1, path: '/api/chat' })
        const { seen, tries, requeued } = await call('/api/chat', { stream })
        expect({ seen, tries, requeued: requeued.length }).toEqual({ seen: 'done', tries: 2, requeued: 1 })
      })
    }
  }

  test('a load that fails for want of memory is tried again', async () => {
    simulator.fault({ kind: 'oom', phase: 'load', times: 1, path: '/api/generate' })
    const { seen, requeued } = await call('/api/chat', { stream: true, more: { options: { num_ctx: 2048 } } })
    expect({ seen, requeued: requeued.length }).toEqual({ seen: 'done', requeued: 1 })
  })

  test('a target that is away for a while costs no attempt', async () => {
    simulator.fault({ kind: 'refuse' })
    const waiting = call('/api/chat', { stream: true })
    await healthIs(foreman, 'the target to be missed', ({ target, queue }) => !target.reachable && queue.queued === 1)
    simulator.fault(null)
    const { seen, requeued } = await waiting
    expect(seen).toBe('done')
    // When a poll was first to miss the target, the call was not even tried.
    expect(requeued.every(({ deferred }) => deferred === true)).toBe(true)
  })
})

describe('after the first byte', () => {
  const breaks: Record<string, Fault> = {
    'a reset': { kind: 'reset', phase: 'mid-body', chunks: 2 },
    'an early end': { kind: 'truncate', chunks: 2 },
    'a chunk that is none': { kind: 'malformed-chunk', chunks: 2 },
    'a crash': { kind: 'error-mid-stream', text: 'an error was encountered while running the model: boom', chunks: 2 },
  }
  for (const [name, fault] of Object.entries(breaks)) {
    for (const path of generationPaths) {
      test(`${name} is not tried again on ${path}, and its clients can see it`, async () => {
        await loaded()
        simulator.fault({ ...fault, times: 1, path })
        const { answer, seen, tries } = await call(path, { stream: true, prompt: '[[n=40]]' })
        expect({ seen, tries }).toEqual({ seen: 'error in the stream', tries: 1 })
        expect(answer.body.toString().match(/"error"\s*:\s*["{]/g)).toHaveLength(1)
      })
    }
  }

  test("the target's own last error line goes by as it is", async () => {
    const { answer, tries } = await call('/api/chat', { stream: true, prompt: '[[crash=2]]' })
    expect(answer.body.toString().split('\n').at(-2)).toBe(
      '{"error":"an error was encountered while running the model: error: fake crash mid stream"}',
    )
    expect(tries).toBe(1)
  })

  for (const path of generationPaths) {
    // On /api an error is a line of its own, so that a clean end without a final chunk is what Ollama means to say.
    const ends = path.startsWith('/api/') ? 'as Ollama ends it' : 'as an error, never a clean end'
    test(`an end without a final chunk reaches the client of ${path} ${ends}`, async () => {
      await loaded()
      const { seen, tries } = await call(path, { stream: true, prompt: '[[n=9]][[trunc=3]]' })
      expect({ seen, tries }).toEqual({ seen: path.startsWith('/api/') ? 'cut' : 'error in the stream', tries: 1 })
    })
  }

  test('thirty equal tokens, which Ollama takes for a loop, are the answer as far as it went', async () => {
    const { answer, tries } = await call('/api/chat', { stream: true, prompt: '[[same=40]]' })
    expect({ status: answer.status, ending: answer.ending, tries }).toEqual({
      status: 200,
      ending: 'complete',
      tries: 1,
    })
    const lines = answer.body.toString().trimEnd().split('\n')
    expect(lines.length).toBeGreaterThanOrEqual(29)
    expect(lines.every((line) => JSON.parse(line).done === false)).toBe(true)
  })
})

describe('what cannot get better is not tried again', () => {
  const faults: Record<string, { more: Record<string, unknown>; status: number; words: RegExp }> = {
    'a format that is none': { more: { format: 'nonsense' }, status: 500, words: /^invalid format: / },
    'an option of the wrong type': {
      more: { options: { num_ctx: 'many' } },
      status: 500,
      words: /^option "num_ctx" must be of type integer/,
    },
    'a capability that is missing': { more: { think: true }, status: 400, words: /does not support thinking$/ },
    'a keep_alive that is no duration': { more: { keep_alive: '-1' }, status: 400, words: /^time: missing unit/ },
  }
  for (const [name, { more, status, words }] of Object.entries(faults)) {
    for (const stream of [true, false]) {
      test(`${name} is answered as the target did, stream ${stream}`, async () => {
        const { answer, tries, requeued } = await call('/api/chat', { stream, more })
        expect({ status: answer.status, tries, requeued }).toEqual({ status, tries: 1, requeued: [] })
        expect(errorOf(answer)).toMatch(words)
      })
    }
  }
})

describe('when every attempt fails', () => {
  test("a crash before the first byte ends with the target's own 500", async () => {
    const { answer, tries } = await call('/api/chat', { stream: true, prompt: '[[crash0]]' })
    expect({ status: answer.status, tries }).toEqual({ status: 500, tries: 3 })
    expect(errorOf(answer)).toStartWith(CRASHED)
  })

  test("running out of memory ends with the target's own 500", async () => {
    const { answer, tries } = await call('/api/chat', { stream: false, prompt: '[[oom0]]' })
    expect({ status: answer.status, tries }).toEqual({ status: 500, tries: 3 })
    expect(errorOf(answer)).toContain('out of memory')
  })

  test("a model that cannot be loaded ends with the target's own words, in the API's own shape", async () => {
    const native = await call('/api/chat', { stream: true, model: 'badload' })
    expect({ status: native.answer.status, error: errorOf(native.answer) }).toEqual({
      status: 500,
      error: 'llama-server process has terminated: exit status 1: error loading model: fake',
    })
    const openai = await call('/v1/chat/completions', { stream: true, model: 'badload' })
    expect(openai.answer.status).toBe(500)
    expect(JSON.parse(openai.answer.body.toString())).toMatchObject({ error: { type: 'api_error', param: null } })
  })

  test('a whole answer with done:false and text is the answer, after one run', async () => {
    const { answer, tries } = await call('/api/chat', { stream: false, prompt: '[[n=9]][[trunc=3]]' })
    expect({ status: answer.status, tries }).toEqual({ status: 200, tries: 1 })
    const { done, done_reason, message } = JSON.parse(answer.body.toString())
    expect({ done, done_reason }).toEqual({ done: false, done_reason: undefined })
    expect(message.content).not.toBe('')
  })

  test('resets before the first byte are a bad gateway', async () => {
    simulator.fault({ kind: 'reset', phase: 'before-headers', path: '/api/chat' })
    const { answer, tries } = await call('/api/chat', { stream: true })
    expect({ status: answer.status, tries }).toEqual({ status: 502, tries: 3 })
  })

  for (const status of [429, 502, 503] as const) {
    test(`a ${status} that stays is asked again until the deadline and then handed on as it is`, async () => {
      simulator.fault({ kind: 'status', status, retryAfter: 6, text: `no: ${status}`, path: '/api/chat' })
      const { answer, tries, requeued } = await call('/api/chat', { stream: true })
      expect({ status: answer.status, error: errorOf(answer), retryAfter: headerOf(answer, 'retry-after') }).toEqual({
        status,
        error: `no: ${status}`,
        retryAfter: '6',
      })
      // At 0, 6, 12 and 18 s of a deadline of 20 s.
      expect(tries).toBe(4)
      const waits = requeued.map(({ retry_in_ms, deferred }) => [Math.round(Number(retry_in_ms) / 1_000), deferred])
      expect(waits).toEqual([
        [6, true],
        [6, true],
        [6, true],
      ])
    })
  }
})

describe('beside the queue', () => {
  const embedding = post('/api/embed', { model: 'embed', input: 'x' })

  test('an embedding waits for a target that is away, and is answered when it is back', async () => {
    simulator.fault({ kind: 'refuse' })
    const waiting = askOnce(foreman.port, embedding)
    simulator.fault({ kind: 'refuse' })
    const impatient = await askOnce(foreman.port, post('/api/copy', { source: 'tiny', destination: 'twin' }))
    expect({ status: impatient.status, retryAfter: headerOf(impatient, 'retry-after') }).toEqual({
      status: 503,
      retryAfter: '5',
    })
    simulator.fault(null)
    expect((await waiting).status).toBe(200)
  })

  test('a broken GET on a kept connection is asked again at once; a POST that may have worked is not', async () => {
    const path = '/api/experimental/model-recommendations'
    expect((await askOnce(foreman.port, get(path))).status).toBe(200)
    simulator.fault({ kind: 'reset', phase: 'before-headers', times: 1, path })
    expect((await askOnce(foreman.port, get(path))).status).toBe(200)
    simulator.fault({ kind: 'reset', phase: 'before-headers', times: 1, path: '/api/copy' })
    const copied = await askOnce(foreman.port, post('/api/copy', { source: 'tiny', destination: 'twin' }))
    expect(copied.status).toBe(502)
  })

  test('an embedding that breaks off in its body looks broken to its client', async () => {
    simulator.fault({ kind: 'truncate', chunks: 0, times: 1, path: '/api/embed' })
    const answer = await askOnce(foreman.port, embedding).catch((error: Error) => error.message)
    const isBroken = typeof answer === 'string' || answer.ending === 'rst' || answer.status === 502
    expect(isBroken).toBe(true)
  })
})
