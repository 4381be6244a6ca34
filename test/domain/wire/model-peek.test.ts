/** A look at the model of a small body: where it finds a name, the reader that reads as Ollama does finds the same one. */
import { expect, test } from 'bun:test'
import { readCall } from '../../../src/domain/wire/call.ts'
import { createModelPeek } from '../../../src/domain/wire/model-peek.ts'
import { exactRoute } from '../../../src/domain/wire/routes.ts'
import { createDice } from '../../support/chance.ts'
import { seedOf } from '../../support/figures.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const TINY = 'registry.ollama.ai/library/tiny:latest'
const embed = exactRoute('POST', '/api/embed')
if (embed === undefined) throw new Error('no such route')

test.each([
  '{"model":"tiny","input":"x"}',
  ' \n{ "input" : ["a\\"}", {"model":"other"}], "model" : "TINY:latest" , "truncate":true } trailing',
  '{"options":{"num_ctx":1},"model":" tiny"}',
  '{"model":"https://registry.ollama.ai/library/tiny"}',
])('%s names a model that a look finds', (body) => {
  expect(createModelPeek()(bytes(body))).toBe(TINY)
})

test.each([
  ['twice', '{"model":"a","model":"tiny"}'],
  ['twice, in another case', '{"Model":"a","model":"tiny"}'],
  ['null', '{"model":null}'],
  ['a number', '{"model":7}'],
  ['an escape in the name', '{"model":"t\\u0069ny"}'],
  ['an escape in a key', '{"mod\\u0065l":"tiny"}'],
  ['another alphabet', '{"model":"tïny"}'],
  ['the cloud', '{"model":"tiny:cloud"}'],
  ['no name', '{"model":"a b"}'],
  ['nothing', '{"model":""}'],
  ['none', '{"input":"x"}'],
  ['none, in an object inside', '{"input":{"model":"tiny"}}'],
  ['no object', '["model","tiny"]'],
  ['no JSON', 'model=tiny'],
  ['no end', '{"model":"tiny","input":"x'],
  ['nothing at all', ''],
  ['too much', `{"model":"tiny","input":"${'x'.repeat(20_000)}"}`],
])('%s is left to the reader', (_, body) => {
  expect(createModelPeek()(bytes(body))).toBeNull()
})

test('where it finds a name, the whole reading finds the same one or no call at all', () => {
  const { random, pick } = createDice(seedOf('model peek'))
  const values = [
    '"x"',
    '[1,{"model":"a"}]',
    'null',
    'true',
    '-1.5e3',
    '{}',
    '"a\\"b}"',
    '{"a":[","]}',
    '"\\\\"',
    '[]',
    '"é"',
  ]
  const names = ['tiny', 'TINY', 'me/thing:v1', 'x:cloud', 'a b', '', 'hf.co/a/b:Q4', 'tiny:local']
  const keys = ['model', 'Model', 'input', 'options', 'mode', 'models', 'mod\\u0065l', 'keep_alive']
  const peek = createModelPeek()
  let found = 0
  for (let i = 0; i < 10_000; i++) {
    const members = Array.from({ length: Math.floor(random() * 5) }, () => {
      const key = pick(keys)
      const value = key.toLowerCase() === 'model' && random() < 0.8 ? JSON.stringify(pick(names)) : pick(values)
      return `${pick(['', ' ', '\n'])}"${key}"${pick(['', ' '])}:${pick(['', '\t'])}${value}`
    })
    const text = `{${members.join(',')}}`
    const cut = random() < 0.2 ? text.slice(0, Math.floor(random() * text.length)) : text
    const peeked = peek(bytes(cut))
    if (peeked === null) continue
    const read = readCall(embed, bytes(cut), 'application/json')
    if (read.kind === 'call') expect([cut, read.call.canonicalModel, read.call.cloud]).toEqual([cut, peeked, false])
    found++
  }
  expect(found).toBeGreaterThan(500)
})
