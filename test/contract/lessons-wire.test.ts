/** The lessons that others paid for, as far as they can be seen on the wire; each is one named test. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { generation, seenBy } from '../support/generation-call.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { idle, polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { startVerbatimTarget } from '../support/verbatim-target.ts'
import { askOnce, headerOf, openClient } from '../support/wire-client.ts'

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({
    models: [{ name: 'tiny' }, { name: 'thinker', capabilities: ['completion', 'thinking'] }],
  })
  foreman = await runForeman(simulator.url, { FOREMAN_UNREACHABLE_DEADLINE: '4s' }, { clock: createHastyClock(20) })
  await polled(foreman)
})
afterEach(() => simulator.fault(null))
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const chunk = (text: string) => Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
const STREAM = 'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n'
const WHOLE = '{"model":"tiny","done":true}'
const ANSWER = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${WHOLE.length}\r\n\r\n${WHOLE}`

/** A foreman before a target that answers every call in the same way; gives what the target received of one call. */
const receivedOf = async (requests: readonly string[], env: Record<string, string> = {}) => {
  const target = startVerbatimTarget(() => ({ pieces: [Buffer.from(ANSWER)], close: false }))
  const own = await runForeman(target.url, { FOREMAN_POLL_INTERVAL: '1h', ...env })
  try {
    await polled(own)
    const bodies: string[] = []
    for (const request of requests) {
      expect((await askOnce(own.port, request)).status).toBe(200)
      bodies.push(target.received.get('lesson')?.body.toString() ?? '')
    }
    return {
      bodies,
      headers: target.received.get('lesson')?.headers ?? [],
      target: target.received.get('lesson')?.target,
    }
  } finally {
    await own.stop()
    target.stop()
  }
}

const named = ['X-Case: lesson']

