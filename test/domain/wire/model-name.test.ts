/** Model names are compared as Ollama compares them (wire document, section 7). */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  canonicalName,
  displayName,
  isCloudName,
  parseModelName,
  sameModel,
} from '../../../src/domain/wire/model-name.ts'
import { seedOf } from '../../support/figures.ts'

describe('all these hit tiny:latest', () => {
  test.each([
    'tiny',
    ' tiny ',
    'tiny:latest',
    'TINY:latest',
    'Tiny:LATEST',
    'library/tiny',
    'registry.ollama.ai/library/tiny:latest',
    'https://registry.ollama.ai/library/tiny',
    'http://registry.ollama.ai/library/tiny:latest',
    'tiny:local',
    'tiny:latest:local',
    'tiny:LOCAL',
  ])('%j', (name) => {
    expect(sameModel(name, 'tiny:latest')).toBe(true)
    expect(canonicalName(name)).toBe('registry.ollama.ai/library/tiny:latest')
  })
})

test.each([
  ['mixed-case', 'Mixed-Case:Q4'],
  ['tiny:q4', 'tiny'],
  ['me/tiny', 'tiny'],
  ['example.com/library/tiny', 'tiny'],
  ['tiny2', 'tiny'],
])('%s is not %s', (a, b) => {
  expect(sameModel(a, b)).toBe(false)
})

test.each(['', ' ', '\t\n'])('%j is empty', (name) => {
  expect(parseModelName(name)).toEqual({ kind: 'empty' })
  expect(canonicalName(name)).toBeNull()
})

test.each([
  'tiny:',
  ':latest',
  '-tiny',
  '.tiny',
  'ti ny',
  'tiny:a b',
  'a.b/tiny',
  'tiny/',
  '/tiny',
  'tïny',
  'tiny:../../etc',
  'x'.repeat(81),
  `tiny:${'x'.repeat(81)}`,
])('%j is no name', (name) => {
  expect(parseModelName(name)).toEqual({ kind: 'invalid' })
  expect(sameModel(name, name)).toBe(false)
})

test.each(['x:cloud:local', 'x:local:cloud', 'x:20b-cloud:local'])('%s asks for both places', (name) => {
  expect(parseModelName(name)).toEqual({ kind: 'conflict' })
})

test.each([
  ['x:cloud', true],
  ['x:CLOUD', true],
  ['x:20b-cloud', true],
  ['x:20b:cloud', true],
  ['x', false],
  ['cloud', false],
  ['x-cloud', false],
  ['x:local', false],
  ['me/x:cloud', true],
  ['x:a-cloud/b', false],
])('%s is in the cloud: %p', (name, isCloud) => {
  expect(isCloudName(name)).toBe(isCloud)
})

test.each([
  ['tiny', 'tiny:latest'],
  ['library/Tiny:Q4', 'Tiny:Q4'],
  ['me/tiny', 'me/tiny:latest'],
  ['registry.ollama.ai/me/tiny:q4', 'me/tiny:q4'],
  ['hf.co/me/tiny', 'hf.co/me/tiny:latest'],
  ['localhost:5000/me/tiny', 'localhost:5000/me/tiny:latest'],
])('%s is listed as %s', (name, shown) => {
  const parsed = parseModelName(name)
  expect(parsed.kind === 'name' && displayName(parsed.name)).toBe(shown)
})

test('what is displayed is the same model as what was parsed, for random names', () => {
  const seed = seedOf('names')
  const part = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,12}$/)
  const name = fc.tuple(fc.option(part), fc.option(part), part, fc.option(part)).map(([host, space, model, tag]) => {
    const prefix = space === null ? '' : `${host === null ? '' : `${host}.example/`}${space}/`
    return `${prefix}${model}${tag === null ? '' : `:${tag}`}`
  })
  const stable = fc.property(name, (text) => {
    const parsed = parseModelName(text)
    fc.pre(parsed.kind === 'name' && parsed.source === 'local' && !parsed.forcedLocal)
    if (parsed.kind !== 'name') return
    expect(sameModel(displayName(parsed.name), text)).toBe(true)
    expect(sameModel(text.toUpperCase(), text.toLowerCase())).toBe(true)
  })
  fc.assert(stable, { seed, numRuns: 2_000 })
})
