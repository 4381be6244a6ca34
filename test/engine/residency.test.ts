/** What is believed to be loaded: own loads for certain, the target's own list for the rest, and nothing during a load. */
import { expect, test } from 'bun:test'
import { residentsFrom } from '../../src/domain/wire/inventory.ts'
import { createResidency } from '../../src/engine/residency.ts'

const A = 'registry.ollama.ai/library/a:latest'
const B = 'registry.ollama.ai/library/b:latest'
const list = (...names: string[]) => residentsFrom({ models: names.map((name) => ({ name })) }) ?? []

test('after a load the target’s own list says what is still there beside it', () => {
  const residency = createResidency()
  residency.loading(`${A} num_ctx=8192`)
  residency.loaded(`${A} num_ctx=8192`, list('a'))
  residency.loading(B)
  expect(residency.loadedKeys).toEqual([])
  residency.loaded(B, list('a', 'b'))
  expect([...residency.loadedKeys].sort()).toEqual([`${A} num_ctx=8192`, B].sort())
  residency.loading(`${B} num_ctx=4096`)
  residency.loaded(`${B} num_ctx=4096`, list('b'))
  expect(residency.loadedKeys).toEqual([`${B} num_ctx=4096`])
})

test('a list that came too late for its load cannot bring back what the next load pushed out', () => {
  const residency = createResidency()
  residency.loading(A)
  residency.loading(B)
  residency.loaded(A, list('a'))
  residency.loaded(B, list('b'))
  expect(residency.loadedKeys).toEqual([B])
})

test('a target that does not say leaves only the load itself', () => {
  const residency = createResidency()
  residency.loaded(A, list('a'))
  residency.loading(B)
  residency.loaded(B, null)
  expect(residency.loadedKeys).toEqual([B])
})

test('a load that came to nothing leaves nothing certain until the next list', () => {
  const residency = createResidency()
  residency.loaded(A, list('a'))
  residency.loading(B)
  expect([residency.loadedKeys, residency.residentKeys]).toEqual([[], [A]])
  residency.seen(list('a'))
  expect([residency.loadedKeys, residency.residentKeys]).toEqual([[], [A]])
})

test('what somebody else loaded costs its jobs no swap, but is loaded for certain only by us', () => {
  const residency = createResidency()
  residency.seen(list('a', 'b'))
  expect([residency.loadedKeys, residency.residentKeys]).toEqual([[], [A, B]])
  residency.loading(A)
  residency.loaded(A, list('a', 'b'))
  expect([residency.loadedKeys, residency.residentKeys]).toEqual([[A], [A, B]])
})

test('a list without the model, an unload and a target that went away end it', () => {
  for (const end of ['seen', 'forget', 'clear'] as const) {
    const residency = createResidency()
    residency.loaded(A, list('a'))
    const before = residency.version
    if (end === 'seen') residency.seen(list('b'))
    else if (end === 'forget') residency.forget(A)
    else residency.clear()
    expect(residency.loadedKeys).toEqual([])
    expect(residency.version).toBeGreaterThan(before)
  }
})
