import { describe, expect, test } from 'bun:test'
import {
  isZeroKeepAlive,
  keepAliveFor,
  parseCallerKeepAlive,
  parseKeepAlivePolicy,
} from '../../../src/domain/wire/keep-alive.ts'
import { canonicalName } from '../../../src/domain/wire/model-name.ts'

const policyOf = (text: string) => {
  const parsed = parseKeepAlivePolicy(text)
  if (parsed.kind === 'bad') throw new Error(parsed.problem)
  return parsed.value
}
const jsonFor = (text: string, model: string) => keepAliveFor(policyOf(text), canonicalName(model) ?? '')?.json ?? null

describe('the keep-alive policy', () => {
  test.each([
    ['-1', '-1'],
    ['-5m', '-1'],
    ['-30', '-1'],
    ['0', '0'],
    ['0s', '0'],
    ['300', '300'],
    ['+300', '300'],
    ['1.5', '1.5'],
    ['10m', '"10m"'],
    ['1h30m', '"1h30m"'],
  ])('%s for every model reaches Ollama as %s', (text, json) => {
    expect(jsonFor(text, 'anything')).toBe(json)
  })

  test('a named model has its own value, every spelling of its name included', () => {
    const text = 'llama3.2=10m, hf.co/Some/Model:Q4=0 ,*=-1'
    for (const name of [
      'llama3.2',
      'LLAMA3.2:latest',
      'library/llama3.2',
      'registry.ollama.ai/library/llama3.2:latest',
    ]) {
      expect(jsonFor(text, name)).toBe('"10m"')
    }
    expect(jsonFor(text, 'hf.co/some/model:q4')).toBe('0')
    expect(jsonFor(text, 'llama3.2:1b')).toBe('-1')
  })

  test('without a * other models are left to Ollama', () => {
    expect(jsonFor('llama3.2=10m', 'qwen3')).toBeNull()
  })

  test.each([
    ['', 'not a keep-alive'],
    ['soon', 'not a keep-alive'],
    ['a=1,b', 'not a pair'],
    ['=5m', 'not a pair'],
    ['a=1,', 'not a pair'],
    ['a=later', 'not a keep-alive'],
    ['*=1,*=2', 'given twice'],
    ['a=1,A:latest=2', 'given twice'],
    ['a b=1', 'not a model name'],
    ['-1,-1', 'not a pair'],
  ])('"%s" is refused: %s', (text, problem) => {
    expect(parseKeepAlivePolicy(text)).toEqual({ kind: 'bad', problem: expect.stringContaining(problem) })
  })
})

describe("a caller's keep_alive", () => {
  test.each([
    [undefined, { kind: 'absent' }],
    [null, { kind: 'absent' }],
    [0, { kind: 'duration', ms: 0 }],
    [1.5, { kind: 'duration', ms: 1500 }],
    [300, { kind: 'duration', ms: 300_000 }],
    [-1, { kind: 'forever' }],
    [-0.5, { kind: 'forever' }],
    ['5m', { kind: 'duration', ms: 300_000 }],
    ['0', { kind: 'duration', ms: 0 }],
    ['-1m', { kind: 'forever' }],
    ['-1', { kind: 'invalid', message: 'time: missing unit in duration "-1"' }],
    ['300', { kind: 'invalid', message: 'time: missing unit in duration "300"' }],
    [true, { kind: 'invalid', message: "Unsupported type: 'bool'" }],
    [[], { kind: 'invalid', message: "Unsupported type: '[]interface {}'" }],
    [{}, { kind: 'invalid', message: "Unsupported type: 'map[string]interface {}'" }],
  ])('%p is read as Ollama reads it', (value, read) => {
    expect<unknown>(parseCallerKeepAlive(value)).toEqual(read)
  })

  test('zero is the unload idiom in all its spellings and nothing else is', () => {
    expect([0, -0, '0', '0s', '0h0m', '0.0s', 1e-10].map(isZeroKeepAlive)).toEqual(Array(7).fill(true))
    expect([undefined, null, -1, 1, '1s', '-1m', '', 'x', false, [], {}].map(isZeroKeepAlive)).toEqual(
      Array(11).fill(false),
    )
  })
})
