import { describe, expect, test } from 'bun:test'
import type { LogLevel } from '../../src/domain/log-level.ts'
import { createLogger, type LogFields } from '../../src/observe/log.ts'

const clock = { now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678) }

const logTo = (options: { level?: LogLevel; text?: boolean; secrets?: readonly string[] } = {}) => {
  const lines: string[] = []
  const log = createLogger({ level: 'debug', text: false, clock, write: (line) => lines.push(line), ...options })
  return { log, lines }
}
const written = (fields: LogFields, secrets: readonly string[] = []): Record<string, unknown> => {
  const { log, lines } = logTo({ secrets })
  log.info('tested', fields)
  expect(lines).toHaveLength(1)
  return JSON.parse(lines[0] ?? '')
}

describe('a log line', () => {
  test('is one JSON object with time, level and event first', () => {
    const { log, lines } = logTo()
    log.info('job_done', { job_id: '01ABC', attempt: 1 })
    expect(lines).toEqual([
      '{"ts":"2026-01-02T03:04:05.678Z","level":"info","event":"job_done","job_id":"01ABC","attempt":1}\n',
    ])
  })

  test('is text for a terminal', () => {
    const { log, lines } = logTo({ text: true })
    log.warn('polled', { job_id: '01ABC', error: 'it broke', list: [1] })
    expect(lines).toEqual(['03:04:05.678 warn  polled job_id=01ABC error="it broke" list=[1]\n'])
  })

  test('stays one line whatever a value contains', () => {
    for (const text of [false, true]) {
      const { log, lines } = logTo({ text })
      log.info('tested', { path: 'a\nb\r\nlevel=error' })
      expect(lines[0]?.match(/\n/g)).toHaveLength(1)
    }
  })

  test('below the level is not written', () => {
    const { log, lines } = logTo({ level: 'warn' })
    log.debug('a')
    log.info('b')
    log.warn('c')
    log.error('d')
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(['c', 'd'])
  })

  test('carries the fields of its child log, and its own name wins over a field called event', () => {
    const { log, lines } = logTo()
    log.child({ request_id: 'r1', event: 'fake' }).info('real', { level: 'fake', ts: 'fake', status: 200 })
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      ts: '2026-01-02T03:04:05.678Z',
      level: 'info',
      event: 'real',
      request_id: 'r1',
      status: 200,
    })
  })
})

describe('what must stay inside', () => {
  test.each([
    'authorization',
    'Authorization',
    'proxy-authorization',
    'token',
    'ollama_token',
    'ollamaToken',
    'webhook_secret',
    'webhookSecrets',
    'X-Foreman-Signature',
    'cookie',
    'x-api-key',
    'prompt',
    'messages',
    'content',
    'images',
    'input',
    'body',
    'headers',
    'result',
    'response',
    'system',
  ])('the field %s is dropped, at any depth', (key) => {
    const line = written({ [key]: 'canary', nested: { [key]: 'canary', list: [{ [key]: 'canary' }] } })
    expect(JSON.stringify(line)).not.toContain('canary')
  })

  test('fields that only sound alike are kept', () => {
    const fields = {
      prompt_tokens: 5,
      message: 'm',
      model: 'llama3.2',
      state: 'done',
      context_length: 4096,
      status: 200,
    }
    expect(written(fields)).toMatchObject(fields)
  })

  test('a configured secret is replaced wherever it turns up', () => {
    const line = written({ error: new Error('bad header: Bearer s3cret"x'), path: '/?key=s3cret"x' }, ['s3cret"x', ''])
    expect(JSON.stringify(line)).not.toContain('s3cret')
    expect(JSON.stringify(line)).toContain('[secret]')
  })

  test("a URL loses its credentials and its query, a receiver's secrets among them", () => {
    const line = written({
      url: 'https://ada:pw@hooks.example.org/a/b?token=t#f',
      error: 'POST http://x:y@h/p?q=1 failed',
    })
    expect(line).toMatchObject({ url: 'https://hooks.example.org/a/b', error: 'POST http://h/p failed' })
  })

  test('a long text is cut at 500 characters', () => {
    expect(written({ error: 'x'.repeat(10_000) })['error']).toBe(`${'x'.repeat(500)}…`)
  })
})

describe('a log never throws', () => {
  test('on anything a field can hold', () => {
    const circular: Record<string, unknown> = { name: 'loop' }
    circular['self'] = circular
    const line = written({
      circular,
      big: 10n,
      symbol: Symbol('s'),
      run: () => 1,
      nothing: undefined,
      bytes: new Uint8Array(3),
      date: new Date(Number.NaN),
      map: new Map([['a', 1]]),
      list: Array(1000).fill(1),
      nan: Number.NaN,
    })
    expect(line).toMatchObject({ big: '10', symbol: 'Symbol(s)', bytes: '[3 bytes]', nan: null })
    expect(line['list']).toHaveLength(50)
  })

  test('on a field that throws when it is read, and says so', () => {
    const hostile = Object.defineProperty({}, 'boom', {
      enumerable: true,
      get: () => {
        throw new Error('no')
      },
    })
    const { log, lines } = logTo()
    log.info('tested', { hostile })
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'error', event: 'log_failed', failed_event: 'tested' })
  })

  test('when nobody can write', () => {
    const log = createLogger({
      level: 'info',
      text: false,
      clock,
      write: () => {
        throw new Error('disk full')
      },
    })
    expect(() => log.error('tested')).not.toThrow()
  })

  test('an error keeps its name, code, cause and the top of its stack', () => {
    const cause = Object.assign(new Error('inner'), { code: 'ECONNRESET' })
    const line = written({ error: new TypeError('outer', { cause }) })
    expect(line['error']).toMatchObject({
      name: 'TypeError',
      message: 'outer',
      cause: { message: 'inner', code: 'ECONNRESET' },
    })
    expect(line['error']).toHaveProperty('stack', expect.stringContaining('log.test.ts'))
  })
})

test('a reader that hangs costs lines, not memory; when it reads again it is told how many', () => {
  let backlog = 0
  const lines: string[] = []
  const log = createLogger({
    level: 'info',
    write: (line) => void lines.push(line),
    backlog: () => backlog,
    clock: { now: () => 0 },
    text: false,
  })
  backlog = 100 * 1024 * 1024
  for (let i = 0; i < 1_000; i++) log.info('unheard', { i })
  expect(lines).toEqual([])
  backlog = 0
  log.info('heard')
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { ts: expect.any(String), level: 'warn', event: 'log_lines_dropped', lines: 1_000 },
    { ts: expect.any(String), level: 'info', event: 'heard' },
  ])
})
