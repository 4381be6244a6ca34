/** Proves that nobody's slowness fills the memory: a slow reader stops the target, a slow target stops the caller's stream. */
import { afterEach, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { createCount } from '../support/wire-count.ts'
import { CHUNKED_HEAD, type ScriptedTarget, startScriptedTarget } from './scripted-target.ts'
import { answered, createProbe, get, post, readAll } from './target-probe.ts'

const MIB = 1_048_576
const probe = createProbe()
const servers: { stop(force?: boolean): unknown }[] = []

afterEach(() => {
  probe.expectNoLeaks()
  for (const server of servers.splice(0)) server.stop(true)
})

/** Floods whoever asks with `totalBytes` in chunks; `written` counts what the kernel took. */
const startFlood = (totalBytes: number, chunkBytes: number) => {
  const line = Buffer.alloc(chunkBytes, 'x')
  const chunk = Buffer.concat([Buffer.from(`${chunkBytes.toString(16)}\r\n`), line, Buffer.from('\r\n')])
  const wire = Buffer.concat([
    Buffer.from(CHUNKED_HEAD),
    ...Array.from({ length: totalBytes / chunkBytes }, () => chunk),
    Buffer.from('0\r\n\r\n'),
  ])
  const flood = { written: 0, full: createCount(), wireBytes: wire.length }
  const pump = (socket: { write(bytes: Uint8Array, offset: number, length: number): number }): void => {
    const taken = socket.write(wire, flood.written, wire.length - flood.written)
    flood.written += Math.max(0, taken)
    if (flood.written < wire.length) flood.full.add()
  }
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: pump, drain: pump } })
  servers.push(listener)
  return { flood, url: `http://127.0.0.1:${listener.port}` }
}

const settle = async (value: () => number): Promise<number> => {
  for (let last = -1, calm = 0; calm < 200; ) {
    await new Promise((resolve) => setImmediate(resolve))
    calm = value() === last ? calm + 1 : 0
    last = value()
  }
  return value()
}

describe('a reader that does not read', () => {
  test.each([65_536, 4096, 1])('stops the target, with chunks of %d bytes', async (chunkBytes) => {
    const totalBytes = chunkBytes === 1 ? 2 * MIB : 32 * MIB
    const { flood, url } = startFlood(totalBytes, chunkBytes)
    const client = probe.client({ url })
    const before = process.memoryUsage().rss
    const reply = answered(await client.send(get(), { reuse: true }))
    const stalled = await settle(() => flood.written)
    // What the kernel buffers on both sides of loopback is about 4 to 6 MB; the rest is ours.
    if (chunkBytes > 1) expect(stalled).toBeLessThan(12 * MIB)
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB)
    const { bytes, last } = await readAll(reply)
    expect(last).toEqual({ kind: 'end' })
    expect(bytes.length).toBe(totalBytes)
  })

  test('still notices, on reading, that the target died', async () => {
    const { flood, url } = startFlood(32 * MIB, 65_536)
    const reply = answered(await probe.client({ url }).send(get(), { reuse: true }))
    await settle(() => flood.written)
    servers.splice(0)[0]?.stop(true)
    const { last } = await readAll(reply)
    expect(last.kind).toBe('broken')
  })

  test('can still cancel', async () => {
    const { flood, url } = startFlood(32 * MIB, 65_536)
    const client = probe.client({ url })
    const reply = answered(await client.send(get(), { reuse: true }))
    await settle(() => flood.written)
    reply.body.cancel()
    expect(client.openSockets()).toBe(0)
  })

  test('and then reads everything gives a socket that can be used again', async () => {
    const { url } = startFlood(8 * MIB, 65_536)
    const client = probe.client({ url })
    const reply = answered(await client.send(get(), { reuse: true }))
    await readAll(reply)
    expect(client.idleSockets()).toBe(1)
  })
})

describe('a target that reads slowly', () => {
  const startSlow = (): { target: ScriptedTarget; resume(): void } => {
    const target = startScriptedTarget(undefined, (socket) => socket.pause())
    servers.push(target)
    return { target, resume: () => target.connections[0]?.socket.resume() }
  }

  test('holds a streamed body back', async () => {
    const { resume } = startSlow()
    let pulled = 0
    const body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          pulled += 65_536
          controller.enqueue(new Uint8Array(65_536))
        },
      },
      { highWaterMark: 0 },
    )
    const abort = new AbortController()
    const client = probe.client({ url: servers[0] && 'url' in servers[0] ? String(servers[0].url) : '' })
    const reply = client.send(post(body), { reuse: true, signal: abort.signal })
    const stalled = await settle(() => pulled)
    expect(stalled).toBeLessThan(12 * MIB)
    resume()
    while (pulled < stalled + 4 * MIB) await new Promise((resolve) => setImmediate(resolve))
    abort.abort()
    expect(await reply).toEqual({ kind: 'aborted' })
  })

  test('gets a large buffered body and a large streamed one byte for byte', async () => {
    const server = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      maxRequestBodySize: 256 * MIB,
      fetch: async (request) =>
        new Response(
          createHash('sha256')
            .update(new Uint8Array(await request.arrayBuffer()))
            .digest('hex'),
        ),
    })
    servers.push(server)
    const client = probe.client({ url: server.url.origin })
    const body = crypto.getRandomValues(new Uint8Array(65_536))
    const large = new Uint8Array(48 * MIB)
    for (let at = 0; at < large.length; at += body.length) large.set(body, at)
    const wanted = createHash('sha256').update(large).digest('hex')
    for (const sent of [large, new Blob([large]).stream()]) {
      const reply = answered(await client.send(post(sent), { reuse: true }))
      expect((await readAll(reply)).bytes.toString()).toBe(wanted)
    }
  })
})
