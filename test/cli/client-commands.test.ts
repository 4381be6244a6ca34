import { afterEach, describe, expect, test } from 'bun:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { closedPort, createIo, createStub } from '../support/command-io.ts'

const stubs: { stop(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(stubs.splice(0).map((stub) => stub.stop()))
})
const stubOf = (answers: Record<string, () => Response | Promise<Response>>) => {
  const stub = createStub(answers)
  stubs.push(stub)
  return stub
}
const run = async (argv: string[], env: Record<string, string>, isTerminal = false) => {
  const io = createIo(env, { isTerminal })
  return { code: await runCommandLine(argv, io), out: io.out(), err: io.err() }
}

const health = (change: object = {}) => ({
  status: 'ok',
  degraded: false,
  last_poll: new Date(Date.now() - 12_000).toISOString(),
  target: {
    url: 'http://gpu-box:11434',
    reachable: true,
    version: '0.33.0',
    resident: ['llama3.2:3b', { name: 'nomic-embed-text:latest' }],
  },
  queue: { queued: 3, working: 1, oldest_age_seconds: 75 },
  worker: { state: 'working', job_id: '01ABC', model: 'llama3.2:3b' },
  ...change,
})

describe.each([['status'], ['models']])('foreman %s', (verb) => {
  test('says that nothing listens and exits 3', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`
    const { code, out, err } = await run([verb], { FOREMAN_URL: url })
    expect([code, out]).toEqual([3, ''])
    expect(err).toBe(
      `foreman: nothing listens at ${url}: is \`foreman serve\` running? FOREMAN_URL says where to look\n`,
    )
  })

  test('says which token is missing or wrong and exits 4 without printing it', async () => {
    const { url, requests } = stubOf({
      '/status': () => new Response('', { status: 401 }),
      '/api/tags': () => new Response('', { status: 401 }),
    })
    const without = await run([verb], { FOREMAN_URL: url })
    expect([without.code, without.err]).toEqual([4, `foreman: ${url} wants a token: set FOREMAN_TOKEN\n`])
    const wrong = await run([verb], { FOREMAN_URL: url, FOREMAN_TOKEN: 'hunter2' })
    expect([wrong.code, wrong.err]).toEqual([4, `foreman: ${url} does not accept this token: check FOREMAN_TOKEN\n`])
    expect(requests.map(({ authorization }) => authorization)).toEqual([null, 'Bearer hunter2'])
  })

  test('says which setting is wrong and exits 2', async () => {
    const { code, err } = await run([verb], { FOREMAN_URL: 'nas?' })
    expect([code, err]).toEqual([2, expect.stringContaining('FOREMAN_URL is "nas?": expected')])
  })

  test('says so when another server listens there', async () => {
    const { url } = stubOf({})
    const { code, err } = await run([verb], { FOREMAN_URL: url })
    expect(code).not.toBe(0)
    expect(err).toContain('answered 404')
  })
})

