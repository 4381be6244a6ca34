/** Proves that an answer arrives as the target sent it, over real sockets: status, headers, chunks and their order. */
import { afterEach, describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { startFaultyWire } from '../support/faulty-wire.ts'
import { answerWith, CHUNKED_HEAD, chunkOf, type ScriptedTarget, startScriptedTarget } from './scripted-target.ts'
import { answered, createProbe, get, post, readAll, textOf } from './target-probe.ts'

const probe = createProbe()
let target: ScriptedTarget

afterEach(() => {
  probe.expectNoLeaks()
  target.stop()
})

const streamOf = (...parts: string[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => {
      for (const part of parts) controller.enqueue(Buffer.from(part))
      controller.close()
    },
  })

describe('the request', () => {
  test('reaches the target with prefix, query, own Host, token and body', async () => {
    target = startScriptedTarget((socket) => void socket.write(answerWith('ok')))
    const client = probe.client({ url: `${target.url}/ollama/`, token: 'secret' })
    await client.send({ ...post(Buffer.from('{"a":1}')), path: '/api/chat?ts=1&x=%20' }, { reuse: true })
    expect(target.requests[0]?.text.split('\r\n')).toEqual([
      'POST /ollama/api/chat?ts=1&x=%20 HTTP/1.1',
      `Host: 127.0.0.1:${target.port}`,
      'Authorization: Bearer secret',
      'Content-Type: application/json',
      'Content-Length: 7',
      '',
      '{"a":1}',
    ])
  })

  test('a streamed body of unknown length goes out in chunks', async () => {
    target = startScriptedTarget((socket) => void socket.write(answerWith('ok')))
    const reply = await probe.client({ url: target.url }).send(post(streamOf('one', '', 'three')), { reuse: true })
    expect(textOf(answered(reply).body.complete)).toBe('ok')
    expect(target.requests[0]?.text.endsWith('\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n')).toBe(true)
  })

  test('a streamed body of known length goes out with it', async () => {
    target = startScriptedTarget((socket) => void socket.write(answerWith('ok')))
    await probe.client({ url: target.url }).send(post(streamOf('one', 'two'), 6), { reuse: true })
    expect(target.requests[0]?.text).toContain('Content-Length: 6\r\n\r\nonetwo')
  })

  test.each([
    ['shorter', 7],
    ['longer', 5],
  ])('a streamed body %s than it promised is never passed off as whole', async (_how, promised) => {
    target = startScriptedTarget()
    const reply = await probe.client({ url: target.url }).send(post(streamOf('one', 'two'), promised), { reuse: true })
    expect(reply).toEqual({ kind: 'aborted' })
    await target.closed.reached(1)
    expect(target.connections[0]?.ended).toBe('reset')
    expect(target.requests).toEqual([])
  })

  test('a body stream that breaks ends the request as aborted', async () => {
    target = startScriptedTarget()
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('client left')) })
    expect(await probe.client({ url: target.url }).send(post(body), { reuse: false })).toEqual({ kind: 'aborted' })
    await target.closed.reached(1)
  })

  test('an IPv6 target is dialled and named with brackets', async () => {
    target = startScriptedTarget()
    const hosts: string[] = []
    const server = Bun.serve({
      hostname: '::1',
      port: 0,
      fetch: (request) => {
        hosts.push(request.headers.get('host') ?? '')
        return new Response()
      },
    })
    const reply = await probe.client({ url: `http://[::1]:${server.port}` }).send(get(), { reuse: false })
    expect(answered(reply).status).toBe(200)
    expect(hosts).toEqual([`[::1]:${server.port}`])
    await server.stop(true)
  })
})

