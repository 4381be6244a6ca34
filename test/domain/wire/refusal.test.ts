/** Refusals have the shape that the clients of their route parse, and their message can be read back. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { failure, failures, OLLAMA_BUSY, ollamaMessage } from '../../../src/domain/job/failure.ts'
import { errorBody, errorText } from '../../../src/domain/wire/refusal.ts'
import { seedOf } from '../../support/figures.ts'

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