describe('foreman status', () => {
  test('prints how foreman, target, queue and worker are doing', async () => {
    const { url } = stubOf({ '/status': () => Response.json(health()) })
    expect(await run(['status'], { FOREMAN_URL: url })).toEqual({
      code: 0,
      err: '',
      out: `foreman    ${url} ok
target     http://gpu-box:11434 reachable, Ollama 0.33.0
loaded     llama3.2:3b, nomic-embed-text:latest
queue      3 waiting, the oldest for 1m; 1 running
worker     working llama3.2:3b 01ABC
last poll  12s ago
`,
    })
  })

  test('exits 1 and says that jobs wait when the target sleeps', async () => {
    const away_since = new Date(Date.now() - 12 * 60_000).toISOString()
    const target = { url: 'http://gpu-box:11434', reachable: false, away_since, version: null, resident: [] }
    const { url } = stubOf({ '/status': () => Response.json(health({ degraded: true, target, last_poll: null })) })
    const { code, out } = await run(['status'], { FOREMAN_URL: url })
    expect(code).toBe(1)
    expect(out.replaceAll(/\s+/g, ' ')).toContain('cannot be reached (away for 12m), jobs wait for it')
    expect(out).toContain('loaded     not known while it is away')
    expect(out).toContain('last poll  never')
  })

  test('no line is wider than 80 columns, and what is not known is left out', async () => {
    const words = `Ollama is down (hung): ${'no token of qwen3:8b within 15 s, '.repeat(6)}and nothing helped`
    const told = {
      parts: { manager: { words, pid: null, last_restart: { cause: 'hung', evidence: words, ok: true } } },
      alarms: [{ part: 'manager', name: 'down', words, since: new Date().toISOString() }],
      reasons: { health: words, pins: 'all are loaded' },
      health: 'down',
      pins: [{ model: 'qwen3:8b', loaded: true }],
      lately: [{ at: new Date().toISOString(), part: 'manager', name: 'down', state: 'raised', words }],
    }
    const { url } = stubOf({ '/status': () => Response.json(health(told)) })
    const { out } = await run(['status', '--why'], { FOREMAN_URL: url })
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(out).not.toContain('null')
    expect(out).toMatch(/pins +model qwen3:8b, loaded true: all are loaded/)
  })

  test('says why it is degraded, names every job that runs, and passes on what parts tell', async () => {
    const slots = ['01ABC', '01DEF'].map((job_id, slot) => ({ slot, state: 'working', job_id, model: 'qwen3:8b' }))
    const told = {
      degraded: true,
      reason: '/api/tags answered 401, which is not Ollama',
      worker: { state: 'working', job_id: '01ABC', model: 'qwen3:8b', slots },
      parts: { pins: { missing: ['a:1b'], loaded: [{ model: 'b', since: 7 }] }, wake: 'three packets sent' },
    }
    const { url } = stubOf({ '/status': () => Response.json(health(told)) })
    const { out } = await run(['status'], { FOREMAN_URL: url })
    expect(out.split('\n').slice(2, -2)).toEqual([
      'because    /api/tags answered 401, which is not Ollama',
      'loaded     llama3.2:3b, nomic-embed-text:latest',
      'queue      3 waiting, the oldest for 1m; 1 running',
      'worker     working qwen3:8b 01ABC',
      '           working qwen3:8b 01DEF',
      'pins       missing: a:1b',
      '           loaded: model b, since 7',
      'wake       three packets sent',
    ])
  })

  test('exits 1 when foreman is there and not ready', async () => {
    const { url } = stubOf({ '/status': () => Response.json(health({ status: 'not ready' })) })
    expect((await run(['status'], { FOREMAN_URL: url })).code).toBe(1)
  })

  test('exits 1 when foreman itself is unhealthy', async () => {
    const { url } = stubOf({ '/status': () => Response.json(health({ status: 'draining' }), { status: 503 }) })
    expect((await run(['status'], { FOREMAN_URL: url })).code).toBe(1)
  })

  test('--json prints the answer as it came', async () => {
    const { url } = stubOf({ '/status': () => Response.json(health()) })
    const { code, out } = await run(['status', '--json'], { FOREMAN_URL: url })
    expect([code, JSON.parse(out).queue]).toEqual([0, health().queue])
  })

  test('colours only a terminal, and not when NO_COLOR is set', async () => {
    const { url } = stubOf({ '/status': () => Response.json(health()) })
    expect((await run(['status'], { FOREMAN_URL: url }, true)).out).toContain('\x1b[1mforeman')
    expect((await run(['status'], { FOREMAN_URL: url, NO_COLOR: '1' }, true)).out).not.toContain('\x1b')
    expect((await run(['status'], { FOREMAN_URL: url })).out).not.toContain('\x1b')
  })
})

