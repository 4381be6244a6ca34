/** Proves that giving up closes the socket at once in every phase, because only a closed socket stops Ollama. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { createCount } from '../support/wire-count.ts'
import { answerWith, CHUNKED_HEAD, chunkOf, type ScriptedTarget, startScriptedTarget } from './scripted-target.ts'
import { answered, createProbe, get, post, textOf } from './target-probe.ts'

const AT_ONCE_MS = 50
const probe = createProbe()
let target: ScriptedTarget

beforeEach(() => {
  target = startScriptedTarget((socket, request) => {
    if (request.text.includes('/stream')) socket.write(`${CHUNKED_HEAD}${chunkOf('first\n')}`)
    if (request.text.includes('/whole')) socket.write(answerWith('whole'))
  })
})

afterEach(() => {
  probe.expectNoLeaks()
  target.stop()
})

/** Milliseconds until the target has seen the connection reset. */
const untilReset = async (since: number): Promise<number> => {
  await target.closed.reached(1)
  expect(target.connections[0]?.ended).toBe('reset')
  return performance.now() - since
}

describe('a signal', () => {
  test('that has already fired sends nothing', async () => {
    const reply = await probe.client({ url: target.url }).send(get(), { reuse: true, signal: AbortSignal.abort() })
    expect(reply).toEqual({ kind: 'aborted' })
    expect(target.opened.value).toBe(0)
  })

  test('while connecting gives up at once, and the connection is closed as it opens', async () => {
    const client = probe.client({ url: target.url })
    const abort = new AbortController()
    const reply = client.send(get(), { reuse: true, signal: abort.signal })
    expect(client.openSockets()).toBe(1)
    abort.abort()
    expect(await reply).toEqual({ kind: 'aborted' })
    await target.closed.reached(1)
    expect(target.requests).toEqual([])
    expect(client.openSockets()).toBe(0)
  })

  test('before the head closes the socket within 50 ms', async () => {
    const abort = new AbortController()
    const client = probe.client({ url: target.url })
    const reply = client.send(post(Buffer.from('{}')), { reuse: true, signal: abort.signal })
    await target.asked.reached(1)
    const since = performance.now()
    abort.abort(new Error('the reason is the caller’s own'))
    expect(client.openSockets()).toBe(0)
    expect(await reply).toEqual({ kind: 'aborted' })
    expect(await untilReset(since)).toBeLessThan(AT_ONCE_MS)
  })

  test('in the middle of a body ends the pending read and closes the socket within 50 ms', async () => {
    const abort = new AbortController()
    const client = probe.client({ url: target.url })
    const reply = answered(await client.send(get('/stream'), { reuse: true, signal: abort.signal }))
    await reply.body.read()
    const pending = reply.body.read()
    const since = performance.now()
    abort.abort()
    expect(client.openSockets()).toBe(0)
    expect(await pending).toEqual({ kind: 'aborted' })
    expect(await reply.body.read()).toEqual({ kind: 'aborted' })
    expect(await untilReset(since)).toBeLessThan(AT_ONCE_MS)
  })

  test('while a large body goes up closes the socket and lets the caller’s stream go', async () => {
    const abort = new AbortController()
    let cancelled = false
    const pulled = createCount()
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        controller.enqueue(new Uint8Array(65_536))
        pulled.add()
      },
      cancel: () => {
        cancelled = true
      },
    })
    target.stop()
    target = startScriptedTarget(undefined, (socket) => socket.pause())
    const client = probe.client({ url: target.url })
    const reply = client.send(post(endless), { reuse: true, signal: abort.signal })
    await pulled.reached(5)
    abort.abort()
    expect(await reply).toEqual({ kind: 'aborted' })
    await target.closed.reached(1)
    expect(cancelled).toBe(true)
  })

  test('after a whole answer changes nothing', async () => {
    const abort = new AbortController()
    const client = probe.client({ url: target.url })
    const reply = answered(await client.send(get('/whole'), { reuse: true, signal: abort.signal }))
    abort.abort()
    expect(textOf(reply.body.complete)).toBe('whole')
    expect(client.idleSockets()).toBe(1)
    expect(target.closed.value).toBe(0)
  })

  test('is not listened to any longer than needed', async () => {
    const signal = new CountingSignal()
    const client = probe.client({ url: target.url })
    await client.send(get('/whole'), { reuse: true, signal })
    const reply = answered(await client.send(get('/stream'), { reuse: true, signal }))
    expect(signal.listeners).toBe(1)
    reply.body.cancel()
    expect(signal.listeners).toBe(0)
  })
})

