import { afterEach, describe, expect, test } from 'bun:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { closedPort, createIo, type TestIoOptions } from '../support/command-io.ts'
import { accepted, createJobStub, doneJson, failedJson, jobId, jobJson, problem } from '../support/job-stub.ts'

const stubs: { stop(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(stubs.splice(0).map((stub) => stub.stop()))
})
const stubOf = (answers: Parameters<typeof createJobStub>[0] = { 'POST /jobs': () => accepted() }) => {
  const stub = createJobStub(answers)
  stubs.push(stub)
  return stub
}
const run = async (argv: string[], url: string, options: TestIoOptions = {}, env: Record<string, string> = {}) => {
  const io = createIo({ FOREMAN_URL: url, ...env }, options)
  return { code: await runCommandLine(['submit', ...argv], io), out: io.out(), err: io.err() }
}
const sentBy = async (argv: string[], options: TestIoOptions = {}) => {
  const stub = stubOf()
  const { code, err } = await run(argv, stub.url, options)
  expect([code, err]).toEqual([0, ''])
  return JSON.parse(stub.asked[0]?.body ?? '')
}
const refusedWith = async (argv: string[], options: TestIoOptions = {}) => {
  const stub = stubOf()
  const { code, out, err } = await run(argv, stub.url, options)
  expect([code, out, stub.asked.length]).toEqual([2, '', 0])
  return err
}
const model = ['--model', 'qwen3:14b']

describe('what foreman submit sends', () => {
  test('is a chat with the argument as its prompt, and nothing that was not said', async () => {
    expect(await sentBy([...model, 'Why?'])).toEqual({
      model: 'qwen3:14b',
      messages: [{ role: 'user', content: 'Why?' }],
    })
  })

  test.each<[string[], string | undefined, string]>([
    [['qwen3:14b', 'Why is it?'], undefined, 'Why is it?'],
    [['qwen3:14b', 'why', 'is', 'it'], undefined, 'why is it'],
    [['qwen3:14b', '--wait', 'Why?'], undefined, 'Why?'],
    [['qwen3:14b'], 'piped\n', 'piped'],
    [['qwen3:14b', 'Review:', '-'], 'diff\n', 'Review:\n\ndiff'],
    [['qwen3:14b', '-'], 'piped', 'piped'],
  ])('is typed as with `ollama run`: %j', async (argv, stdin, content) => {
    const stub = createJobStub({
      'POST /jobs': () => accepted(),
      [`GET /jobs/${jobId}`]: () => Response.json(doneJson('x')),
    })
    stubs.push(stub)
    expect((await run(argv, stub.url, { stdin })).code).toBe(0)
    expect(JSON.parse(stub.asked[0]?.body ?? '')).toEqual({ model: 'qwen3:14b', messages: [{ role: 'user', content }] })
  })

  test('carries system message, pictures, options, format and webhook', async () => {
    const argv = [...model, '--system', 'Be brief.', '--image', 'a.png', '--image', 'b.png', '--format', 'json']
    const more = ['--option', 'num_ctx=8192', '--option', 'stop=["END"]', '--option', 'note=plain=text']
    const files = { 'a.png': new Uint8Array([0, 255, 1]), 'b.png': new Uint8Array([2]) }
    const hook = ['--webhook', 'http://nas:9000/hook', '--webhook-events', 'working, done']
    expect(await sentBy([...argv, ...more, ...hook, 'What?'], { files })).toEqual({
      model: 'qwen3:14b',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'What?', images: ['AP8B', 'Ag=='] },
      ],
      options: { num_ctx: 8192, stop: ['END'], note: 'plain=text' },
      format: 'json',
      state_webhook_url: 'http://nas:9000/hook',
      state_webhook_events: ['working', 'done'],
    })
    const final = ['--webhook', 'http://nas/', '--webhook-events', 'final']
    expect((await sentBy([...model, ...final, 'x'])).state_webhook_events).toBe('final')
  })

  test('reads a JSON schema for --format out of a file', async () => {
    const files = { 'answer.json': '{"type":"object"}' }
    expect((await sentBy([...model, '--format', 'answer.json', 'x'], { files })).format).toEqual({ type: 'object' })
  })

  test.each([
    ['a file', ['--file', 'p.txt'], undefined, 'from the file\nüñí'],
    ['stdin', [], 'piped\n', 'piped'],
    ['stdin named as -', ['-'], 'piped', 'piped'],
    ['stdin named as a file', ['--file', '-'], 'piped', 'piped'],
    ['an argument and -', ['Review:', '-'], 'diff\n', 'Review:\n\ndiff'],
    ['an argument and a file', ['Review:', '--file', 'p.txt'], undefined, 'Review:\n\nfrom the file\nüñí'],
    ['an argument, whatever is piped in', ['Review:'], 'not read', 'Review:'],
  ])('takes the prompt from %s', async (_, argv, stdin, expected) => {
    const files = { 'p.txt': 'from the file\nüñí\r\n' }
    expect((await sentBy([...model, ...argv], { stdin, files })).messages[0].content).toBe(expected)
  })

  test('is the file of --raw-body, byte for byte', async () => {
    const raw = ' {"model":"m", "prompt":"\\ud800", "stream": true}\n'
    for (const [argv, options] of [
      [['--raw-body', 'p.json'], { files: { 'p.json': raw } }],
      [['--raw-body', '-'], { stdin: raw }],
    ] as const) {
      const stub = stubOf()
      expect((await run([...argv], stub.url, options)).code).toBe(0)
      expect(stub.asked[0]?.body).toBe(raw)
      expect(stub.asked[0]?.headers.get('content-type')).toBe('application/json')
    }
  })

  test('goes with the idempotency key and the token', async () => {
    const stub = stubOf()
    await run([...model, '--idempotency-key', 'nightly-1', 'x'], stub.url, {}, { FOREMAN_TOKEN: 'hunter2' })
    expect(stub.asked[0]?.headers.get('idempotency-key')).toBe('nightly-1')
    expect(stub.asked[0]?.headers.get('authorization')).toBe('Bearer hunter2')
  })
})

