/** What the platform really does and we rely on; a new Bun or Elysia that does otherwise must fail here and not at night. */
import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Elysia } from 'elysia'
import { pathOf } from '../../src/http/request-path.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { runForeman } from '../support/foreman.ts'
import { generation } from '../support/generation-call.ts'
import { polled } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { rawClient } from '../support/raw-client.ts'
import { openClient } from '../support/wire-client.ts'

const src = join(import.meta.dir, '../../src')
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join(src, name), 'utf8') }))
/** The code without its comments, which may name what it must not do. */
const codeOf = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
const naming = (pattern: RegExp): string[] =>
  sources.filter(({ text }) => pattern.test(codeOf(text))).map(({ name }) => name)

describe('the way to the target', () => {
  test('is never fetch, which ends a silent answer after six minutes whatever it is told', () => {
    const callers = naming(/(?<![.\w])fetch\(/).filter((name) => !name.startsWith('cli/'))
    // The commands are clients of a foreman; main hands them the fetch they use.
    expect(callers.filter((name) => name !== 'main.ts' && !name.startsWith('webhook/'))).toEqual([])
  })

  test('is opened in src/ollama alone', () => {
    const dialling = naming(/Bun\.connect|net\.connect|createConnection|http\.request|new WebSocket/)
    const isAdapter = (name: string) => name.startsWith('ollama/') || name.startsWith('webhook/')
    expect(dialling.filter((name) => !isAdapter(name) && !name.startsWith('simulator/'))).toEqual([])
    expect(dialling).toContain('ollama/connection.ts')
  })

  test('has no bound on silence: only the questions foreman asks for itself are timed', () => {
    // What parts ask for themselves is theirs to bound; what they pass on for a caller is not.
    const isOther = (name: string) =>
      !name.startsWith('ollama/') && (!name.startsWith('parts/') || /fallback/.test(name))
    const timed = naming(/wholeTimeoutMs\b/).filter(isOther)
    expect(timed.sort()).toEqual([
      'engine/abilities.ts',
      'engine/ask.ts',
      'engine/look.ts',
      'engine/ports.ts',
      'engine/post.ts',
      'engine/probe.ts',
      'engine/self.ts',
      'engine/unload.ts',
    ])
    expect(naming(/AbortSignal\.timeout/)).not.toContain('ollama/exchange.ts')
  })

  const hasProc = existsSync('/proc/net/tcp')
  test.if(hasProc)('is watched by the kernel, which alone notices a target that was switched off and on', async () => {
    const simulator = await startSimulator({ models: [{ name: 'tiny' }] })
    const foreman = await runForeman(simulator.url, { FOREMAN_POLL_INTERVAL: '1h' })
    await polled(foreman)
    const client = await openClient(foreman.port)
    client.send(generation('/api/chat', { stream: true, prompt: '[[silent=60000]]' }))
    await simulator.waitFor(({ open }) => open === 1)
    const port = simulator.port.toString(16).toUpperCase().padStart(4, '0')
    // Remote port, state 01 (established), and timer 02 (keep-alive).
    const pattern = new RegExp(`^ *\\d+: \\w+:\\w+ \\w+:${port} 01 \\S+ (\\d\\d):`, 'gm')
    const timers = [...readFileSync('/proc/net/tcp', 'latin1').matchAll(pattern)].map(([, timer]) => timer)
    expect(timers).toContain('02')
    client.drop()
    await foreman.stop()
    await simulator.stop()
  })

  test('uses a fresh connection for every probe', () => {
    const ask = sources.find(({ name }) => name === 'engine/ask.ts')
    expect(ask?.text).toContain('reuse: false')
  })
})

describe('the server', () => {
  const listen = (app: {
    listen(options: { port: number; hostname: string }): unknown
    server: { port?: number | undefined } | null
  }) => {
    app.listen({ port: 0, hostname: '127.0.0.1' })
    return app.server?.port ?? 0
  }
  const ask = async (port: number, bytes: string) => {
    const client = await rawClient(port)
    client.send(bytes)
    const text = await within(
      5_000,
      'an answer',
      client.until((received) => received.includes('\r\n\r\n')),
    )
    client.destroy()
    return text
  }

  test("Elysia's own path is wrong for a short Host header; ours is not", async () => {
    const seen: { elysia: string; ours: string }[] = []
    const app = new Elysia().all('/*', ({ path, request }) => {
      seen.push({ elysia: path, ours: pathOf(request) })
      return 'x'
    })
    const port = listen(app)
    await ask(port, 'GET /api/jobs/7 HTTP/1.1\r\nHost: a\r\n\r\n')
    await ask(port, 'GET /api/jobs/7 HTTP/1.0\r\n\r\n')
    await app.stop(true)
    expect(seen.map(({ ours }) => ours)).toEqual(['/api/jobs/7', '/api/jobs/7'])
    // When this fails, Elysia has mended it: then it may be trusted again, and ADRs may be shortened.
    expect(seen[0]?.elysia).toBe('/jobs/7')
  })

  test('a client that leaves aborts the request signal, before the head and in the middle of a stream', async () => {
    const aborted = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
    const app = new Elysia()
      .get('/silent', ({ request }) => {
        request.signal.addEventListener('abort', () => aborted[0]!.resolve('silent'))
        return new Promise<Response>(() => undefined)
      })
      .get('/stream', ({ request }) => {
        request.signal.addEventListener('abort', () => aborted[1]!.resolve('stream'))
        return new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(10)) }))
      })
    const port = listen(app)
    const [silent, stream] = [await rawClient(port), await rawClient(port)]
    silent.send('GET /silent HTTP/1.1\r\nHost: x\r\n\r\n')
    stream.send('GET /stream HTTP/1.1\r\nHost: x\r\n\r\n')
    await stream.until((received) => received.includes('\r\n\r\n'))
    silent.destroy()
    stream.destroy()
    const seen = aborted.map(({ promise }) => promise)
    expect(await within(5_000, 'both signals', Promise.all(seen))).toEqual(['silent', 'stream'])
    await app.stop(true)
  })

  test('what a handler throws is shown to the world unless it is caught: foreman has its own error handler', async () => {
    const bare = new Elysia().get('/', () => {
      throw new Error('secret path /etc')
    })
    const port = listen(bare)
    expect(await ask(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')).toContain('secret path')
    await bare.stop(true)
    expect(sources.find(({ name }) => name === 'http/server.ts')?.text).toContain('.onError(')
  })
})