describe('cancelling a body', () => {
  test('closes the socket within 50 ms and ends a pending read', async () => {
    const client = probe.client({ url: target.url })
    const reply = answered(await client.send(get('/stream'), { reuse: true }))
    await reply.body.read()
    const pending = reply.body.read()
    const since = performance.now()
    reply.body.cancel()
    reply.body.cancel()
    expect(await pending).toEqual({ kind: 'aborted' })
    expect(await untilReset(since)).toBeLessThan(AT_ONCE_MS)
  })

  test('drops what had arrived and was not read', async () => {
    const reply = answered(await probe.client({ url: target.url }).send(get('/stream'), { reuse: true }))
    reply.body.cancel()
    expect(await reply.body.read()).toEqual({ kind: 'aborted' })
    await target.closed.reached(1)
  })

  test('after a whole answer keeps the socket and the bytes', async () => {
    const client = probe.client({ url: target.url })
    const reply = answered(await client.send(get('/whole'), { reuse: true }))
    reply.body.cancel()
    expect(textOf(reply.body.complete)).toBe('whole')
    expect(client.idleSockets()).toBe(1)
  })
})

test('closing the client ends everything under way as aborted', async () => {
  const client = probe.client({ url: target.url })
  await client.send(get('/whole'), { reuse: true })
  const waiting = client.send(get('/silent'), { reuse: false })
  const streaming = answered(await client.send(get('/stream'), { reuse: true }))
  await target.asked.reached(3)
  const connecting = client.send(get('/never'), { reuse: false })
  client.close()
  expect(await waiting).toEqual({ kind: 'aborted' })
  expect(await connecting).toEqual({ kind: 'aborted' })
  expect(await streaming.body.read()).toEqual({ kind: 'aborted' })
  expect(await client.send(get(), { reuse: true })).toEqual({ kind: 'aborted' })
  await target.closed.reached(2)
  await target.opened.reached(3)
  await target.closed.reached(3)
  expect(client.openSockets()).toBe(0)
})

test('500 disconnects at random moments leave no socket behind', async () => {
  const client = probe.client({ url: target.url })
  const seed = Math.floor(Math.random() * 2 ** 31)
  for (let round = 0; round < 500; round++) {
    const abort = new AbortController()
    const sent = client.send(get('/stream'), { reuse: round % 2 === 0, signal: abort.signal })
    const turns = (Math.imul(seed + round, 2_654_435_761) >>> 16) % 6
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
    abort.abort()
    const reply = await sent
    const end = reply.kind === 'answered' ? await reply.body.read() : reply
    expect({ seed, round, kind: end.kind }).toEqual({ seed, round, kind: 'aborted' })
  }
  // The last connect may have been given up before the target even took it.
  while (client.openSockets() > 0) await new Promise((resolve) => setImmediate(resolve))
  await target.closed.reached(target.opened.value)
})

/** An AbortSignal that counts its listeners. */
class CountingSignal extends EventTarget implements AbortSignal {
  readonly aborted = false
  readonly reason = undefined
  onabort = null
  listeners = 0
  throwIfAborted(): void {
    if (this.aborted) throw new Error('aborted')
  }
  override addEventListener(...args: Parameters<EventTarget['addEventListener']>): void {
    this.listeners++
    super.addEventListener(...args)
  }
  override removeEventListener(...args: Parameters<EventTarget['removeEventListener']>): void {
    this.listeners--
    super.removeEventListener(...args)
  }
}