describe('foreman submit refuses before it asks anybody', () => {
  test.each<[string, string[], TestIoOptions, string]>([
    ['no model', ['Why is it?'], {}, 'which model? `foreman submit MODEL PROMPT`'],
    ['a model and nothing else', ['qwen3:14b'], {}, 'what is the prompt?'],
    [
      'a flag that speaks of a webhook',
      ['--webhook-url', 'x'],
      {},
      'there is no flag --webhook-url, did you mean --webhook?',
    ],
    ['no prompt', [...model], {}, 'what is the prompt?'],
    ['an empty prompt', [...model], { stdin: ' \n' }, 'the prompt is empty'],
    ['a prompt without quotes', [...model, 'why', 'not'], {}, '"not" is one word too many: put the prompt in quotes'],
    ['a file that is not there', [...model, '--file', 'no.txt'], {}, '--file no.txt: there is no such file'],
    [
      'a picture as text',
      [...model],
      { stdin: new Uint8Array([0xff, 0xd8]) },
      'not UTF-8 text: pictures go with --image',
    ],
    ['stdin that is a terminal', [...model, '-'], {}, 'nothing is piped in'],
    [
      'an option without a value',
      [...model, '--option', 'num_ctx', 'x'],
      {},
      '--option is "num_ctx": expected key=value',
    ],
    [
      'a schema that is none',
      [...model, '--format', 's', 'x'],
      { files: { s: '[' } },
      '--format s holds no JSON schema',
    ],
    ['raw body and a model', [...model, '--raw-body', '-'], { stdin: '{}' }, 'put what --model says into it'],
    ['raw body and a prompt', ['--raw-body', '-', 'x'], { stdin: '{}' }, 'put the prompt into it'],
    ['stream and json', [...model, '--stream', '--json', 'x'], {}, '--stream prints text'],
  ])('%s', async (_, argv, options, expected) => {
    const err = await refusedWith(argv, options)
    expect(err).toContain(expected)
    expect(err).toMatch(/^foreman: [^\n]+ \(--help tells more\)\n$/)
  })
})

describe('what foreman submit prints', () => {
  test('is the id alone in a pipe', async () => {
    expect(await run([...model, 'x'], stubOf().url)).toEqual({ code: 0, out: `${jobId}\n`, err: '' })
  })

  test('is what to do next on a terminal', async () => {
    const { out } = await run([...model, 'x'], stubOf().url, { isTerminal: true })
    expect(out).toStartWith(`Job ${jobId} is queued, position 3, about 42s.\n`)
    expect(out).toContain(`foreman show ${jobId}`)
  })

  test('leaves out an estimate that nobody has', async () => {
    const { url } = stubOf({ 'POST /jobs': () => accepted({ position: 1, eta_seconds: null }) })
    expect((await run([...model, 'x'], url, { isTerminal: true })).out).toStartWith(
      `Job ${jobId} is queued, position 1.\n`,
    )
  })

  test('is the answer as it came with --json', async () => {
    const { out } = await run([...model, '--json', 'x'], stubOf().url)
    expect(JSON.parse(out)).toEqual({ job_id: jobId, state: 'queued', position: 3, eta_seconds: 42 })
  })

  test('is the detail of a problem in one sentence, with exit code 1', async () => {
    const detail = 'model "qwen3:41b" is not installed on the target: pull it first, or check the name'
    for (const status of [400, 413, 422, 503]) {
      const { url } = stubOf({ 'POST /jobs': () => problem(status, detail) })
      expect(await run([...model, 'x'], url)).toEqual({ code: 1, out: '', err: `foreman: ${detail}\n` })
    }
  })

  test('is that nobody, or somebody else, listens, with exit code 3', async () => {
    const nobody = await run([...model, 'x'], `http://127.0.0.1:${await closedPort()}`)
    expect([nobody.code, nobody.err]).toEqual([3, expect.stringContaining('nothing listens at')])
    const { url } = stubOf({ 'POST /jobs': () => new Response('404 page not found', { status: 404 }) })
    const other = await run([...model, 'x'], url)
    expect([other.code, other.err]).toEqual([3, expect.stringContaining('is another server listening there?')])
  })

  test('is that a token is wanted, with exit code 4', async () => {
    const { url } = stubOf({ 'POST /jobs': () => problem(401, 'a bearer token is required') })
    expect(await run([...model, 'x'], url)).toEqual({
      code: 4,
      out: '',
      err: `foreman: ${url} wants a token: set FOREMAN_TOKEN\n`,
    })
  })
})

