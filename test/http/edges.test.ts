/** Corners where a queue once got stuck or a rule could be walked around; each is a defect that was found and must stay mended. */
import { afterEach, describe, expect, test } from 'bun:test'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { type StubTarget, startStubTarget } from '../support/stub-target.ts'

const chat = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x' }], stream: false })
const done = { model: 'm', message: { role: 'assistant', content: 'ok' }, done: true }

let host: StubTarget | null = null
let foreman: RunningForeman | null = null

const start = async (env: Record<string, string>, answer: Parameters<typeof startStubTarget>[0]) => {
  host = startStubTarget(answer)
  foreman = await runForeman(host.url, env)
  return { foreman, host }
}

afterEach(async () => {
  await foreman?.stop()
  await host?.stop()
})

const post = (path: string, body: string, headers: Record<string, string> = {}) =>
  fetch(`${foreman?.url}${path}`, { method: 'POST', body, headers })

describe('the worker gets free again', () => {
  test('after an answer with a status that HTTP does not know', async () => {
    let odd = true
    await start({ FOREMAN_MAX_ATTEMPTS: '1' }, (path) => {
      if (path !== '/api/chat' || !odd) return Response.json(done)
      odd = false
      return 'HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nhi'
    })
    expect((await post('/api/chat', chat)).status).toBe(502)
    expect((await post('/api/chat', chat)).status).toBe(200)
  })

  test('after a request that HTTP cannot carry, which is answered 400 and spends nobody elses time', async () => {
    await start({}, () => Response.json(done))
    const { port } = new URL(foreman?.url ?? '')
    const answer = await new Promise<string>((resolve) => {
      let text = ''
      Bun.connect({
        hostname: '127.0.0.1',
        port: Number(port),
        socket: {
          open: (socket) =>
            void socket.write(
              Buffer.from(
                `POST /api/chat HTTP/1.1\r\nHost: x.local\r\nX-T: a\x7fb\r\nConnection: close\r\nContent-Length: ${chat.length}\r\n\r\n${chat}`,
                'latin1',
              ),
            ),
          data: (_socket, bytes) => {
            text += bytes.toString('latin1')
          },
          close: () => resolve(text),
        },
      })
    })
    expect(answer).toStartWith('HTTP/1.1 400')
    expect((await post('/api/chat', chat)).status).toBe(200)
  })
})

describe('rules that could be walked around', () => {
  test('a percent-encoded path is still refused under read-only', async () => {
    const { host } = await start({ FOREMAN_READ_ONLY: 'true' }, () => Response.json(done))
    expect((await post('/api/%70ull', '{"model":"m"}')).status).toBe(403)
    expect(host.paths()).not.toContain('/api/%70ull')
  })

  test('a percent-encoded chat goes through the queue', async () => {
    await start({}, () => Response.json(done))
    const response = await post('/api/%63hat', chat)
    expect(response.headers.get('x-foreman-job-id')).not.toBeNull()
  })

  test('the token does not reach the target in the header that Anthropic clients use', async () => {
    const { host } = await start({ FOREMAN_TOKEN: 'open-sesame' }, () => Response.json(done))
    await post(
      '/v1/messages',
      JSON.stringify({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] }),
      {
        'x-api-key': 'open-sesame',
      },
    )
    expect(host.paths()).toContain('/v1/messages')
    expect(host.seen().join('\n')).not.toContain('open-sesame')
  })
})

describe('odd values', () => {
  test('a key that is long and broken is a 400, and a very long one is for the target to look into; neither is a bug', async () => {
    const { foreman, host } = await start({}, () => Response.json(done))
    const withKey = (length: number) => post('/api/chat', `{"${'a'.repeat(length)}\x01":1,"model":"m"}`)
    expect((await withKey(1_000)).status).toBe(400)
    expect((await withKey(5_000)).status).toBe(200)
    expect(host.paths()).toContain('/api/chat')
    expect(foreman.lines.join('\n')).not.toContain('"event":"bug"')
  })

  test('Retry-After: 0 does not make the worker spin', async () => {
    const { host } = await start({ FOREMAN_UNREACHABLE_DEADLINE: '1s' }, (path) =>
      path === '/api/chat'
        ? new Response('{"error":"busy"}', { status: 503, headers: { 'Retry-After': '0' } })
        : Response.json(done),
    )
    expect((await post('/api/chat', chat)).status).toBe(503)
    expect(host.paths().filter((path) => path === '/api/chat').length).toBeLessThanOrEqual(3)
  })

  test('a keep-alive of 0 from the policy loads without it, and the call carries it', async () => {
    const { host } = await start({ FOREMAN_KEEP_ALIVE: '0' }, () => Response.json(done))
    expect((await post('/api/chat', chat)).status).toBe(200)
    const bodies = host.seen()
    const load = bodies.find((text) => text.startsWith('POST /api/generate'))
    expect(load).toBeDefined()
    expect(load).not.toContain('keep_alive')
    expect(bodies.find((text) => text.startsWith('POST /api/chat'))).toContain('"keep_alive":0')
  })

  test('chunked bodies are held to account while they arrive', async () => {
    await start({ FOREMAN_MAX_BODY: '1MiB' }, () => Response.json(done))
    const piece = new Uint8Array(256 * 1024).fill(0x20)
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(piece),
    })
    const response = await fetch(`${foreman?.url}/api/chat`, { method: 'POST', body })
    expect(response.status).toBe(413)
  })
})
