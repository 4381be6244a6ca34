/** What one client may hold: an account counts what has arrived, an idle connection ends, and who is slow loses alone. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { bodyDefaults } from '../../src/config/memory.ts'
import { announcedBytes, createBodyReader } from '../../src/http/body.ts'
import { createEntrance } from '../../src/http/entrance.ts'
import type { Guard } from '../../src/http/guard.ts'
import { createFollowers, FOLLOWERS_MAX } from '../../src/http/jobs/followers.ts'
import { IDLE_TIMEOUT_S } from '../../src/http/timing.ts'
import { createVisitors } from '../../src/http/visitors.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { rawClient } from '../support/raw-client.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'
import { askOnce, headerOf } from '../support/wire-client.ts'

const MiB = 1024 ** 2
let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  foreman = await runForeman(simulator.url, { FOREMAN_MAX_BODY: '4MiB', FOREMAN_MAX_BODIES: '16MiB' })
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const show = (lines: readonly string[], body: string) =>
  askOnce(foreman.port, `POST /api/show HTTP/1.1\r\nHost: localhost\r\n${lines.join('\r\n')}\r\n\r\n${body}`)
const named = '{"model":"tiny"}'
const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`

describe('announced lengths', () => {
  const lengthOf = (text: string | null) =>
    announcedBytes(new Request('http://x/', text === null ? {} : { headers: { 'content-length': text } }))
  test('are one number, said once or more often; anything else is no announcement', () => {
    expect(['2', '2, 2', '2,2,2', '002'].map(lengthOf)).toEqual([2, 2, 2, 2])
    expect(['2, 3', '', '-1', '+2', '0x2', '2 2', '1e3', '9'.repeat(30), null].map(lengthOf)).toEqual(
      Array(9).fill(null),
    )
  })

  test('that are equal and twice are served, and everybody after them', async () => {
    const length = `Content-Length: ${named.length}`
    for (let i = 0; i < 3; i++) expect((await show([length, length], named)).status).toBe(200)
    expect((await show(['Transfer-Encoding: chunked'], chunked(named))).status).toBe(200)
    expect((await show([length], named)).status).toBe(200)
  })

  test('that never come true hold nothing: others are served beside them', async () => {
    const liars = await Promise.all(Array.from({ length: 40 }, () => rawClient(foreman.port)))
    for (const liar of liars)
      liar.send(`POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${4 * MiB}\r\n\r\n{`)
    const large = JSON.stringify({ model: 'tiny', stream: false, prompt: `${'x'.repeat(3 * MiB)}[[n=1]]` })
    const served = await askOnce(
      foreman.port,
      `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${large.length}\r\n\r\n${large}`,
    )
    expect(served.status).toBe(200)
    for (const liar of liars) liar.destroy()
  })
})

describe('bodies', () => {
  const reading = (pieces: readonly number[], bounds = { maxBodyBytes: 4 * MiB, maxBodiesBytes: 6 * MiB }) => {
    const clock = createVirtualClock()
    const reader = createBodyReader(bounds, clock)
    let push: (bytes: number) => void = () => {}
    let end: () => void = () => {}
    const stream = () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          push = (bytes) => controller.enqueue(new Uint8Array(bytes))
          end = () => controller.close()
          for (const bytes of pieces) push(bytes)
        },
      })
    const start = () => reader.read(new Request('http://x/', { method: 'POST', body: stream() }))
    return { clock, reader, start, push: (bytes: number) => push(bytes), end: () => end() }
  }

  test('count as they arrive, and are let go of', async () => {
    const { reader, start, push, end, clock } = reading([MiB])
    const outcome = start()
    await settled()
    expect(reader.heldBytes).toBe(MiB)
    push(MiB)
    end()
    await settled()
    await clock.advance(1_000)
    const body = await outcome
    expect(reader.heldBytes).toBe(2 * MiB)
    if (body.kind === 'body') body.release()
    expect(reader.heldBytes).toBe(0)
  })

  test('that are too large, or too many together, are refused and hold nothing', async () => {
    const { reader, start } = reading([2 * MiB, 2 * MiB, 1])
    expect(await start()).toMatchObject({ kind: 'failed', failure: { code: 'body_too_large' } })
    expect(reader.heldBytes).toBe(0)
    const crowd = reading([3 * MiB])
    const first = crowd.start()
    await settled()
    const [second, third] = [crowd.start(), crowd.start()]
    expect(await third).toMatchObject({ kind: 'failed', failure: { code: 'queue_full' } })
    expect(crowd.reader.heldBytes).toBe(6 * MiB)
    void first
    void second
  })

  test('that trickle are given up, and one that is slow but moves is not', async () => {
    const slow = reading([100])
    const trickling = slow.start()
    await settled()
    for (let second = 0; second < 30; second++) {
      slow.push(10)
      await slow.clock.advance(1_000)
    }
    expect(await trickling).toMatchObject({ kind: 'failed', failure: { code: 'body_too_slow' } })
    expect([slow.reader.heldBytes, slow.clock.pending]).toEqual([0, 0])
    const steady = reading([])
    const moving = steady.start()
    for (let second = 0; second < 300; second++) {
      steady.push(4_000)
      await steady.clock.advance(1_000)
    }
    steady.end()
    await settled()
    expect((await moving).kind).toBe('body')
  })

  test('may be as large as the memory allows: an eighth of it for all together', () => {
    expect(bodyDefaults(24 * 1024 * MiB)).toEqual({ each: String(128 * MiB), together: String(1024 * MiB) })
    expect(bodyDefaults(200 * MiB)).toEqual({ each: String(12.5 * MiB), together: String(25 * MiB) })
  })
})

describe('connections', () => {
  const guard: Guard = () => ({ kind: 'in', who: { kind: 'who', name: null }, path: '/x', dress: null })

  test('may idle out after every answer that is whole, whatever its status, and not while one streams', async () => {
    for (const [status, isStream] of [
      [200, false],
      [400, false],
      [404, false],
      [503, false],
      [200, true],
    ] as const) {
      const visitors = createVisitors()
      const seconds: number[] = []
      const route = async (request: Request) => {
        const { timing } = visitors.of(request)
        timing.untimed()
        if (isStream) timing.streaming()
        return new Response('x', { status })
      }
      const entrance = createEntrance({ guard, visitors, direct: () => null, route })
      await entrance(new Request('http://foreman.local/x'), { timeout: (_, s) => void seconds.push(s) })
      expect([status, isStream, seconds.at(-1)]).toEqual([status, isStream, isStream ? 0 : IDLE_TIMEOUT_S])
    }
  })

  test('live longer than the pools of the usual proxies', () => {
    expect(IDLE_TIMEOUT_S).toBeGreaterThanOrEqual(75)
    expect(IDLE_TIMEOUT_S).toBeLessThanOrEqual(255)
  })

  test('take 60 KB of headers and 197 of them; more is 431 and hurts nobody', async () => {
    const asked = async (lines: readonly string[]) => {
      const client = await rawClient(foreman.port)
      client.send(`GET /api/version HTTP/1.1\r\nHost: localhost\r\n${lines.join('\r\n')}\r\n\r\n`)
      const text = await within(
        5_000,
        'an answer',
        client.until((received) => received.includes('\r\n\r\n')),
      )
      client.destroy()
      return text.slice(9, 12)
    }
    expect(await asked([`Cookie: ${'x'.repeat(60_000)}`])).toBe('200')
    expect(await asked([`Cookie: ${'x'.repeat(70_000)}`])).toBe('431')
    expect(await asked(Array.from({ length: 190 }, (_, i) => `X-${i}: y`))).toBe('200')
    expect(await asked(Array.from({ length: 250 }, (_, i) => `X-${i}: y`))).toBe('431')
    expect((await show([`Content-Length: ${named.length}`], named)).status).toBe(200)
  })
})

describe('followers', () => {
  test('are at most so many, and one who leaves makes room', () => {
    const followers = createFollowers()
    const all = Array.from({ length: FOLLOWERS_MAX }, () => followers.join())
    expect(all.every((one) => one !== null)).toBe(true)
    expect(followers.join()).toBeNull()
    all[0]?.leave()
    all[0]?.leave()
    expect(followers.count).toBe(FOLLOWERS_MAX - 1)
    expect(followers.join()).not.toBeNull()
  })

  test('share what may wait: alone a mebibyte, all of them 128 KiB each', () => {
    const followers = createFollowers()
    const first = followers.join()!
    first.now(MiB - 1)
    expect(first.isSlow()).toBe(false)
    first.now(MiB)
    expect([first.isSlow(), first.isLost()]).toEqual([true, false])
    const others = Array.from({ length: FOLLOWERS_MAX - 1 }, () => followers.join()!)
    for (const other of others) other.now(132_000)
    expect([others[0]?.isSlow(), others[0]?.isLost()]).toEqual([true, true])
    for (const other of others) other.leave()
    expect([followers.pendingBytes, first.isLost()]).toEqual([MiB, false])
  })
})

describe('queries of /jobs', () => {
  const ask = (path: string) => askOnce(foreman.port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  test('that nobody knows are refused with the word that was meant', async () => {
    const refused = await ask('/jobs?sate=queued')
    expect([refused.status, headerOf(refused, 'content-type')]).toEqual([422, 'application/problem+json'])
    expect(refused.body.toString()).toContain('query sate is not known: did you mean state?')
    expect((await ask('/jobs?xyzzy=1')).body.toString()).toContain('expected state, model, kind, limit, after')
    expect((await ask('/jobs/x?wiat=5')).body.toString()).toContain('did you mean wait?')
    expect((await ask('/jobs?state=queued&limit=5')).status).toBe(200)
  })
  test('that are given twice are refused: nobody can say which one was meant', async () => {
    for (const query of ['state=queued&state=done', 'state=done&limit=5&state=done', 'limit=1&l%69mit=2']) {
      const refused = await ask(`/jobs?${query}`)
      expect([query, refused.status]).toEqual([query, 422])
      expect(refused.body.toString()).toMatch(/"query (state|limit) is given more than once: give it once"/)
    }
    expect((await ask('/jobs/x?wait=1&wait=2')).status).toBe(422)
  })
})
