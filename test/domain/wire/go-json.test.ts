/** Go's view of a JSON body: the same members as JSON.parse, the same words for what is wrong, and never a throw. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  decodeField,
  field,
  fieldsOf,
  scanInTurns,
  scanObject,
  valueField,
  withoutMembers,
} from '../../../src/domain/wire/go-json.ts'
import { seedOf } from '../../support/figures.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const all = () => true
const scan = (text: string) => scanObject(bytes(text), all)
const faultOf = (text: string): string => {
  const scanned = scan(text)
  return scanned.kind === 'malformed' ? scanned.message : scanned.kind
}

describe('the words for what is wrong are those of Go', () => {
  test.each([
    ['{bad', `invalid character 'b' looking for beginning of object key string`],
    ['(x', `invalid character '(' looking for beginning of value`],
    ['\x1f\x8b', `invalid character '\\x1f' looking for beginning of value`],
    ['\ufeff{}', `invalid character 'ï' looking for beginning of value`],
    ["{'a':1}", `invalid character '\\'' looking for beginning of object key string`],
    ['{"a" 1}', `invalid character '1' after object key`],
    ['{"a":1 "b":2}', `invalid character '"' after object key:value pair`],
    ['{"a":1,}', `invalid character '}' looking for beginning of object key string`],
    ['{"a":}', `invalid character '}' looking for beginning of value`],
    ['{"a":[1 2]}', `invalid character '2' after array element`],
    ['{"a":[1,]}', `invalid character ']' looking for beginning of value`],
    ['{"a":tru}', `invalid character '}' in literal true (expecting 'e')`],
    ['{"a":falsy}', `invalid character 'y' in literal false (expecting 'e')`],
    ['{"a":nil}', `invalid character 'i' in literal null (expecting 'u')`],
    ['{"a":"\\x"}', `invalid character 'x' in string escape code`],
    ['{"a":"\\u12G4"}', `invalid character 'G' in \\u hexadecimal character escape`],
    ['{"a":"x\ny"}', `invalid character '\\n' in string literal`],
    ['{"a":"x\ty"}', `invalid character '\\t' in string literal`],
    ['{"a":-x}', `invalid character 'x' in numeric literal`],
    ['{"a":1.}', `invalid character '}' after decimal point in numeric literal`],
    ['{"a":1e}', `invalid character '}' in exponent of numeric literal`],
    ['{"a":01}', `invalid character '1' after object key:value pair`],
    ['{"a":\\}', `invalid character '\\\\' looking for beginning of value`],
    ['{"a":+1}', `invalid character '+' looking for beginning of value`],
    ['{"a":\x7f}', `invalid character '\\x7f' looking for beginning of value`],
    ['{', 'unexpected EOF'],
    ['{"a', 'unexpected EOF'],
    ['{"a":"b\\', 'unexpected EOF'],
    ['{"a":1', 'unexpected EOF'],
    ['{"a":{"b":[1,2]', 'unexpected EOF'],
    ['', 'empty'],
    [' \r\n\t', 'empty'],
  ])('%j', (text, message) => {
    expect(faultOf(text)).toBe(message)
  })

  test('10,000 levels are read and one more is too deep', () => {
    const nested = (levels: number) => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
    expect(faultOf(nested(10_000))).toBe('object')
    expect(faultOf(nested(10_001))).toBe(`invalid character '[' exceeded max depth`)
  })
})

test('what follows the first value is ignored', () => {
  for (const rest of ['', ' ', '{"model":"b"}', ' garbage', '\n\n]'])
    expect(scan(`{"model":"a"}${rest}`)).toMatchObject({ kind: 'object', end: 12 })
})

test.each([
  ['[]', 'array'],
  ['[{"model":"a"}]', 'array'],
  ['"a"', 'string'],
  ['7', 'number'],
  ['-1.5e3', 'number'],
  ['true', 'bool'],
  ['null', 'null'],
] as const)('%s is a value, but no object', (text, type) => {
  expect(scan(text)).toEqual({ kind: 'other', type })
})

test('keys match in any case, decoded, and the last of several wins', () => {
  const text = '{"model":"a","MODEL":"b","\\u006dodel":"c","other":"d"}'
  const found = field(scan(text), 'model')
  expect(found && decodeField(bytes(text), found)).toBe('c')
  expect(field(scan(text), 'missing')).toBeUndefined()
  expect(field(scan('[]'), 'model')).toBeUndefined()
  // ſ and the Kelvin sign fold to s and k; no other letter does.
  for (const key of ['\u017ftream', '\\u017ftream', '\\u017fTREAM'])
    expect(field(scan(`{"${key}":true}`), 'stream')).toBeDefined()
  expect(field(scan('{"\u212aeep_alive":0}'), 'keep_alive')).toBeDefined()
  expect(field(scan('{"me\u00dfages":[]}'), 'messages')).toBeUndefined()
})

test('null does not change what a name was before, as Go leaves it', () => {
  const text = '{"model":"a","model":null,"MODEL":null,"stream":true,"stream":null}'
  const model = valueField(scan(text), 'model')
  expect(model && decodeField(bytes(text), model)).toBe('a')
  expect(field(scan(text), 'stream')?.type).toBe('null')
  expect(fieldsOf(scan(text), 'model').length).toBe(3)
})

test.each([
  ['{"w":1,"a":2}', '{"a":2}'],
  ['{"a":2,"w":1}', '{"a":2}'],
  ['{"a":1,"w":2,"b":3}', '{"a":1,"b":3}'],
  ['{ "w" : 1 , "W":2,"w":3 ,"a":4 }', '{ "a":4 }'],
  ['{"a":1,"w":2,"w":3}', '{"a":1}'],
  ['{"w":1,"a":2,"w":3,"b":4,"w":5}', '{"a":2,"b":4}'],
  ['{"w":1}', '{}'],
  ['{"w":1,"w":2}  x', '{}  x'],
  ['{"a":1}', '{"a":1}'],
])('%s without w is %s', (text, left) => {
  const without = withoutMembers(bytes(text), scan(text), ({ key }) => key.toLowerCase() === 'w')
  expect(new TextDecoder().decode(without.body)).toBe(left)
  const again = scanObject(without.body, all)
  if (again.kind !== 'object' || without.scan.kind !== 'object') throw new Error('no object')
  const ranges = (fields: typeof again.fields) => fields.map(({ key, start, end }) => [key, start, end])
  expect([ranges(without.scan.fields), without.scan.end]).toEqual([ranges(again.fields), again.end])
})

const MANY = 300_000
const long = (text: string) => text.repeat(Math.ceil(3_000_000 / text.length))

test.each<[string, string]>([
  ['members', `{"a":1${Array.from({ length: MANY }, (_, i) => `,"k${i}":"v"`).join('')},"model":"m"}`],
  ['items', `{"x":[${'1,'.repeat(1_500_000)}1],"model":"m"}`],
  ['objects', `{"x":[${'{"a":{"b":null}},'.repeat(200_000)}1],"model":"m"}`],
  ['escapes', `{"x":"${long('\\"')}","model":"m"}`],
  ['backslashes', `{"x":"${long('\\\\')}","model":"m"}`],
  ['long strings', `{"x":[${`"${'y'.repeat(5_000)}",`.repeat(600)}1],"model":"m"}`],
  ['digits', `{"x":-${long('12')}.${long('34')}e+${long('5')},"model":"m"}`],
  ['spaces', `{"x": ${long(' \n')} 1 ${long(' ')} , ${long('\t')} "model":"m"}`],
  ['a key', `{"${long('k\\\\')}":1,"model":"m"}`],
])('a large body of %s is read in turns, with the same result, and only what is wanted is kept', async (_, text) => {
  const body = bytes(text.replaceAll('\\n', '\n').replaceAll('\\t', '\t'))
  let turns = 0
  const wanted = (key: string) => key === 'model'
  const scanned = await scanInTurns(body, wanted, async () => void turns++)
  expect(scanned).toEqual(scanObject(body, wanted))
  if (scanned.kind !== 'object') throw new Error(JSON.stringify(scanned).slice(0, 200))
  expect(scanned.fields.map(({ key }) => key)).toEqual(['model'])
  expect(turns).toBeGreaterThanOrEqual(2)
  const model = field(scanned, 'model')
  expect(model && decodeField(body, model)).toBe('m')
})

test('a member that is said a million times costs a thousand, and the last one is right', () => {
  const text = `{"model":"a"${',"model":null'.repeat(100_000)},"model":"z"}`
  const scanned = scan(text)
  if (scanned.kind !== 'object') throw new Error('no object')
  expect(scanned.fields.length).toBeLessThanOrEqual(1_000)
  const model = valueField(scanned, 'model')
  expect(model && decodeField(bytes(text), model)).toBe('z')
})

test('a long string is jumped over, escapes and quotes in it included', () => {
  const image = `${'A'.repeat(5_000_000)}\\\\\\"${'B'.repeat(100)}\\\\`
  const text = `{"images":["${image}"],"model":"a"}`
  const found = field(scan(text), 'model')
  expect(found && decodeField(bytes(text), found)).toBe('a')
})

test('a fault deep in a long string is left for Ollama to find', () => {
  const text = `{"prompt":"${'x'.repeat(5_000)}\n"}`
  const found = field(scan(text), 'prompt')
  expect(found && decodeField(bytes(text), found)).toBeUndefined()
})

const members = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 5 }))
const space = fc.constantFrom('', ' ', '\t', '  ')

test('random objects have the members that JSON.parse finds, with the same values', () => {
  const seed = seedOf('scan')
  const same = fc.property(members, space, (object, indent) => {
    const text = JSON.stringify(object, null, indent)
    const scanned = scan(text)
    if (scanned.kind !== 'object') throw new Error(JSON.stringify(scanned))
    const found = new Map(scanned.fields.map((f) => [f.key, decodeField(bytes(text), f)]))
    expect(found).toEqual(new Map(Object.entries(JSON.parse(text))))
    expect(scanned.end).toBe(bytes(text).length - 1)
  })
  fc.assert(same, { seed, numRuns: 5_000 })
})

test('a body that was cut off is called so, wherever it was cut', () => {
  const seed = seedOf('scan cut')
  const cut = fc.property(members, fc.nat(), (object, at) => {
    const whole = bytes(JSON.stringify(object))
    const scanned = scanObject(whole.subarray(0, at % whole.length), all)
    expect(scanned).toEqual(
      at % whole.length === 0 ? { kind: 'empty' } : { kind: 'malformed', message: 'unexpected EOF' },
    )
  })
  fc.assert(cut, { seed, numRuns: 5_000 })
})

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}

test('a body with a few bytes changed is an object exactly when its first value is one', () => {
  const seed = seedOf('scan mutated')
  const glyph = fc.constantFrom(...'{}[]",:\\0-+.eEtfnu 1aA')
  const mutated = fc.property(members, fc.array(fc.tuple(fc.nat(), glyph), { maxLength: 4 }), (object, changes) => {
    const letters = [...JSON.stringify(object).replace(/[^\x20-\x7e]/g, 'x')]
    for (const [at, letter] of changes) letters[at % letters.length] = letter
    const text = letters.join('')
    const scanned = scan(text)
    if (scanned.kind === 'object') expect(isJson(text.slice(0, scanned.end + 1))).toBe(true)
    else if (text.startsWith('{')) expect(isJson(text)).toBe(false)
  })
  fc.assert(mutated, { seed, numRuns: 10_000 })
})

test('no bytes make it throw', () => {
  const seed = seedOf('scan bytes')
  const any = fc.property(fc.uint8Array({ maxLength: 60 }), (tail) => {
    scanObject(tail, all)
    scanObject(new Uint8Array([0x7b, 0x22, ...tail]), all)
  })
  fc.assert(any, { seed, numRuns: 10_000 })
})
