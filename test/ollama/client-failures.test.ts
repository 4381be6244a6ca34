/** Proves that every way a target can fail has its own value, and that none of them throws, hangs or leaks. */
import { afterEach, describe, expect, test } from 'bun:test'
import { type FaultyWire, startFaultyWire, type WireFault, type WirePhase } from '../support/faulty-wire.ts'
import { answerWith, CHUNKED_HEAD, chunkOf, type ScriptedTarget, startScriptedTarget } from './scripted-target.ts'
import { answered, createProbe, get, post, readAll, textOf } from './target-probe.ts'

const probe = createProbe()
const targets: ScriptedTarget[] = []
const wires: FaultyWire[] = []

afterEach(() => {
  probe.expectNoLeaks()
  for (const target of targets.splice(0)) target.stop()
  for (const wire of wires.splice(0)) wire.stop()
})

const scripted = (...handlers: Parameters<typeof startScriptedTarget>): ScriptedTarget => {
  const target = startScriptedTarget(...handlers)
  targets.push(target)
  return target
}

const wired = (fault: WireFault, wireAnswer: string) => {
  const target = scripted((socket) => void socket.write(wireAnswer))
  const wire = startFaultyWire({ upstreamPort: target.port, fault })
  wires.push(wire)
  return { target, wire, client: probe.client({ url: wire.url }) }
}

const STREAM = `${CHUNKED_HEAD}${chunkOf('{"n":1}\n')}${chunkOf('{"n":2}\n')}0\r\n\r\n`
const STREAM_HEAD_AND_FIRST = CHUNKED_HEAD.length + chunkOf('{"n":1}\n').length

describe('the target never got the request', () => {
  test('nobody listens: refused, with the system’s words kept', async () => {
    const { client } = wired({ kind: 'refuse' }, STREAM)
    const reply = await client.send(get(), { reuse: true })
    expect(reply).toEqual({ kind: 'unreached', code: 'refused', message: 'ECONNREFUSED: Failed to connect' })
  })

  test('nobody listens on IPv6 either: refused', async () => {
    const reply = await probe.client({ url: 'http://[::1]:1' }).send(get(), { reuse: false })
    expect(reply).toMatchObject({ kind: 'unreached', code: 'refused' })
  })

  test('the name is unknown: dns', async () => {
    const reply = await probe.client({ url: 'http://no-such-host.invalid' }).send(get(), { reuse: true })
    expect(reply).toMatchObject({
      kind: 'unreached',
      code: 'dns',
      message: expect.stringContaining('no-such-host.invalid'),
    })
  })

  test('a header that cannot be sent is not sent', async () => {
    const target = scripted()
    const reply = await probe
      .client({ url: target.url })
      .send({ ...get(), headers: [['X', 'a\r\nb']] }, { reuse: true })
    expect(reply).toMatchObject({ kind: 'unreached', code: 'unsendable' })
    expect(target.opened.value).toBe(0)
  })

  test('a body stream is left untouched, so that the caller can try again with it', async () => {
    const { client, wire } = wired({ kind: 'refuse' }, answerWith('ok'))
    const body = new Blob(['payload']).stream()
    expect(await client.send(post(body), { reuse: true })).toMatchObject({ kind: 'unreached' })
    wire.set({ kind: 'none' })
    expect(answered(await client.send(post(body), { reuse: true })).status).toBe(200)
  })
})

describe('connected, but no whole head came back', () => {
  // A reset that is there before the first write may be told as a plain close by the system; both are `broken`.
  const before: [WireFault, string][] = [
    [{ kind: 'close', at: 'connect' }, 'closed'],
    [{ kind: 'close', at: 'headers' }, 'closed'],
    [{ kind: 'reset', at: 'connect' }, 'reset or closed'],
    [{ kind: 'reset', at: 'headers' }, 'reset'],
    [{ kind: 'garbage', at: 'connect' }, 'malformed'],
    [{ kind: 'garbage', at: 'headers' }, 'malformed'],
    [{ kind: 'truncate', afterBytes: 20 }, 'closed'],
    [{ kind: 'blackhole' }, 'timeout'],
    [{ kind: 'half-open', at: 'connect' }, 'timeout'],
    [{ kind: 'half-open', at: 'headers' }, 'timeout'],
  ]

  test.each(before)('%j is broken: %s', async (fault, code) => {
    const { client } = wired(fault, STREAM)
    const reply = await client.send(post(Buffer.from('{}')), {
      reuse: true,
      wholeTimeoutMs: code === 'timeout' ? 20 : undefined,
    })
    expect(reply).toMatchObject({ kind: 'broken', reused: false })
    expect(reply.kind === 'broken' && code.split(' or ').includes(reply.code)).toBe(true)
    expect(client.openSockets()).toBe(0)
  })

  test('a TLS server behind an http URL is malformed or closed, not a hang', async () => {
    const target = scripted((socket) => void socket.end('\x15\x03\x01\x00\x02\x02\x46'))
    expect(await probe.client({ url: target.url }).send(get(), { reuse: true })).toMatchObject({
      kind: 'broken',
      code: 'malformed',
    })
  })

  test('without a timeout silence is not a fault', async () => {
    const target = scripted()
    const clock = { waited: 0 }
    const client = probe.client({ url: target.url })
    const reply = client.send(get(), { reuse: true })
    await target.asked.reached(1)
    while (clock.waited < 50) await new Promise<void>((resolve) => setImmediate(() => resolve(void clock.waited++)))
    target.connections[0]?.socket.write(answerWith('late'))
    expect(textOf(answered(await reply).body.complete)).toBe('late')
  })
})

