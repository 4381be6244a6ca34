/** Proves which sockets are used again, for how long, and that a stale one is told from a broken target. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import type { Clock } from '../../src/domain/clock.ts'
import { createTargetClient, type TargetClient } from '../../src/ollama/client.ts'
import { startFaultyWire } from '../support/faulty-wire.ts'
import { answerWith, CHUNKED_HEAD, chunkOf, type ScriptedTarget, startScriptedTarget } from './scripted-target.ts'
import { answered, get, readAll } from './target-probe.ts'

/** Time stands still until the test moves it. */
const createHandClock = (): Clock & { advance(byMs: number): void; pending(): number } => {
  let nowMs = 0
  let timers: { dueMs: number; run: () => void }[] = []
  return {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    after: (delayMs, run) => {
      const timer = { dueMs: nowMs + delayMs, run }
      timers.push(timer)
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
    advance: (byMs) => {
      nowMs += byMs
      const due = timers.filter((timer) => timer.dueMs <= nowMs)
      timers = timers.filter((timer) => timer.dueMs > nowMs)
      for (const timer of due) timer.run()
    },
    pending: () => timers.length,
  }
}

let target: ScriptedTarget
let client: TargetClient
let clock: ReturnType<typeof createHandClock>

const start = (...handlers: Parameters<typeof startScriptedTarget>): void => {
  target = startScriptedTarget(...handlers)
  clock = createHandClock()
  client = createTargetClient({ url: target.url, clock })
}

beforeEach(() => start((socket) => void socket.write(answerWith('ok'))))

afterEach(() => {
  client.close()
  expect(client.openSockets()).toBe(0)
  expect(clock.pending()).toBe(0)
  target.stop()
})

const reusedOf = async (reuse = true): Promise<boolean> => answered(await client.send(get(), { reuse })).reused

describe('a socket is used again', () => {
  test('after a complete answer', async () => {
    expect([await reusedOf(), await reusedOf(), await reusedOf()]).toEqual([false, true, true])
    expect(target.opened.value).toBe(1)
  })

  test('after a chunked answer that has arrived, even before it is read', async () => {
    target.stop()
    start((socket) => void socket.write(`${CHUNKED_HEAD}${chunkOf('a')}${chunkOf('b')}0\r\n\r\n`))
    const first = answered(await client.send(get(), { reuse: true }))
    expect(client.idleSockets()).toBe(1)
    expect(await reusedOf()).toBe(true)
    expect((await readAll(first)).chunks).toEqual(['ab'])
  })

  test('after an answer so large that the socket was paused when it ended', async () => {
    target.stop()
    start((socket) => void socket.write(`${CHUNKED_HEAD}${chunkOf('x').repeat(9000)}0\r\n\r\n`))
    const first = answered(await client.send(get(), { reuse: true }))
    const second = answered(await client.send(get(), { reuse: true }))
    expect([(await readAll(first)).bytes.length, (await readAll(second)).bytes.length]).toEqual([9000, 9000])
    expect(target.opened.value).toBe(1)
  })

  test('for one second of idleness, not longer', async () => {
    await reusedOf()
    clock.advance(1000)
    await reusedOf()
    expect(target.opened.value).toBe(2)
    clock.advance(999)
    expect(await reusedOf()).toBe(true)
    expect(client.openSockets()).toBe(1)
  })

  test('and swept when nobody comes back for it', async () => {
    await reusedOf()
    expect(client.idleSockets()).toBe(1)
    clock.advance(1000)
    await target.closed.reached(1)
    expect([client.idleSockets(), client.openSockets(), clock.pending()]).toEqual([0, 0, 0])
  })
})

describe('a socket is not used again', () => {
  test('when the caller wants a fresh one: it says close and is not pooled', async () => {
    await reusedOf()
    expect(await reusedOf(false)).toBe(false)
    expect(target.requests.map((request) => request.text.includes('Connection: close'))).toEqual([false, true])
    expect([client.idleSockets(), client.openSockets()]).toEqual([1, 1])
  })

  test.each([
    ['the target says close', answerWith('ok', 'Connection: close\r\n')],
    ['the target speaks HTTP/1.0', answerWith('ok').replace('HTTP/1.1', 'HTTP/1.0')],
    ['there are bytes after the answer', `${answerWith('ok')}HTTP/1.1`],
    ['length and chunks are mixed', `${CHUNKED_HEAD.trimEnd()}\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
  ])('when %s', async (_why, bytes) => {
    target.stop()
    start((socket) => void socket.write(bytes))
    await reusedOf()
    expect(client.openSockets()).toBe(0)
  })

  test('when the target closed it meanwhile', async () => {
    await reusedOf()
    target.connections[0]?.socket.end()
    while (client.openSockets() > 0) await new Promise((resolve) => setImmediate(resolve))
    expect(client.idleSockets()).toBe(0)
    expect(await reusedOf()).toBe(false)
  })

  test('when bytes nobody asked for came meanwhile', async () => {
    await reusedOf()
    target.connections[0]?.socket.write(answerWith('poison'))
    while (client.openSockets() > 0) await new Promise((resolve) => setImmediate(resolve))
    expect(await reusedOf()).toBe(false)
  })

  test('beyond 64 idle ones', async () => {
    target.stop()
    start((_socket, { number }) => {
      if (number === 80) for (const connection of target.connections) connection.socket.write(answerWith('ok'))
    })
    await Promise.all(Array.from({ length: 80 }, () => client.send(get(), { reuse: true })))
    expect([client.idleSockets(), client.openSockets()]).toEqual([64, 64])
  })
})

test('400 requests at once are all sent at once: nothing queues silently', async () => {
  target.stop()
  start((_socket, { number }) => {
    if (number === 400) for (const connection of target.connections) connection.socket.write(answerWith('ok'))
  })
  const replies = await Promise.all(Array.from({ length: 400 }, () => client.send(get(), { reuse: true })))
  expect(replies.every((reply) => reply.kind === 'answered')).toBe(true)
})

test.each(['close', 'reset'] as const)(
  'a kept socket that dies (%s) under its next request is told as reused',
  async (kind) => {
    const wire = startFaultyWire({ upstreamPort: target.port })
    client.close()
    client = createTargetClient({ url: wire.url, clock })
    await reusedOf()
    wire.set({ kind, at: 'connect' })
    expect(await client.send(get(), { reuse: true })).toMatchObject({ kind: 'broken', reused: true })
    wire.set({ kind: 'none' })
    expect(await reusedOf()).toBe(false)
    wire.stop()
  },
)

test('a whole timeout counts from the connection to the last byte, and ends with it', async () => {
  target.stop()
  start((socket) => void socket.write(`${CHUNKED_HEAD}${chunkOf('a')}`))
  const reply = answered(await client.send(get(), { reuse: true, wholeTimeoutMs: 100 }))
  clock.advance(99)
  const next = reply.body.read()
  expect((await next).kind).toBe('chunk')
  clock.advance(1)
  const message = 'no whole answer within 100 ms'
  expect(await reply.body.read()).toEqual({ kind: 'broken', code: 'timeout', message })
  expect([client.openSockets(), clock.pending()]).toEqual([0, 0])
})

test('connecting is given up after its timeout, 5 s unless told otherwise', async () => {
  const pending = client.send(get(), { reuse: false, connectTimeoutMs: 70 })
  const other = client.send(get(), { reuse: false })
  clock.advance(70)
  expect(await pending).toEqual({ kind: 'unreached', code: 'connect-timeout', message: 'no connection within 70 ms' })
  clock.advance(4930)
  expect(await other).toEqual({ kind: 'unreached', code: 'connect-timeout', message: 'no connection within 5000 ms' })
  await target.closed.reached(2)
  expect(client.openSockets()).toBe(0)
})