describe('foreman submit --wait', () => {
  const waiting = (...jobs: object[]) => {
    const left = [...jobs]
    return stubOf({
      'POST /jobs': () => accepted(),
      [`GET /jobs/${jobId}`]: () => Response.json(left.length > 1 ? left.shift() : left[0]),
      [`GET /jobs/${jobId}/artifacts/completion`]: () =>
        Response.json({ message: { role: 'assistant', content: 'a large answer' }, done: true }),
    })
  }

  test('prints the answer and nothing else', async () => {
    const { url, asked } = waiting(doneJson('Because.'))
    expect(await run([...model, '--wait', 'x'], url)).toEqual({ code: 0, out: 'Because.\n', err: '' })
    expect(asked[1]?.query).toBe('wait=30s')
  })

  test('fetches an answer that is too large to stand in the job', async () => {
    const { url } = waiting(doneJson('', { result: null }))
    expect(await run([...model, '--wait', 'x'], url)).toEqual({ code: 0, out: 'a large answer\n', err: '' })
  })

  test.each([
    ['a generate answer', { response: 'text' }, 'text\n'],
    [
      'tool calls',
      { message: { content: '', tool_calls: [{ function: { name: 'f' } }] } },
      '[{"function":{"name":"f"}}]\n',
    ],
    ['an answer with a line end', { response: 'text\n' }, 'text\n'],
  ])('prints %s', async (_, result, expected) => {
    expect((await run([...model, '--wait', 'x'], waiting(doneJson('', { result })).url)).out).toBe(expected)
  })

  test('shows state, position and estimate on a terminal, and takes the line away', async () => {
    const { url } = waiting(jobJson({ position: 2, eta_seconds: 90 }), doneJson('Because.'))
    const { code, out, err } = await run([...model, '--wait', 'x'], url, { isTerminal: true })
    expect([code, out]).toEqual([0, 'Because.\n'])
    expect(err).toContain(`\r\x1b[2K${jobId} queued, position 3, about 42s`)
    expect(err).toContain(`\r\x1b[2K${jobId} queued, position 2, about 1m`)
    expect(err).toEndWith('\r\x1b[2K')
  })

  test('keeps control characters of an answer away from a terminal, and in a pipe', async () => {
    const { url } = waiting(doneJson('\x1b]0;owned\x07red\ttab\n'))
    expect((await run([...model, '--wait', 'x'], url, { isTerminal: true })).out).toBe(']0;ownedred\ttab\n')
    expect((await run([...model, '--wait', 'x'], url)).out).toBe('\x1b]0;owned\x07red\ttab\n')
  })

  test('exits 1 and says why when the job failed or was cancelled', async () => {
    expect(await run([...model, '--wait', 'x'], waiting(failedJson()).url)).toEqual({
      code: 1,
      out: '',
      err: `foreman: job ${jobId} failed: broke_off: the target broke off before its answer was complete\n`,
    })
    const cancelled = await run([...model, '--wait', 'x'], waiting(jobJson({ state: 'cancelled' })).url)
    expect([cancelled.code, cancelled.err]).toEqual([1, `foreman: job ${jobId} was cancelled\n`])
  })

  test('prints the finished job with --json, whatever came of it', async () => {
    for (const [job, code] of [
      [doneJson('Because.'), 0],
      [failedJson(), 1],
    ] as const) {
      const ran = await run([...model, '--wait', '--json', 'x'], waiting(job).url)
      expect([ran.code, JSON.parse(ran.out), ran.err]).toEqual([code, job, ''])
    }
  })

  test('Ctrl-C leaves the job and exits 130', async () => {
    const held = Promise.withResolvers<Response>()
    const { url } = stubOf({ 'POST /jobs': () => accepted(), [`GET /jobs/${jobId}`]: () => held.promise })
    const io = createIo({ FOREMAN_URL: url }, { isTerminal: true })
    const code = runCommandLine(['submit', ...model, '--wait', 'x'], io)
    await io.untilErr('queued')
    io.signal('SIGINT')
    expect(await code).toBe(130)
    expect(io.err()).toContain(`the job goes on: \`foreman wait ${jobId}\` waits again`)
    held.resolve(new Response(''))
  })
})
