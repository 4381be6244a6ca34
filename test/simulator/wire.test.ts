/** HTTP itself, as Go's server speaks it. */
import { afterEach, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { get, post } from '../support/raw-client.ts'
import { chatBody, chunksOf, isComplete, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

const VERSION = '{"version":"0.33.0"}'

describe('connections', () => {
  test('pipelined requests are answered in order, and Connection: close is the last', async () => {
    const rig = await startRig()
    const client = await rig.raw()
    client.send(
      get('/api/version') + post('/api/chat', chatBody('x', { stream: false })) + get('/', ['Connection: close']),
    )
    expect(await client.closed()).toBe('fin')
    const text = client.received()
    const order = [VERSION, '"tok0 tok1', 'Ollama is running'].map((part) => text.indexOf(part))
    expect(order.every((at, i) => at > (order[i - 1] ?? 0))).toBe(true)
    expect(text).toContain('Content-Length: 17\r\nConnection: close\r\n\r\nOllama is running')
  })

  test('a request may arrive byte by byte', async () => {
    const rig = await startRig()
    const client = await rig.raw()
    for (const byte of post('/api/chat', chatBody('x', { stream: false }))) client.send(byte)
    await client.until((text) => text.endsWith('}'))
    expect(client.received()).toContain('"done":true')
  })

  test('a chunked request body may be cut anywhere', async () => {
    const rig = await startRig()
    const client = await rig.raw()
    const body = JSON.stringify(chatBody('x', { stream: false }))
    client.send('POST /api/chat HTTP/1.1\r\nHost: x.local\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (let i = 0; i < body.length; i += 7) {
      const piece = body.slice(i, i + 7)
      client.send(`${piece.length.toString(16)};ext=1\r`)
      client.send(`\n${piece}\r\n`)
    }
    client.send('0\r\nTrailer: x\r\n\r\n')
    await client.until((text) => text.endsWith('}'))
    expect(client.received()).toStartWith('HTTP/1.1 200 OK')
  })

  test('a body of 30 MiB is accepted', async () => {
    const rig = await startRig()
    const images = ['A'.repeat(30 << 20)]
    const messages = [{ role: 'user', content: 'x', images }]
    const { status } = await rig.ask('/api/chat', { model: 'tiny', stream: false, messages })
    expect(status).toBe(200)
  })

  test('what is not HTTP gets a 400 and is closed', async () => {
    const rig = await startRig()
    for (const nonsense of ['hello\r\n\r\n', 'GET / HTTP/1.1\r\nbad header\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n']) {
      const client = await rig.raw()
      client.send(nonsense)
      await client.closed()
      expect(client.received()).toStartWith('HTTP/1.1 400 Bad Request\r\n')
    }
  })

  test('HEAD answers with the headers of GET and no body', async () => {
    const rig = await startRig()
    const client = await rig.raw()
    client.send('HEAD /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n')
    client.send('HEAD /api/ps HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const text = await client.until((received) => received.includes('405'))
    expect(text).toContain(`Content-Length: ${VERSION.length}\r\n\r\nHTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n`)
    expect(text).not.toContain(VERSION)
  })

  test('unknown paths and wrong methods are plain text', async () => {
    const rig = await startRig()
    const client = await rig.raw()
    client.send(get('/api/chat') + get('/metrics'))
    const text = await client.until((received) => received.endsWith('404 page not found'))
    expect(text).toContain('Allow: POST\r\nContent-Type: text/plain\r\n')
    expect(text).toContain('\r\n\r\n405 method not allowed')
  })

  test('stopping the simulator closes every connection', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'hang-before-headers' })
    const client = await rig.chat('x')
    await rig.waitFor((c) => c.open === 1)
    await rig.stop()
    await client.closed()
    expect(client.received()).toBe('')
  })
})

describe('a slow reader', () => {
  test('holds the generation back instead of filling memory', async () => {
    const rig = await startRig({ maxLoadedModels: 2 })
    const socket = connect({ port: rig.port, host: '127.0.0.1' })
    socket.pause()
    const text = post('/api/chat', chatBody('[[n=60]] [[chunk=200000]]'))
    await new Promise<void>((resolve) => socket.write(text, () => resolve()))
    await rig.waitFor((c) => c.generationsStarted === 1)
    // The kernel's buffers hold some 5 of its 12 MB; fifty other requests come and go while nobody reads on.
    for (let i = 0; i < 50; i++) await rig.ask('/api/embed', { model: 'embed', input: 'x' })
    expect(rig.counters()).toMatchObject({ generationsFinished: 0, open: 1 })
    let bytes = 0
    socket.on('data', (chunk) => {
      bytes += chunk.length
    })
    socket.resume()
    await rig.waitFor((c) => c.generationsFinished === 1)
    expect(bytes).toBeGreaterThan(1 << 20)
    socket.destroy()
  })
})

describe('markers', () => {
  test('silent sends nothing at all before the first token', async () => {
    const rig = await startRig()
    const client = await rig.chat('[[silent=40]] [[n=1]]')
    await rig.waitFor((c) => c.generationsStarted === 1)
    expect(client.received()).toBe('')
    await client.until(isComplete)
  })

  test('chunk sends one token of that size in one HTTP chunk', async () => {
    const rig = await startRig()
    const client = await rig.chat('[[chunk=3000000]]')
    const [first, ...rest] = chunksOf(await client.until(isComplete))
    expect(first!.length).toBeGreaterThan(3_000_000)
    expect(rest).toHaveLength(1)
  })

  test('thirty equal tokens end a stream without a final line', async () => {
    const rig = await startRig()
    const client = await rig.chat('[[same=100]]')
    const chunks = chunksOf(await client.until(isComplete))
    expect(chunks).toHaveLength(30)
    expect(chunks.at(-1)).toContain('"done":false')
  })
})
