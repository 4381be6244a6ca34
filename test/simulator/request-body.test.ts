/** Go's view of a JSON body. */
import { describe, expect, test } from 'bun:test'
import { goStructs } from '../../src/simulator/go-schema.ts'
import { decodeBody } from '../../src/simulator/request-body.ts'

const decode = (text: string, path: keyof typeof goStructs = '/api/chat') =>
  decodeBody(Buffer.from(text), goStructs[path])

describe('a body is decoded as Go decodes it', () => {
  test.each([
    ['{"messages":[{"role":1}]}', 'number', 'messages.role', 'string'],
    ['{"messages":"x"}', 'string', 'messages', '[]api.Message'],
    ['{"messages":["x"]}', 'string', 'messages', 'api.Message'],
    ['{"options":[]}', 'array', 'options', 'map[string]interface {}'],
    ['{"stream":{}}', 'object', 'stream', 'bool'],
    ['{"Stream":true,"MODEL":true}', 'bool', 'model', 'string'],
    ['{"top_logprobs":1.5}', 'number 1.5', 'top_logprobs', 'int'],
  ])('%s', (text, value, field, type) => {
    expect(decode(text)).toEqual({
      kind: 'bad',
      message: `json: cannot unmarshal ${value} into Go struct field ChatRequest.${field} of type ${type}`,
    })
  })

  test('the first type error is reported, but a decoder of its own comes before any', () => {
    expect(decode('{"model":5,"stream":5}')).toMatchObject({ message: expect.stringContaining('ChatRequest.model') })
    expect(decode('{"model":5,"keep_alive":"x"}')).toEqual({ kind: 'bad', message: 'time: invalid duration "x"' })
    expect(decode('{"keep_alive":true}')).toEqual({ kind: 'bad', message: "Unsupported type: 'bool'" })
    expect(decode('{"messages":[{"images":["a$=="]}]}')).toEqual({
      kind: 'bad',
      message: 'illegal base64 data at input byte 1',
    })
  })

  test('keys match in any case, the last wins, null is absent, and what follows the value is ignored', () => {
    expect(decode('{"MODEL":"a","Model":"b"} and more')).toMatchObject({ kind: 'ok', bag: { model: 'b' } })
    expect(decode('{"model":null,"keep_alive":null}').kind).toBe('ok')
    expect(decode('null').kind).toBe('ok')
  })

  test('nothing but space is an empty body', () => {
    expect(decode(' \n').kind).toBe('empty')
  })
})
