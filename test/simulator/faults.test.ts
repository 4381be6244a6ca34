/** Every fault as a client on a raw socket sees it. */
import { afterEach, describe, expect, test } from 'bun:test'
import { get, post, rawClient } from '../support/raw-client.ts'
import { chatBody, chunksOf, isComplete, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

describe('a fault on command', () => {
  test('refuse closes the port and idle connections, and clearing it opens the same port again', async () => {
    const rig = await startRig()
    const idle = await rig.raw()
    idle.send(get('/api/version'))
    await idle.until((text) => text.includes('"version"'))
    rig.fault({ kind: 'refuse' })
    expect(await idle.closed()).toBe('fin')
    await expect(rawClient(rig.port)).rejects.toThrow()
    rig.fault(null)
    const again = await rig.raw()
    again.send(get('/api/version'))
    await again.until((text) => text.includes('200 OK'))
  })

  test('refuse lets a running generation finish and then closes its connection', async () => {
    const rig = await startRig({ tokensPerSecond: 200 })
    const client = await rig.chat('[[n=4]]')
    await client.until((text) => text.includes('tok0'))
    rig.fault({ kind: 'refuse' })
    await client.closed()
    expect(isComplete(client.received())).toBe(true)
  })

  test('hang-before-headers sends no byte and keeps the connection open', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'hang-before-headers', times: 1 })
    const hung = await rig.chat('x')
    await rig.waitFor((c) => c.open === 1)
    const other = await rig.raw()
    other.send(get('/api/version'))
    await other.until((text) => text.includes('200 OK'))
    expect(hung.received()).toBe('')
    expect(hung.closing()).toBe('open')
    hung.destroy()
    await rig.waitFor((c) => c.aborts === 1 && c.open === 0)
  })

  test('hang-after-headers sends the headers of a stream and nothing else', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'hang-after-headers', times: 1 })
    const client = await rig.chat('x')
    const text = await client.until((received) => received.includes('\r\n\r\n'))
    expect(text).toStartWith('HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nDate: ')
    expect(text).toEndWith('Transfer-Encoding: chunked\r\n\r\n')
    expect(client.closing()).toBe('open')
  })

  test('reset before the headers is an RST without a byte', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'reset', phase: 'before-headers', times: 1 })
    const client = await rig.chat('x')
    expect(await client.closed()).toBe('rst')
    expect(client.received()).toBe('')
  })

  test('reset after the headers is an RST with the headers alone', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'reset', phase: 'after-headers', times: 1 })
    const client = await rig.chat('x')
    expect(await client.closed()).toBe('rst')
    expect(client.received()).toEndWith('\r\n\r\n')
  })

  test('reset in the middle of a body lets exactly the asked number of chunks through', async () => {
    const rig = await startRig({ tokensPerSecond: 200 })
    rig.fault({ kind: 'reset', phase: 'mid-body', chunks: 2, times: 1 })
    const client = await rig.chat('[[n=9]]')
    expect(await client.closed()).toBe('rst')
    expect(chunksOf(client.received())).toHaveLength(2)
    await rig.waitFor((c) => c.generationsAborted === 1)
    expect(rig.counters().aborts).toBe(0)
  })

  test('truncate ends a stream with FIN and without the terminating chunk', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'truncate', chunks: 3, times: 1 })
    const client = await rig.chat('[[n=9]]')
    expect(await client.closed()).toBe('fin')
    expect(chunksOf(client.received())).toHaveLength(3)
    expect(isComplete(client.received())).toBe(false)
  })

  test('truncate cuts an answer with a Content-Length in its middle', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'truncate', times: 1 })
    const client = await rig.chat('x', { stream: false })
    expect(await client.closed()).toBe('fin')
    const [head, body] = client.received().split('\r\n\r\n')
    const announced = Number(/Content-Length: (\d+)/.exec(head!)![1])
    expect(body!.length).toBeGreaterThan(0)
    expect(body!.length).toBeLessThan(announced)
  })

  test('malformed-chunk sends a chunk size that is no number', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'malformed-chunk', chunks: 1, times: 1 })
    const client = await rig.chat('[[n=9]]')
    await client.closed()
    expect(chunksOf(client.received())).toHaveLength(1)
    expect(client.received()).toEndWith('\r\nzz\r\n')
  })

  test('error-before answers in the shape of the API that was asked', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'error-before', text: 'boom', times: 2 })
    expect(await rig.ask('/api/chat', chatBody('x'))).toEqual({ status: 500, json: { error: 'boom' } })
    expect((await rig.ask('/v1/chat/completions', chatBody('x'))).json).toEqual({
      error: { message: 'boom', type: 'api_error', param: null, code: null },
    })
    expect(rig.counters().generationsStarted).toBe(0)
  })

  test('error-mid-stream is a last line on /api and lost on /v1', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'error-mid-stream', text: 'boom', chunks: 2, times: 2 })
    const native = await rig.chat('[[n=9]]')
    await native.until(isComplete)
    expect(chunksOf(native.received())).toHaveLength(3)
    expect(chunksOf(native.received()).at(-1)).toBe('{"error":"boom"}\n')
    const openai = await rig.raw()
    openai.send(post('/v1/chat/completions', chatBody('[[n=9]]', { stream: true })))
    const text = await openai.until(isComplete)
    expect(text).not.toContain('boom')
    expect(text).not.toContain('[DONE]')
    expect(chunksOf(text).at(-1)).toContain('"model":""')
  })

  test('oom unloads everything, and the same prompt works after the reload', async () => {
    const rig = await startRig({ maxLoadedModels: 2 })
    await rig.ask('/api/embed', { model: 'embed', input: 'x' })
    rig.fault({ kind: 'oom', times: 1 })
    const failed = await rig.ask('/api/chat', chatBody('x', { stream: false }))
    expect(failed.status).toBe(500)
    expect(failed.json.error).toContain('CUDA error: out of memory')
    expect(rig.residents()).toEqual([])
    expect((await rig.ask('/api/chat', chatBody('x', { stream: false }))).status).toBe(200)
  })

  test('oom while loading fails the load and leaves the model unloaded', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'oom', phase: 'load', times: 1 })
    const { status, json } = await rig.ask('/api/chat', chatBody('x'))
    expect(status).toBe(500)
    expect(json.error).toBe('llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory')
    expect(rig.residents()).toEqual([])
  })

  test('slow multiplies the delays of the requests it hits', async () => {
    const rig = await startRig({ firstTokenMs: 10 })
    await rig.ask('/api/chat', chatBody('x', { stream: false }))
    rig.fault({ kind: 'slow', factor: 8, times: 1 })
    const { json } = await rig.ask('/api/chat', chatBody('x', { stream: false }))
    expect(Number(json.total_duration)).toBeGreaterThanOrEqual(75e6)
  })

  test('status answers as a proxy would, with Retry-After', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'status', status: 503, retryAfter: 7, times: 1 })
    const client = await rig.chat('x')
    const text = await client.until((received) => received.endsWith('}'))
    expect(text).toStartWith('HTTP/1.1 503 Service Unavailable\r\n')
    expect(text).toContain('\r\nRetry-After: 7\r\n')
  })
})

