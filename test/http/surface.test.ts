/** Section 4 of the specification: on the wire foreman is an Ollama, down to the paths, names and odd requests it must bear. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { generation, seenBy } from '../support/generation-call.ts'
import { healthIs, idle, polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { spawnForeman } from '../support/spawned-foreman.ts'
import { askOnce, headerOf, openClient } from '../support/wire-client.ts'

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({
    models: [
      { name: 'tiny' },
      { name: 'Mixed-Case:Q4' },
      { name: 'stub', remoteModel: 'big', remoteHost: 'https://ollama.com' },
    ],
  })
  foreman = await runForeman(simulator.url, { FOREMAN_HOSTS: '*' })
  await polled(foreman)
})
afterEach(() => simulator.fault(null))
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const raw = (lines: readonly string[], body = '') => askOnce(foreman.port, `${lines.join('\r\n')}\r\n\r\n${body}`)

describe('the paths of Ollama', () => {
  test('HEAD / and GET / say that Ollama is running, also while it is not', async () => {
    simulator.fault({ kind: 'refuse' })
    const got = await askOnce(foreman.port, get('/'))
    expect([got.status, headerOf(got, 'content-type'), got.body.toString()]).toEqual([
      200,
      'text/plain; charset=utf-8',
      'Ollama is running',
    ])
    const head = await raw(['HEAD / HTTP/1.1', 'Host: x.local'])
    expect([head.status, headerOf(head, 'content-length')]).toEqual([200, '17'])
  })

  const redirects: [string, string, number, string][] = [
    ['GET', '/api/version/', 301, '/api/version'],
    ['GET', '/api/tags/?a=b', 301, '/api/tags?a=b'],
    ['POST', '/api/chat/', 307, '/api/chat'],
    ['POST', '/v1/chat/completions/?a=b', 307, '/v1/chat/completions?a=b'],
    ['DELETE', '/api/delete/', 307, '/api/delete'],
    ['GET', '//api/version', 307, '/api/version'],
  ]
  for (const [method, path, status, location] of redirects) {
    test(`${method} ${path} is redirected to ${location}`, async () => {
      const answer = await raw([`${method} ${path} HTTP/1.1`, 'Host: x.local', 'Content-Length: 0'])
      expect([answer.status, headerOf(answer, 'location')]).toEqual([status, location])
    })
  }

  test('paths are case-sensitive', async () => {
    expect((await askOnce(foreman.port, get('/API/version'))).status).toBe(404)
  })

  test('unknown paths of /api and /v1 are for the target to answer, others are not', async () => {
    for (const path of ['/api/new/route?x=1', '/v1/new']) {
      const before = simulator.counters().requests
      expect((await askOnce(foreman.port, get(path))).status).toBe(404)
      const bare = path.split('?')[0]!
      expect(simulator.counters().requests[bare]).toBe((before[bare] ?? 0) + 1)
    }
    await askOnce(foreman.port, get('/elsewhere'))
    expect(simulator.counters().requests['/elsewhere']).toBeUndefined()
  })

  test('CORS is as Ollama decides it', async () => {
    const allowed = ['OPTIONS /api/chat HTTP/1.1', 'Host: x.local', 'Origin: http://localhost:3000']
    const preflight = await raw([...allowed, 'Access-Control-Request-Method: POST'])
    expect([preflight.status, headerOf(preflight, 'access-control-allow-origin')]).toEqual([
      204,
      'http://localhost:3000',
    ])
    expect(headerOf(preflight, 'access-control-max-age')).toBe('43200')
    const foreign = await raw(['GET /api/version HTTP/1.1', 'Host: x.local', 'Origin: https://evil.example'])
    expect([foreign.status, foreign.body.length]).toEqual([403, 0])
    const simple = await raw(['GET /api/version HTTP/1.1', 'Host: x.local', 'Origin: http://localhost:3000'])
    expect(headerOf(simple, 'access-control-allow-origin')).toBe('http://localhost:3000')
  })
})

describe('odd requests', () => {
  for (const host of ['a', 'ab', 'evil/admin?', '', ':1', '[::1]']) {
    test(`a Host header of "${host}" changes nothing`, async () => {
      const body = '{"model":"tiny","stream":false,"prompt":"[[n=1]]"}'
      const lines = [`POST /api/generate HTTP/1.1`, `Host: ${host}`, `Content-Length: ${body.length}`]
      expect((await raw(lines, body)).status).toBe(200)
      expect((await raw(['GET /api/version HTTP/1.1', `Host: ${host}`])).status).toBe(200)
    })
  }
  test('a request without a Host header is HTTP/1.0 and is answered', async () => {
    expect((await raw(['GET /api/version HTTP/1.0'])).body.toString()).toContain('"version"')
    expect((await raw(['GET /healthz HTTP/1.0'])).status).toBe(200)
  })
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data', 'nonsense', '']) {
    test(`a body called "${type}" is JSON all the same, as from curl -d`, async () => {
      const answer = await askOnce(foreman.port, generation('/api/chat', { stream: false }, [`Content-Type: ${type}`]))
      expect(seenBy('/api/chat', false, answer)).toBe('done')
    })
  }
  test('keys in any case, a second value that wins and bytes after the object are read as Go reads them', async () => {
    const body =
      '{"MODEL":"nope","Model":"tiny","stream":false,"messages":[{"role":"user","content":"[[n=1]]"}]} and more'
    expect((await askOnce(foreman.port, post('/api/chat', body))).status).toBe(200)
  })
  test('an expectation is met before the body is sent', async () => {
    const client = await openClient(foreman.port)
    const body = '{"model":"tiny","stream":false,"prompt":"[[n=1]]"}'
    const head = `POST /api/generate HTTP/1.1\r\nHost: x.local\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`
    expect((await client.send(head + body).answer).status).toBe(200)
    client.drop()
  })
})

describe('the names of models', () => {
  const good = ['tiny', ' tiny ', 'TINY:latest', 'library/tiny', 'registry.ollama.ai/library/tiny:latest', 'tiny:local']
  for (const model of [...good, 'https://registry.ollama.ai/library/tiny', 'mixed-case:q4']) {
    test(`"${model}" is found, and comes back as it was written`, async () => {
      const answer = await askOnce(foreman.port, generation('/api/chat', { stream: false, model }))
      expect(answer.status).toBe(200)
      expect(JSON.parse(answer.body.toString())).toHaveProperty('model', model)
    })
  }
  for (const model of ['mixed-case', 'tiny:other', 'other/tiny']) {
    test(`"${model}" is not installed`, async () => {
      expect((await askOnce(foreman.port, generation('/api/chat', { stream: true, model }))).status).toBe(404)
    })
  }
  test('spellings of one model cause no second load', async () => {
    await idle(foreman)
    const call = (model: string) => askOnce(foreman.port, generation('/api/chat', { stream: false, model }))
    await call('tiny')
    const { loads } = simulator.counters()
    for (const model of good) expect((await call(model)).status).toBe(200)
    expect(simulator.counters().loads).toBe(loads)
  })
  test('a model that was pulled behind its back is found after one poll more', async () => {
    const direct = post('/api/pull', { model: 'fresh', stream: false })
    expect((await askOnce(simulator.port, direct)).status).toBe(200)
    expect((await askOnce(foreman.port, generation('/api/chat', { stream: true, model: 'fresh' }))).status).toBe(200)
  })
})

describe('beside a generation', () => {
  const during = async (run: () => Promise<void>) => {
    const client = await openClient(foreman.port)
    client.send(generation('/api/chat', { stream: true, prompt: '[[silent=60000]]' }))
    await simulator.waitFor(({ open }) => open === 1)
    try {
      await run()
      expect((await healthIs(foreman, 'the generation', () => true)).queue).toMatchObject({ queued: 0, working: 1 })
    } finally {
      client.drop()
      await idle(foreman)
    }
  }
  test('cloud models pass', () =>
    during(async () => {
      for (const model of ['x:cloud', 'gpt-oss:20b-cloud', 'X:CLOUD'])
        expect((await askOnce(foreman.port, generation('/api/chat', { stream: true, model }))).status).toBe(403)
      const stub = await askOnce(foreman.port, generation('/api/chat', { stream: true, model: 'stub' }))
      expect(seenBy('/api/chat', true, stub)).toBe('done')
      expect(headerOf(stub, 'x-foreman-job-id')).toBeNull()
    }))
  test('the unload idiom passes', () =>
    during(async () => {
      for (const [path, more] of [
        ['/api/generate', { keep_alive: 0 }],
        ['/api/generate', { prompt: '', keep_alive: '0s' }],
        ['/api/chat', { messages: [], keep_alive: 0 }],
      ] as const) {
        const answer = await askOnce(foreman.port, post(path, { model: 'tiny', ...more }))
        expect(JSON.parse(answer.body.toString())).toMatchObject({ done: true, done_reason: 'unload' })
      }
    }))
})

describe('transfers', () => {
  test('the progress of a pull is streamed, and what it brought is known at once', async () => {
    const answer = await askOnce(foreman.port, post('/api/pull', { model: 'pulled' }))
    const lines = answer.body.toString().trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(3)
    expect(lines.at(-1)).toBe('{"status":"success"}')
    expect(
      seenBy(
        '/api/chat',
        true,
        await askOnce(foreman.port, generation('/api/chat', { stream: true, model: 'pulled' })),
      ),
    ).toBe('done')
  })

  test('a blob of 200 MB streams through in little memory', async () => {
    const MB = 1024 * 1024
    const piece = Buffer.alloc(MB, 'blob')
    const hasher = new Bun.CryptoHasher('sha256')
    for (let i = 0; i < 200; i++) hasher.update(piece)
    const path = `/api/blobs/sha256:${hasher.digest('hex')}`
    const own = await spawnForeman(simulator.url)
    try {
      const before = own.rssBytes()
      let sent = 0
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (sent++ < 200) controller.enqueue(piece)
          else controller.close()
        },
      })
      const { status } = await fetch(`${own.url}${path}`, { method: 'POST', body })
      expect(status).toBe(201)
      expect((await fetch(`${own.url}${path}`, { method: 'HEAD' })).status).toBe(200)
      const added = own.peakBytes() - before
      figure('R3', `a blob of 200 MB: foreman grew by ${Math.round(added / MB)} MB at most`)
      expect(added).toBeLessThan(64 * MB)
    } finally {
      await own.kill()
    }
  }, 60_000)

  test("a blob that is another is the target's to refuse", async () => {
    const path = `/api/blobs/sha256:${'0'.repeat(64)}`
    const answer = await askOnce(foreman.port, post(path, 'something else'))
    expect([answer.status, answer.body.toString()]).toEqual([400, expect.stringContaining('digest mismatch')])
  })
})

describe('while the target sleeps', () => {
  test('the list of models is the last one known, to the byte', async () => {
    const awake = await askOnce(foreman.port, get('/api/tags'))
    simulator.fault({ kind: 'refuse' })
    for (let i = 0; i < 2; i++) {
      const asleep = await askOnce(foreman.port, get('/api/tags'))
      expect([asleep.status, asleep.body.toString()]).toEqual([200, awake.body.toString()])
    }
    const pulled = await askOnce(foreman.port, post('/api/pull', { model: 'tiny' }))
    expect([pulled.status, headerOf(pulled, 'retry-after')]).toEqual([503, '5'])
  })
})