describe('the body broke off', () => {
  const after: [WireFault, string][] = [
    [{ kind: 'close', at: 'body', bodyBytes: chunkOf('{"n":1}\n').length }, 'closed'],
    [{ kind: 'close', at: 'body', bodyBytes: chunkOf('{"n":1}\n').length + 4 }, 'closed'],
    [{ kind: 'reset', at: 'body', bodyBytes: chunkOf('{"n":1}\n').length }, 'reset'],
    [{ kind: 'garbage', at: 'body', bodyBytes: chunkOf('{"n":1}\n').length }, 'malformed'],
    [{ kind: 'truncate', afterBytes: STREAM_HEAD_AND_FIRST + 3 }, 'closed'],
    [{ kind: 'truncate', afterBytes: STREAM.length - 2 }, 'closed'],
  ]

  test.each(after)('%j: what was whole is delivered, then broken: %s', async (fault, code) => {
    const { client } = wired(fault, STREAM)
    const reply = answered(await client.send(get(), { reuse: true }))
    const { bytes, last } = await readAll(reply)
    expect(textOf(bytes)).toMatch(/^\{"n":1\}\n(\{"n":2\}\n)?$/)
    expect(last).toMatchObject({ kind: 'broken', code })
    expect(await reply.body.read()).toEqual(last)
    expect(client.openSockets()).toBe(0)
  })

  test.each(['close', 'reset'] as const)('%s inside a body with a length is detected', async (kind) => {
    const { client } = wired({ kind, at: 'body', bodyBytes: 3 }, answerWith('hello'))
    const { bytes, last } = await readAll(answered(await client.send(get(), { reuse: true })))
    expect(textOf(bytes)).toBe('hel')
    expect(last).toMatchObject({ kind: 'broken', code: kind === 'close' ? 'closed' : 'reset' })
  })

  test('a reset of a body without framing is not taken for its end', async () => {
    const { client } = wired({ kind: 'reset', at: 'body', bodyBytes: 3 }, 'HTTP/1.1 200 OK\r\n\r\nhello')
    const { last } = await readAll(answered(await client.send(get(), { reuse: true })))
    expect(last).toMatchObject({ kind: 'broken', code: 'reset' })
  })

  test('a chunk that never became whole is not delivered: half a line helps nobody', async () => {
    const { client } = wired({ kind: 'truncate', afterBytes: STREAM_HEAD_AND_FIRST + 6 }, STREAM)
    const { chunks } = await readAll(answered(await client.send(get(), { reuse: true })))
    expect(chunks).toEqual(['{"n":1}\n'])
  })
})

test('eight faults in three phases, twenty times each: none hangs, throws or leaks', async () => {
  const phases: WirePhase[] = ['connect', 'headers', 'body']
  const faults = (at: WirePhase): WireFault[] => [
    { kind: 'refuse' },
    { kind: 'half-open', at },
    { kind: 'reset', at },
    { kind: 'close', at },
    { kind: 'truncate', afterBytes: { connect: 1, headers: 20, body: STREAM_HEAD_AND_FIRST }[at] },
    { kind: 'slice', maxBytes: 7 },
    { kind: 'latency', delayMs: 1 },
    { kind: 'garbage', at },
  ]
  const { wire, client } = wired({ kind: 'none' }, STREAM)
  for (const at of phases) {
    for (const fault of faults(at)) {
      wire.set(fault)
      const whole = fault.kind === 'slice' || fault.kind === 'latency'
      for (let round = 0; round < 20; round++) {
        const signal = fault.kind === 'half-open' ? AbortSignal.timeout(5) : undefined
        const reply = await client.send(get(), { reuse: round % 2 === 0 && !whole, signal })
        const end = reply.kind === 'answered' ? (await readAll(reply)).last.kind : reply.kind
        expect([fault, at, whole === (end === 'end')]).toEqual([fault, at, true])
      }
    }
  }
  expect(client.openSockets()).toBe(client.idleSockets())
})
