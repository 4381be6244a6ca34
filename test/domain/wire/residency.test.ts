/** A residency key names its model and what makes Ollama load it anew. */
import { expect, test } from 'bun:test'
import { modelOfKey, reloadOf, residencyKey } from '../../../src/domain/wire/residency.ts'

test('the model can be read back from a residency key', () => {
  const canonical = 'registry.ollama.ai/library/tiny:latest'
  expect(modelOfKey(residencyKey(canonical, reloadOf({ num_ctx: 1 }, true)))).toBe(canonical)
  expect(modelOfKey(residencyKey(canonical, reloadOf(undefined, null)))).toBe(canonical)
})

test('options come in one order, and null or nothing is no option', () => {
  const options = { use_mmap: false, num_ctx: 8_192, temperature: 1, num_gpu: null }
  expect(reloadOf(options, undefined)).toEqual({ options: { num_ctx: 8_192, use_mmap: false }, shift: undefined })
  expect(residencyKey('m', reloadOf(options, false))).toBe('m num_ctx=8192 use_mmap=false shift=false')
  for (const none of [null, 7, 'x', undefined]) expect(residencyKey('m', reloadOf(none, undefined))).toBe('m')
})