describe('a restart', () => {
  test('cuts a stream without its end, drops who waits without a byte, frees the deadlock, and serves at once', async () => {
    const rig = await startRig({ tokensPerSecond: 200, loadMs: 1 })
    const streaming = await rig.chat('[[n=100000]]')
    await streaming.until((text) => text.includes('tok1'))
    const waiting = await rig.chat('x', { model: 'native' })
    await rig.waitFor((c) => c.open === 2)
    rig.fault({ kind: 'restart' })
    expect(await streaming.closed()).toBe('fin')
    expect(isComplete(streaming.received())).toBe(false)
    expect(await waiting.closed()).toBe('fin')
    expect(waiting.received()).toBe('')
    expect(rig.residents()).toEqual([])
    expect(rig.counters()).toMatchObject({ aborts: 0, open: 0, generationsAborted: 1 })
    expect((await rig.ask('/api/chat', chatBody('x', { model: 'native', stream: false }))).status).toBe(200)
  })
})

describe('a sleeping machine', () => {
  test('accepts connections, answers nothing, and takes everything up again on waking', async () => {
    const rig = await startRig()
    rig.sleep()
    const client = await rig.raw()
    client.send(get('/api/version'))
    const probe = await rig.raw()
    probe.send('x')
    expect(client.received()).toBe('')
    expect(client.closing()).toBe('open')
    rig.wake()
    await client.until((text) => text.includes('"version"'))
  })

  test('falls silent in the middle of a stream without closing it, and notices on waking who left meanwhile', async () => {
    const rig = await startRig({ tokensPerSecond: 200 })
    const staying = await rig.chat('[[n=6]]')
    await staying.until((text) => text.includes('tok1'))
    rig.fault({ kind: 'sleep' })
    const before = staying.received()
    const leaving = await rig.chat('[[n=6]]')
    leaving.destroy()
    const witness = await startRig()
    await witness.ask('/api/chat', chatBody('x', { stream: false }))
    expect(staying.received()).toBe(before)
    expect(staying.closing()).toBe('open')
    expect(rig.counters().aborts).toBe(0)
    rig.fault(null)
    await staying.until(isComplete)
    await rig.waitFor((c) => c.aborts === 1)
  })
})

describe('the queue of faults', () => {
  test('hits requests in order, each fault as often as it says, and only on its path', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'status', status: 502, times: 1, path: '/api/chat' })
    rig.fault({ kind: 'status', status: 429, times: 2, path: '/api/*' })
    const statuses: number[] = []
    for (const path of ['/api/tags', '/api/chat', '/api/chat', '/api/chat']) {
      const init = path === '/api/chat' ? { method: 'POST', body: JSON.stringify(chatBody('x')) } : {}
      const answer = await fetch(rig.url + path, init)
      await answer.arrayBuffer()
      statuses.push(answer.status)
    }
    expect(statuses).toEqual([429, 502, 429, 200])
  })

  test('null clears it', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'status', status: 502 })
    rig.fault(null)
    expect((await fetch(`${rig.url}/api/tags`)).status).toBe(200)
  })
})