describe('foreman models', () => {
  const soon = new Date(Date.now() + 290_000).toISOString()
  const answers = {
    '/api/tags': () =>
      Response.json({
        models: [
          { name: 'llama3.2:3b', size: 2_019_393_189, details: { quantization_level: 'Q4_K_M' } },
          { name: 'big:70b', size: 42_520_413_916, details: { quantization_level: '' } },
          { name: 'embed:latest', size: 274_302_450, details: { quantization_level: 'F16' } },
        ],
      }),
    '/api/ps': () =>
      Response.json({
        models: [
          { name: 'llama3.2:3b', expires_at: '2319-03-03T10:00:00Z' },
          { name: 'embed:latest', expires_at: soon },
        ],
      }),
  }

  test('prints installed and loaded models in aligned columns', async () => {
    const { url } = stubOf(answers)
    expect(await run(['models'], { FOREMAN_URL: url })).toEqual({
      code: 0,
      err: '',
      out: `NAME            SIZE  QUANTIZATION  RESIDENT  EXPIRES
llama3.2:3b   2.0 GB  Q4_K_M        loaded    never
big:70b        43 GB  -             -         -
embed:latest  274 MB  F16           loaded    in 4m
`,
    })
  })

  test('prints what foreman remembers of a target that is away, says so and exits 1', async () => {
    const at = new Date(Date.now() - 12 * 60_000).toISOString()
    const headers = { 'X-Foreman-Answered-From': `memory; at=${at}` }
    const remembered = (path: keyof typeof answers) => async () =>
      Response.json(await answers[path]().json(), { headers })
    const { url } = stubOf({ '/api/tags': remembered('/api/tags'), '/api/ps': remembered('/api/ps') })
    const { code, out, err } = await run(['models'], { FOREMAN_URL: url })
    expect([code, out.includes('llama3.2:3b'), err]).toEqual([
      1,
      true,
      'foreman: the target is away; these are its models of 12m ago: `foreman status` tells more\n',
    ])
  })

  test('--json prints one list', async () => {
    const { url } = stubOf(answers)
    const { out } = await run(['models', '--json'], { FOREMAN_URL: url })
    expect(JSON.parse(out)).toEqual([
      {
        name: 'llama3.2:3b',
        size: 2_019_393_189,
        quantization: 'Q4_K_M',
        resident: true,
        expires_at: '2319-03-03T10:00:00Z',
      },
      { name: 'big:70b', size: 42_520_413_916, quantization: '', resident: false, expires_at: null },
      { name: 'embed:latest', size: 274_302_450, quantization: 'F16', resident: true, expires_at: soon },
    ])
  })

  test('says what to do when there are none', async () => {
    const { url } = stubOf({
      '/api/tags': () => Response.json({ models: [] }),
      '/api/ps': () => Response.json({ models: [] }),
    })
    expect((await run(['models'], { FOREMAN_URL: url })).out).toContain('ollama pull')
  })

  test("exits 1 with the target's words when it cannot answer", async () => {
    const { url } = stubOf({
      ...answers,
      '/api/ps': () => Response.json({ error: 'the target is asleep' }, { status: 503 }),
    })
    expect(await run(['models'], { FOREMAN_URL: url })).toEqual({
      code: 1,
      out: '',
      err: 'foreman: /api/ps: the target is asleep\n',
    })
  })
})

test('foreman models does not blame foreman for a target that says nothing: exit code 1', async () => {
  const silent = Promise.withResolvers<Response>()
  const { url } = stubOf({
    '/api/tags': () => Response.json({ models: [] }),
    '/api/ps': () => silent.promise,
    '/livez': () => Response.json({}),
  })
  const io = createIo({ FOREMAN_URL: url })
  // Longer than foreman itself takes to say that its target is away; here it is over at once.
  const clock = { ...io.clock, after: (ms: number, run: () => void) => io.clock.after(ms > 30_000 ? 20 : ms, run) }
  expect(await runCommandLine(['models'], { ...io, clock })).toBe(1)
  expect(io.err()).toBe(`foreman: ${url} is there, but its target does not answer: \`foreman status\` tells more\n`)
})

describe('foreman healthcheck', () => {
  test('exits 0 on a 200 of /livez, or of /readyz when asked', async () => {
    const { url, requests } = stubOf({ '/livez': () => new Response('ok'), '/readyz': () => new Response('ok') })
    expect(await run(['healthcheck'], { FOREMAN_URL: url })).toEqual({ code: 0, out: 'ok\n', err: '' })
    expect((await run(['healthcheck', '--ready'], { FOREMAN_URL: url })).code).toBe(0)
    expect(requests.map(({ path }) => path)).toEqual(['/livez', '/readyz'])
  })

  test('exits 1, never another code, when the answer is no, nobody answers or a setting is wrong', async () => {
    const { url } = stubOf({ '/livez': () => new Response('stuck', { status: 503 }) })
    expect(await run(['healthcheck'], { FOREMAN_URL: url })).toEqual({
      code: 1,
      out: '',
      err: 'foreman: unhealthy: 503 stuck\n',
    })
    expect((await run(['healthcheck'], { FOREMAN_URL: `http://127.0.0.1:${await closedPort()}` })).code).toBe(1)
    expect((await run(['healthcheck'], { FOREMAN_URL: 'nas?' })).code).toBe(1)
  })

  test('gives up on a server that says nothing', async () => {
    const silent = Promise.withResolvers<Response>()
    const { url } = stubOf({ '/livez': () => silent.promise })
    const io = createIo({ FOREMAN_URL: url })
    const delays: number[] = []
    const clock = {
      ...io.clock,
      after: (delayMs: number, run: () => void) => {
        delays.push(delayMs)
        return io.clock.after(0, run)
      },
    }
    expect(await runCommandLine(['healthcheck', '--json'], { ...io, clock })).toBe(1)
    expect(delays).toEqual([3000])
    expect(JSON.parse(io.out())).toEqual({ ok: false, status: null, error: `${url} did not answer within 3 s` })
    silent.resolve(new Response(''))
  })
})
