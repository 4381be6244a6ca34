/** The chunks of a stream joined are what stream:false would have given. */
import { describe, expect, test } from 'bun:test'
import { assembleNative } from '../../../src/domain/wire/assemble.ts'

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
