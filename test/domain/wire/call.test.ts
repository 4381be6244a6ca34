/** What foreman reads from a request, and that it changes nothing but the keep_alive. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { type Call, readCall, unknownModel } from '../../../src/domain/wire/call.ts'
import { loadBody, streamed, withKeepAlive } from '../../../src/domain/wire/call-body.ts'
import { matchRoute, type Route } from '../../../src/domain/wire/routes.ts'
import { seedOf } from '../../support/figures.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (body: Uint8Array) => new TextDecoder().decode(body)

const routeOf = (path: string): Route => {
  const matched = matchRoute('POST', path)
  if (matched.kind !== 'route') throw new Error(path)
  return matched.route
}

const read = (path: string, body: string | Uint8Array, type = '') =>
  readCall(routeOf(path), typeof body === 'string' ? bytes(body) : body, type)

const callOf = (path: string, body: string | Uint8Array, type = ''): Call => {
  const found = read(path, body, type)
  if (found.kind === 'refused') throw new Error(found.message)
  return found.call
}

describe('what cannot run is refused in the words of Ollama', () => {
  test.each([
    ['/api/chat', '', 400, 'missing request body'],
    ['/v1/chat/completions', '', 400, 'EOF'],
    ['/v1/chat/completions', '{}', 400, "[] is too short - 'messages'"],
    ['/v1/chat/completions', '{"model":"m","messages":[ ]}', 400, "[] is too short - 'messages'"],
    ['/v1/chat/completions', '{"messages":[{}]}', 400, 'model is required'],
    ['/api/chat', '{bad', 400, `invalid character 'b' looking for beginning of object key string`],
    ['/api/chat', '[]', 400, 'json: cannot unmarshal array into Go value of type api.ChatRequest'],
    ['/api/generate', '"x"', 400, 'json: cannot unmarshal string into Go value of type api.GenerateRequest'],
    ['/v1/messages', '7', 400, 'json: cannot unmarshal number into Go value of type anthropic.MessagesRequest'],
    ['/v1/completions', 'true', 400, 'json: cannot unmarshal bool into Go value of type openai.CompletionRequest'],
    [
      '/api/chat',
      '{"model":5}',
      400,
      'json: cannot unmarshal number into Go struct field ChatRequest.model of type string',
    ],
    [
      '/api/chat',
      '{"model":"tiny","stream":"no"}',
      400,
      'json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool',
    ],
    ['/api/chat', '{}', 400, 'model is required'],
    ['/api/chat', 'null', 400, 'model is required'],
    ['/api/chat', '{"model":null}', 400, 'model is required'],
    ['/api/chat', '{"model":"  "}', 400, 'model is required'],
    ['/api/generate', '{}', 404, `model '' not found`],
    ['/api/chat', '{"model":"tiny:"}', 400, 'invalid model name'],
    ['/api/chat', '{"model":"a b"}', 400, 'invalid model name'],
    ['/api/chat', '{"model":"x:cloud:local"}', 400, 'use either :local or :cloud, not both: "x:cloud:local"'],
  ] as const)('%s %s', (path, body, status, message) => {
    expect(read(path, body)).toMatchObject({ kind: 'refused', status, message })
  })

  test('a missing model has the words of its route', () => {
    expect(unknownModel({ route: routeOf('/api/chat'), model: 'X', stream: true })).toMatchObject({
      status: 404,
      message: `model 'X' not found`,
    })
    expect(unknownModel({ route: routeOf('/api/embed'), model: 'X', stream: false })).toMatchObject({
      status: 404,
      message: 'model "X" not found, try pulling it first',
    })
  })
})

describe('stream', () => {
  test.each([
    ['/api/chat', '', true],
    ['/api/chat', ',"stream":null', true],
    ['/api/chat', ',"stream":false', false],
    ['/api/chat', ',"stream":true', true],
    ['/api/chat', ',"stream":true,"STREAM":false', false],
    ['/v1/chat/completions', ',"messages":[{}]', false],
    ['/v1/chat/completions', ',"messages":[{}],"stream":true', true],
  ] as const)('%s%s is %p', (path, more, stream) => {
    expect(callOf(path, `{"model":"m"${more}}`).stream).toBe(stream)
  })
})

describe('the residency key', () => {
  const keyOf = (more: string, path = '/api/chat') => callOf(path, `{"model":"m"${more}}`).residencyKey

  test('is the same for all spellings of one model, and for options that do not reload', () => {
    const key = callOf('/api/chat', '{"model":"M:latest"}').residencyKey
    for (const more of [
      '',
      ',"options":{"temperature":1,"seed":7,"stop":["x"]}',
      ',"options":null',
      ',"options":{"num_ctx":null}',
    ])
      expect(keyOf(more)).toBe(key)
  })

  test.each(['num_ctx', 'num_batch', 'num_gpu', 'main_gpu', 'num_thread', 'draft_num_predict', 'use_mmap'])(
    'differs by %s',
    (option) => {
      const keys = new Set(['', `,"options":{"${option}":1}`, `,"options":{"${option}":2}`].map((more) => keyOf(more)))
      expect(keys.size).toBe(3)
    },
  )

  test('differs by shift, and not by the order in which options are written', () => {
    expect(new Set([keyOf(''), keyOf(',"shift":true'), keyOf(',"shift":false')]).size).toBe(3)
    expect(keyOf(',"options":{"num_gpu":1,"num_ctx":2}')).toBe(keyOf(',"options":{"num_ctx":2,"num_gpu":1}'))
  })

  test('knows no options on /v1, as Ollama does not', () => {
    expect(keyOf(',"options":{"num_ctx":1}', '/v1/completions')).toBe(keyOf('', '/v1/completions'))
    expect(callOf('/v1/completions', '{"model":"m","keep_alive":0}').keepAlive).toBeUndefined()
  })
})

describe('the unload idiom', () => {
  test.each([
    ['/api/generate', '"keep_alive":0', true],
    ['/api/generate', '"prompt":"","keep_alive":"0s"', true],
    ['/api/generate', '"prompt":null,"keep_alive":"0"', true],
    ['/api/generate', '"prompt":"hi","keep_alive":0', false],
    ['/api/generate', '"prompt":"","keep_alive":-1', false],
    ['/api/generate', '"prompt":""', false],
    ['/api/chat', '"keep_alive":0', true],
    ['/api/chat', '"messages":[ \n],"keep_alive":0', true],
    ['/api/chat', '"messages":null,"keep_alive":0', true],
    ['/api/chat', '"messages":[{"role":"user","content":"hi"}],"keep_alive":0', false],
    ['/v1/completions', '"prompt":"","keep_alive":0', false],
  ] as const)('%s {%s}: %p', (path, more, unloads) => {
    expect(callOf(path, `{"model":"m",${more}}`).unloads).toBe(unloads)
  })
})

describe('keep_alive is added as the last member', () => {
  const added = (body: string, json = '-1') => text(withKeepAlive(bytes(body), callOf('/api/chat', body), json))

  test.each([
    ['{"model":"m"}', '{"model":"m","keep_alive":-1}'],
    ['{"model":"m" }  trailing', '{"model":"m" ,"keep_alive":-1}  trailing'],
    ['\n{ "model" : "m" }\n', '\n{ "model" : "m" ,"keep_alive":-1}\n'],
    ['{"model":"m","keep_alive":null}', '{"model":"m","keep_alive":null,"keep_alive":-1}'],
  ])('%j', (body, expected) => {
    expect(added(body)).toBe(expected)
  })

  test('and wins over an explicit null and over duplicates in any case', () => {
    const body = '{"model":"m","keep_alive":"5m","KEEP_ALIVE":null}'
    expect(callOf('/api/chat', body).keepAlive).toBeUndefined()
    expect(callOf('/api/chat', added(body, '"10m"')).keepAlive).toBe('10m')
  })

  test('every other byte stays, for random bodies and whatever follows them', () => {
    const seed = seedOf('keep_alive')
    const object = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 4 }))
    const keeps = fc.property(object, fc.constantFrom('', ' ', '\t'), fc.string(), (members, indent, rest) => {
      const safe = Object.entries(members).filter(([key]) => !/^(model|stream|options|shift|keep_alive)$/i.test(key))
      const body = bytes(JSON.stringify({ ...Object.fromEntries(safe), model: 'm' }, null, indent) + rest)
      const call = callOf('/api/generate', body)
      const out = withKeepAlive(body, call, '-1')
      const at = call.insertAt?.offset ?? -1
      const insertion = text(out.subarray(at, at + out.length - body.length))
      expect(insertion).toBe(',"keep_alive":-1')
      expect(Buffer.concat([out.subarray(0, at), out.subarray(at + insertion.length)]).equals(body)).toBe(true)
      expect(callOf('/api/generate', out).keepAlive).toBe(-1)
    })
    fc.assert(keeps, { seed, numRuns: 2_000 })
  })

  test('is not for /v1, which has none', () => {
    const body = bytes('{"model":"m"}')
    expect(withKeepAlive(body, callOf('/v1/completions', '{"model":"m"}'), '-1')).toBe(body)
  })
})

describe('the load idiom', () => {
  const loads = (body: string, policy: string | null = null) =>
    JSON.parse(text(loadBody(callOf('/api/chat', body), policy)))

  test('carries the reload options of the job and nothing else of it', () => {
    const body =
      '{"model":"M","messages":[{"role":"user"}],"options":{"num_ctx":4096,"seed":1},"shift":false,"think":true}'
    expect(loads(body)).toEqual({ model: 'M', stream: false, options: { num_ctx: 4_096 }, shift: false })
  })

  test.each([
    ['', '-1', -1],
    ['', null, undefined],
    [',"keep_alive":"10m"', '-1', '10m'],
    [',"keep_alive":300', '-1', 300],
    [',"keep_alive":0', '-1', undefined],
    [',"keep_alive":"0s"', '-1', undefined],
    [',"keep_alive":null', '-1', -1],
  ] as const)('with%s and the policy %s it says %p', (more, policy, expected) => {
    expect(loads(`{"model":"m"${more}}`, policy).keep_alive).toBe(expected)
  })
})

describe('a cloud model', () => {
  test.each(['x:cloud', 'x:20b-cloud'])('%s is marked', (model) => {
    expect(callOf('/api/chat', JSON.stringify({ model })).cloud).toBe(true)
  })
})

test('a transcription names its model in the form', () => {
  const form = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n'
  const call = callOf('/v1/audio/transcriptions', form, 'multipart/form-data; boundary=b')
  expect(call).toMatchObject({ model: 'whisper', stream: false, insertAt: null })
  expect(read('/v1/audio/transcriptions', form, 'text/plain')).toMatchObject({ kind: 'refused', status: 400 })
})

test.each([
  '{"model":"m","messages":[],"stream":false}',
  '{"model":"m:local","prompt":"hi","options":{"num_ctx":8}} ',
  '{"stream":null,"model":"m"}\n',
])('a job is asked for as a stream, and is known as if its new body had been read: %s', (body) => {
  const made = streamed(bytes(body), callOf('/api/chat', body))
  expect(made.call).toEqual(callOf('/api/chat', made.body))
  expect(made.call.stream).toBe(true)
  expect(text(withKeepAlive(made.body, made.call, '-1'))).toBe(
    `${body.trimEnd().slice(0, -1)},"stream":true,"keep_alive":-1${body.slice(body.trimEnd().length - 1)}`,
  )
})
