/** Proves that the faulty wire breaks what it is told to break and nothing else; other tests believe it. */
import { afterEach, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { startFaultyWire, type WireFault } from '../support/faulty-wire.ts'
import { answerWith, CHUNKED_HEAD, chunkOf, type ScriptedTarget, startScriptedTarget } from './scripted-target.ts'
import { answered, createProbe, get, post, readAll, textOf } from './target-probe.ts'

const MIB = 1_048_576
const probe = createProbe()
const running: { stop(force?: boolean): unknown }[] = []

afterEach(() => {
  probe.expectNoLeaks()
  for (const server of running.splice(0)) server.stop(true)
})

const start = (fault: WireFault, upstream?: ScriptedTarget) => {
  const target = upstream ?? startScriptedTarget((socket) => void socket.write(answerWith('ok')))
  const wire = startFaultyWire({ upstreamPort: target.port, fault })
  running.push(wire, target)
  return { target, wire, client: probe.client({ url: wire.url }) }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('without a fault', () => {
  test.each([{ kind: 'none' }, { kind: 'slice', maxBytes: 300_000 }] as WireFault[])(
    '%j passes 8 MiB each way unchanged',
    async (fault) => {
      const server = Bun.serve({
        hostname: '127.0.0.1',
        port: 0,
        maxRequestBodySize: 64 * MIB,
        fetch: async (request) => new Response(await request.arrayBuffer()),
      })
      const wire = startFaultyWire({ upstreamPort: server.port ?? 0, fault, random: () => 0.7 })
      running.push(wire, server)
      const body = new Uint8Array(8 * MIB).map((_, index) => (index * 31) ^ (index >> 9))
      const reply = answered(await probe.client({ url: wire.url }).send(post(body), { reuse: false }))
      const { bytes } = await readAll(reply)
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(createHash('sha256').update(body).digest('hex'))
      expect([wire.struck.value, wire.left.value]).toEqual([0, 0])
    },
  )

  test('a client that leaves is counted, and the target hears of it', async () => {
    const silent = startScriptedTarget()
    const { wire, client } = start({ kind: 'none' }, silent)
    const abort = new AbortController()
    const reply = client.send(get(), { reuse: false, signal: abort.signal })
    await silent.asked.reached(1)
    expect(wire.open()).toBe(1)
    abort.abort()
    await wire.left.reached(1)
    await silent.closed.reached(1)
    expect(silent.connections[0]?.ended).toBe('reset')
    expect(await reply).toEqual({ kind: 'aborted' })
    expect(wire.open()).toBe(0)
  })
})

describe('faults', () => {
  test('latency delays both directions', async () => {
    const { client } = start({ kind: 'latency', delayMs: 15 })
    const since = performance.now()
    await client.send(get(), { reuse: false })
    expect(performance.now() - since).toBeGreaterThan(25)
  })

  test('refuse frees the port and none takes the same one again', async () => {
    const { wire, client } = start({ kind: 'refuse' })
    expect(await client.send(get(), { reuse: false })).toMatchObject({ kind: 'unreached', code: 'refused' })
    wire.set({ kind: 'none' })
    expect(answered(await client.send(get(), { reuse: false })).status).toBe(200)
    expect(wire.url).toBe(`http://127.0.0.1:${wire.port}`)
  })

  test('connect strikes before upstream has seen anything, headers after it has seen the request', async () => {
    const { wire, target, client } = start({ kind: 'close', at: 'connect' })
    await client.send(get(), { reuse: false })
    expect([wire.struck.value, target.opened.value]).toEqual([1, 0])
    wire.set({ kind: 'close', at: 'headers' })
    await client.send(get(), { reuse: false })
    expect([wire.struck.value, target.asked.value]).toEqual([2, 1])
  })

  test('body lets the head and exactly the given bytes pass', async () => {
    const { client } = start({ kind: 'close', at: 'body', bodyBytes: 1 })
    const { bytes } = await readAll(answered(await client.send(get(), { reuse: false })))
    expect(textOf(bytes)).toBe('o')
  })

  test('blackhole accepts and then neither answers nor closes', async () => {
    const { wire, target, client } = start({ kind: 'blackhole' })
    const reply = client.send(get(), { reuse: false, signal: AbortSignal.timeout(30) })
    await wire.struck.reached(1)
    expect(await reply).toEqual({ kind: 'aborted' })
    expect(target.opened.value).toBe(0)
  })

  test('silence freezes a running stream: nothing more comes, nothing closes, and the target does not hear the client leave', async () => {
    const streaming = startScriptedTarget((socket) => void socket.write(`${CHUNKED_HEAD}${chunkOf('a')}`))
    const { wire, client } = start({ kind: 'none' }, streaming)
    const reply = answered(await client.send(get(), { reuse: false }))
    expect((await reply.body.read()).kind).toBe('chunk')
    wire.silence()
    streaming.connections[0]?.socket.write(chunkOf('b'))
    let heard = false
    const next = reply.body.read().finally(() => {
      heard = true
    })
    for (let turns = 0; turns < 500; turns++) await turn()
    expect(heard).toBe(false)
    reply.body.cancel()
    expect(await next).toEqual({ kind: 'aborted' })
    await wire.left.reached(1)
    for (let turns = 0; turns < 500; turns++) await turn()
    expect(streaming.closed.value).toBe(0)
  })

  test('a new fault holds for the next request of a connection that is already open', async () => {
    const { wire, client } = start({ kind: 'none' })
    await client.send(get(), { reuse: true })
    wire.set({ kind: 'reset', at: 'connect' })
    expect(await client.send(get(), { reuse: true })).toMatchObject({ kind: 'broken', reused: true })
    expect(wire.accepted.value).toBe(1)
  })
})