describe('lessons', () => {
  test('1: a line of 8 MB goes by in pieces, and its first bytes before its last', async () => {
    const line = `${JSON.stringify({ model: 'tiny', message: { role: 'assistant', content: '漢😀'.repeat(1_200_000) }, done: false })}\n`
    const bytes = Buffer.from(line)
    expect(bytes.length).toBeGreaterThan(8_000_000)
    // Cut in the middle of characters, each piece a chunk of its own.
    const pieces: Buffer[] = [Buffer.from(STREAM)]
    for (let at = 0; at < bytes.length; at += 100_001) {
      const piece = bytes.subarray(at, at + 100_001)
      pieces.push(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]))
    }
    const last = '{"model":"tiny","done":true}\n'
    pieces.push(chunk(last), Buffer.from('0\r\n\r\n'))
    const target = startVerbatimTarget(() => ({ pieces, close: false }))
    const own = await runForeman(target.url, { FOREMAN_POLL_INTERVAL: '1h' })
    try {
      await polled(own)
      const answer = await askOnce(own.port, generation('/api/chat', { stream: true }, named))
      expect(answer.ending).toBe('complete')
      expect(answer.body.equals(Buffer.concat([bytes, Buffer.from(last)]))).toBe(true)
      expect(answer.readsMs.length).toBeGreaterThan(10)
    } finally {
      await own.stop()
      target.stop()
    }
  })

  test('3: keep_alive reaches the target as the number -1 where the caller gave none, and nothing else changes', async () => {
    const asked = (body: string) => post('/api/chat', body, named)
    const { bodies } = await receivedOf([
      asked('{"model":"tiny", "messages":[]}'),
      asked('{"model":"tiny","keep_alive":null}'),
      asked('{"model":"tiny","keep_alive":"5m"}'),
      asked('{"model":"tiny","keep_alive":0,"messages":[{}]}'),
      post('/v1/chat/completions', '{"model":"tiny","messages":[{"role":"user","content":"x"}]}', named),
      post('/api/embed', '{"model":"embed"}', named),
    ])
    expect(bodies).toEqual([
      '{"model":"tiny", "messages":[],"keep_alive":-1}',
      '{"model":"tiny","keep_alive":null,"keep_alive":-1}',
      '{"model":"tiny","keep_alive":"5m"}',
      '{"model":"tiny","keep_alive":0,"messages":[{}]}',
      '{"model":"tiny","messages":[{"role":"user","content":"x"}]}',
      '{"model":"embed"}',
    ])
  })

  test('3: a policy per model is followed, as a number or a duration, and can be left to Ollama', async () => {
    const { bodies } = await receivedOf(
      [
        post('/api/generate', '{"model":"tiny","prompt":"x"}', named),
        post('/api/generate', '{"model":"embed","prompt":"x"}', named),
      ],
      { FOREMAN_KEEP_ALIVE: 'TINY:latest=300' },
    )
    expect(bodies).toEqual(['{"model":"tiny","prompt":"x","keep_alive":300}', '{"model":"embed","prompt":"x"}'])
  })

  test('6: a target that is down is a 503 with Retry-After, which clients retry, and not a 500', async () => {
    simulator.fault({ kind: 'refuse' })
    const answer = await askOnce(foreman.port, generation('/api/chat', { stream: true }))
    expect([answer.status, headerOf(answer, 'retry-after')]).toEqual([503, '5'])
  })

  test('10: clients that hang up before the first byte harm nobody who comes after', async () => {
    for (let i = 0; i < 12; i++) {
      const client = await openClient(foreman.port)
      const { open } = simulator.counters()
      client.send(generation('/api/chat', { stream: true, prompt: '[[silent=60000]]' }))
      await simulator.waitFor((counters) => counters.open > open)
      client.drop()
      await simulator.waitFor((counters) => counters.open === 0)
    }
    await idle(foreman)
    const startedAt = performance.now()
    expect(seenBy('/api/chat', true, await askOnce(foreman.port, generation('/api/chat', { stream: true })))).toBe(
      'done',
    )
    expect(performance.now() - startedAt).toBeLessThan(500)
  })

  test('12: GET / answers, and the list of models does not wait behind a chat', async () => {
    const client = await openClient(foreman.port)
    client.send(generation('/api/chat', { stream: true, prompt: '[[silent=60000]]' }))
    await simulator.waitFor(({ open }) => open === 1)
    const startedAt = performance.now()
    expect((await askOnce(foreman.port, get('/'))).body.toString()).toBe('Ollama is running')
    expect((await askOnce(foreman.port, get('/api/tags'))).status).toBe(200)
    expect(performance.now() - startedAt).toBeLessThan(100)
    client.drop()
    await idle(foreman)
  })

  test('13: a model is found under every spelling that Ollama finds', async () => {
    for (const model of ['tiny', 'tiny:latest', 'TINY', 'library/tiny:latest'])
      expect((await askOnce(foreman.port, generation('/api/chat', { stream: false, model }))).status).toBe(200)
  })

  test('14: HEAD / is a 200, waiting sends no blank lines, and errors before a stream keep their status', async () => {
    expect((await askOnce(foreman.port, 'HEAD / HTTP/1.1\r\nHost: x.local\r\n\r\n')).status).toBe(200)
    const silent = await askOnce(
      foreman.port,
      generation('/api/chat', { stream: true, prompt: '[[silent=300]][[n=3]]' }),
    )
    expect(
      silent.body
        .toString()
        .split('\n')
        .slice(0, -1)
        .every((line) => line !== ''),
    ).toBe(true)
    const bad = await askOnce(foreman.port, generation('/api/chat', { stream: true, prompt: '[[err=418]]' }))
    expect(bad.status).toBe(418)
  })

  test('15: an unknown model is a 404, and a missing `stream` is what Ollama takes it for', async () => {
    expect((await askOnce(foreman.port, generation('/api/chat', { stream: true, model: 'nope' }))).status).toBe(404)
    const native = await askOnce(
      foreman.port,
      post('/api/chat', { model: 'tiny', messages: [{ role: 'user', content: '[[n=3]]' }] }),
    )
    expect(headerOf(native, 'content-type')).toBe('application/x-ndjson')
    const openai = await askOnce(
      foreman.port,
      post('/v1/chat/completions', { model: 'tiny', messages: [{ role: 'user', content: '[[n=3]]' }] }),
    )
    expect(headerOf(openai, 'content-type')).toBe('application/json')
  })

  test('16: query strings travel, and so does User-Agent; an Origin is judged here, where the name is known that was called', async () => {
    const request = post('/api/chat?ts=1&x=%20y', '{"model":"tiny"}', [
      ...named,
      'Origin: http://localhost',
      'User-Agent: ollama/1',
    ])
    const { target, headers } = await receivedOf([request])
    expect(target).toBe('/api/chat?ts=1&x=%20y')
    const seen = Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]))
    expect(seen).toMatchObject({ 'user-agent': 'ollama/1' })
    expect(seen['origin']).toBeUndefined()
  })

  test('17: fields newer than foreman reach the target', async () => {
    const body = '{"model":"tiny","think":"high","logprobs":true,"not_invented_yet":{"a":[1]},"keep_alive":5}'
    expect((await receivedOf([post('/api/chat', body, named)])).bodies).toEqual([body])
  })
})