describe('the answer', () => {
  test('has status and end-to-end headers as sent, and a small body is complete at once', async () => {
    const extra = 'X-B: 1\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nx-b: 2\r\n'
    target = startScriptedTarget(
      (socket) => void socket.write(answerWith('hello', extra).replace('200 OK', '418 Teapot')),
    )
    const reply = answered(await probe.client({ url: target.url }).send(get(), { reuse: true }))
    expect(reply.status).toBe(418)
    expect(reply.headers).toEqual([
      ['Content-Type', 'text/plain'],
      ['X-B', '1'],
      ['x-b', '2'],
    ])
    expect(textOf(reply.body.complete)).toBe('hello')
    expect(await readAll(reply)).toMatchObject({ chunks: ['hello'], last: { kind: 'end' } })
    expect(await reply.body.read()).toEqual({ kind: 'end' })
  })

  test('a chunk is delivered before the target has made the next one', async () => {
    target = startScriptedTarget((socket) => void socket.write(CHUNKED_HEAD))
    const reply = answered(await probe.client({ url: target.url }).send(get(), { reuse: true }))
    const socket = target.connections[0]?.socket
    expect(reply.body.complete).toBeNull()
    for (const line of ['{"n":1}\n', '{"n":2}\n', '{"n":3}\n']) {
      const read = reply.body.read()
      socket?.write(chunkOf(line))
      const got = await read
      expect(got.kind === 'chunk' ? textOf(got.bytes) : got.kind).toBe(line)
    }
    const last = reply.body.read()
    socket?.write('0\r\n\r\n')
    expect(await last).toEqual({ kind: 'end' })
  })

  test('many chunks in one segment leave together, and one chunk in many segments stays whole', async () => {
    target = startScriptedTarget((socket, { number }) => {
      if (number === 1) socket.write(`${CHUNKED_HEAD}${chunkOf('a')}${chunkOf('bb')}${chunkOf('ccc')}0\r\n\r\n`)
      else socket.write(`${CHUNKED_HEAD}8\r\nsp`)
    })
    const client = probe.client({ url: target.url })
    const together = answered(await client.send(get(), { reuse: true }))
    expect([textOf(together.body.complete), together.body.chunks]).toEqual(['abbccc', 3])
    const apart = answered(await client.send(get(), { reuse: true }))
    const read = apart.body.read()
    for (const piece of ['lit', 'ted', '\r', '\n0\r\n\r\n']) {
      target.connections[0]?.socket.write(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const got = await read
    expect(got.kind === 'chunk' ? textOf(got.bytes) : got.kind).toBe('splitted')
    expect(await apart.body.read()).toEqual({ kind: 'end' })
  })

  test('a body without framing ends with the connection, which is not kept', async () => {
    target = startScriptedTarget((socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\nold style'))
    const client = probe.client({ url: target.url })
    const reply = answered(await client.send(get(), { reuse: true }))
    expect(await readAll(reply)).toMatchObject({ chunks: ['old style'], last: { kind: 'end' } })
    expect(client.openSockets()).toBe(0)
  })

  test('answers to HEAD keep their Content-Length and have no body', async () => {
    target = startScriptedTarget((socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n'))
    const reply = answered(await probe.client({ url: target.url }).send({ ...get(), method: 'HEAD' }, { reuse: true }))
    expect(reply.headers).toEqual([['Content-Length', '17']])
    expect(reply.body.complete).toHaveLength(0)
  })

  test('an answer that comes before the whole request is given, and ends the upload', async () => {
    target = startScriptedTarget(
      undefined,
      (socket) => void socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig'),
    )
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
      cancel: () => {
        cancelled = true
      },
    })
    const client = probe.client({ url: target.url })
    const reply = answered(await client.send(post(endless), { reuse: true }))
    expect(reply.status).toBe(413)
    expect(textOf(reply.body.complete)).toBe('big')
    await target.closed.reached(1)
    expect(cancelled).toBe(true)
    expect(client.openSockets()).toBe(0)
  })

  test('random slicing on the wire never changes a byte, nor cuts a chunk', async () => {
    const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    const random = lcg(seed)
    const wanted = fc.sample(
      fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 8 }),
      { seed, numRuns: 40 },
    )
    target = startScriptedTarget(
      (socket, { number }) => void socket.write(`${CHUNKED_HEAD}${wanted[number - 1]?.map(chunkOf).join('')}0\r\n\r\n`),
    )
    const wire = startFaultyWire({ upstreamPort: target.port, fault: { kind: 'slice', maxBytes: 9 }, random })
    const client = probe.client({ url: wire.url })
    for (const chunks of wanted) {
      const reply = answered(await client.send(get(), { reuse: true }))
      const got = (await readAll(reply)).chunks
      expect({ seed, text: got.join('') }).toEqual({ seed, text: chunks.join('') })
      // Each piece is one whole chunk or several.
      for (let next = 0, at = 0; next < got.length; next++) {
        let piece = ''
        while (at < chunks.length && piece.length < (got[next]?.length ?? 0)) piece += chunks[at++]
        expect({ seed, piece }).toEqual({ seed, piece: got[next] ?? '' })
      }
    }
    wire.stop()
    client.close()
  })
})

const lcg = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
