/** The small pure readers and writers: refusals, lists of models, forms, preferences, and joining a stream. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { assembleNative } from '../../src/domain/assemble.ts'
import { failure, failures, OLLAMA_BUSY, ollamaMessage } from '../../src/domain/failure.ts'
import { inventoryFrom, residentsFrom } from '../../src/domain/inventory.ts'
import { multipartField } from '../../src/domain/multipart.ts'
import { preferredWaitMs } from '../../src/domain/prefer.ts'
import { errorBody, errorText } from '../../src/domain/refusal.ts'
import { modelOfKey, reloadOf, residencyKey } from '../../src/domain/residency.ts'
import { seedOf } from '../support/figures.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('refusals have the shape that the clients of their route parse', () => {
  test.each([
    ['native', 404, { error: 'no' }],
    ['openai', 404, { error: { message: 'no', type: 'not_found_error', param: null, code: null } }],
    ['openai', 400, { error: { message: 'no', type: 'invalid_request_error', param: null, code: null } }],
    ['openai', 503, { error: { message: 'no', type: 'api_error', param: null, code: null } }],
    ['responses', 400, { error: { message: 'no', type: 'invalid_request_error', param: null, code: null } }],
    ['anthropic', 503, { type: 'error', error: { type: 'overloaded_error', message: 'no' }, request_id: 'req_1' }],
    ['anthropic', 401, { type: 'error', error: { type: 'authentication_error', message: 'no' }, request_id: 'req_1' }],
    ['anthropic', 500, { type: 'error', error: { type: 'api_error', message: 'no' }, request_id: 'req_1' }],
  ] as const)('%s %d', (flavour, status, body) => {
    expect(JSON.parse(errorBody(flavour, status, 'no', 'req_1'))).toEqual(body)
  })

  test.each([
    ['{"error":"x"}', 'x'],
    ['{"error":{"message":"x"}}', 'x'],
    ['{"error":"{\\"error\\":{\\"code\\":500}}"}', '{"error":{"code":500}}'],
    ['{"error":7}', null],
    ['{}', null],
    ['null', null],
    ['<html>', null],
    ['', null],
  ])('the message in %j is %j', (body, message) => {
    expect(errorText(body)).toBe(message)
    expect(errorText(bytes(body))).toBe(message)
  })

  test('every shape gives its message back', () => {
    const seed = seedOf('refusal')
    const flavour = fc.constantFrom('native', 'openai', 'responses', 'anthropic' as const)
    const back = fc.property(flavour, fc.integer({ min: 400, max: 599 }), fc.string({ unit: 'binary' }), (f, s, m) => {
      expect(errorText(errorBody(f, s, m))).toBe(m)
    })
    fc.assert(back, { seed, numRuns: 500 })
  })
})

test('a full queue and a drain speak with the busy text of Ollama, everything else for itself', () => {
  for (const code of ['queue_full', 'draining'] as const) expect(ollamaMessage(failure(code))).toBe(OLLAMA_BUSY)
  expect(ollamaMessage(failure('unreachable', 'ECONNREFUSED'))).toBe(`${failures.unreachable.sentence}: ECONNREFUSED`)
})

describe('the list of installed models', () => {
  test('is keyed by canonical name, and knows stubs of cloud models', () => {
    const tags = { models: [{ name: 'Tiny:Q4' }, { name: 'big:120b-cloud', remote_host: 'https://ollama.com' }] }
    expect(inventoryFrom(tags)?.get('registry.ollama.ai/library/tiny:q4')).toEqual({ name: 'Tiny:Q4', remote: false })
    expect([...(inventoryFrom(tags)?.values() ?? [])].at(1)).toMatchObject({ remote: true })
  })

  test.each([null, 7, [], {}, { models: 7 }, { models: 'x' }, 'models'])('is not in %j', (body) => {
    expect(inventoryFrom(body)).toBeNull()
    expect(residentsFrom(body)).toBeNull()
  })

  test('may be empty, or null as Go writes an empty list', () => {
    for (const models of [[], null]) {
      expect(inventoryFrom({ models })?.size).toBe(0)
      expect(residentsFrom({ models })).toEqual([])
    }
  })

  test('leaves out what has no name', () => {
    expect(inventoryFrom({ models: [null, 7, {}, { name: 5 }, { name: 'a b' }, { name: 'ok' }] })?.size).toBe(1)
  })
})

test('what is loaded is read with its context and its end', () => {
  const ps = {
    models: [{ name: 'tiny:latest', context_length: 4_096, expires_at: '2319-03-03T00:00:00Z' }, { name: 'b' }],
  }
  expect(residentsFrom(ps)).toEqual([
    {
      name: 'tiny:latest',
      canonical: 'registry.ollama.ai/library/tiny:latest',
      contextLength: 4_096,
      expiresAt: '2319-03-03T00:00:00Z',
    },
    { name: 'b', canonical: 'registry.ollama.ai/library/b:latest', contextLength: null, expiresAt: null },
  ])
})

test('the model can be read back from a residency key', () => {
  const canonical = 'registry.ollama.ai/library/tiny:latest'
  expect(modelOfKey(residencyKey(canonical, reloadOf({ num_ctx: 1 }, true)))).toBe(canonical)
  expect(modelOfKey(residencyKey(canonical, reloadOf(undefined, null)))).toBe(canonical)
})

describe('a field of a form', () => {
  const part = (head: string, value: string) => `--b\r\n${head}\r\n\r\n${value}\r\n`
  const named = (name: string, value: string) => part(`Content-Disposition: form-data; name="${name}"`, value)
  const type = 'multipart/form-data; boundary=b'
  const modelIn = (body: string, contentType = type) => multipartField(bytes(body), contentType, 'model')

  test('is found before and after a file with anything in it', () => {
    const file = part(
      'Content-Disposition: form-data; name="file"; filename="model"\r\nContent-Type: audio/wav',
      '\r\n\r\n--c\r\nname="model"\r\n\r\nno',
    )
    expect(modelIn(`${named('model', 'whisper')}${file}--b--\r\n`)).toBe('whisper')
    expect(modelIn(`${file}${named('model', 'whisper:lärge')}--b--\r\n`)).toBe('whisper:lärge')
    expect(modelIn(`${file}--b--\r\n`)).toBeNull()
  })

  test('is the last of several, and not one that only sounds like it', () => {
    expect(modelIn(`${named('model', 'a')}${named('model', 'b')}--b--`)).toBe('b')
    expect(modelIn(`${named('model_name', 'a')}${named('xmodel', 'b')}--b--`)).toBeNull()
  })

  test.each(['text/plain', '', 'multipart/form-data', 'multipart/form-data; boundary=other'])(
    'is nowhere when the content type is %j',
    (contentType) => {
      expect(modelIn(`${named('model', 'a')}--b--`, contentType)).toBeNull()
    },
  )

  test('is found with a quoted boundary, and in a body that was cut off never halfway', () => {
    expect(modelIn(`${named('model', 'a')}--b--`, 'multipart/form-data; charset=x; boundary="b"')).toBe('a')
    expect(modelIn('--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisp')).toBeNull()
  })
})

test.each([
  [null, null],
  ['', null],
  ['wait=5', 5_000],
  ['respond-async, wait=10', 10_000],
  ['wait = 7 ; x', 7_000],
  ['wait="7"', 7_000],
  ['WAIT=0', 0],
  ['wait=999999', 86_400_000],
  ['wait=-1', null],
  ['wait=1.5', null],
  ['wait=soon', null],
  ['await=5', null],
  ['return=minimal', null],
])('Prefer: %j waits %p ms', (header, ms) => {
  expect(preferredWaitMs(header)).toBe(ms)
})

describe('joining a stream', () => {
  test('gives what stream:false would have given', () => {
    const lines = [
      '{"model":"m","message":{"role":"assistant","content":"Hel","thinking":"a"},"done":false}',
      '{"model":"m","message":{"role":"assistant","content":"lo","thinking":"b"},"logprobs":[1],"done":false}',
      '{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"id":"1"}]},"logprobs":[2],"done":true,"eval_count":2}',
      '',
    ]
    expect(assembleNative(lines)).toEqual({
      model: 'm',
      message: { role: 'assistant', content: 'Hello', thinking: 'ab', tool_calls: [{ id: '1' }] },
      logprobs: [1, 2],
      done: true,
      eval_count: 2,
    })
  })

  test('joins the text of generate', () => {
    const lines = [
      '{"response":"a","done":false}',
      '{"response":"b","thinking":"t","done":false}',
      '{"response":"","done":true,"context":[1]}',
    ]
    expect(assembleNative(lines)).toEqual({ response: 'ab', thinking: 't', done: true, context: [1] })
  })

  test('keeps tool calls that came before the last chunk', () => {
    const lines = [
      '{"message":{"content":"","tool_calls":[{"id":"1"}]},"done":false}',
      '{"message":{"content":""},"done":true}',
    ]
    expect(assembleNative(lines)).toMatchObject({ message: { tool_calls: [{ id: '1' }] } })
  })

  test.each([[[]], [['']], [['[]']], [['null']], [['{"done":false}', 'garbage', '{"done":true}']]])(
    'of %j is not possible',
    (lines) => {
      expect(assembleNative(lines)).toBeNull()
    },
  )
})
