/** What the target says it has and holds: read when it is that, and left alone when it is anything else. */
import { describe, expect, test } from 'bun:test'
import { installedLike, inventoryFrom, residentsFrom } from '../../../src/domain/wire/inventory.ts'

describe('the list of installed models', () => {
  test('is keyed by canonical name, and knows stubs of cloud models', () => {
    const tags = { models: [{ name: 'Tiny:Q4' }, { name: 'big:120b-cloud', remote_host: 'https://ollama.com' }] }
    expect(inventoryFrom(tags)?.get('registry.ollama.ai/library/tiny:q4')).toEqual({
      name: 'Tiny:Q4',
      remote: false,
      digest: '',
      families: [],
      capabilities: [],
    })
    expect([...(inventoryFrom(tags)?.values() ?? [])].at(1)).toMatchObject({ remote: true })
  })

  test.each([[null], [7], [[]], [{}], [{ models: 7 }], [{ models: 'x' }], ['models']])('is not in %j', (body) => {
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
    models: [
      { name: 'tiny:latest', context_length: 4_096, expires_at: '2319-03-03T00:00:00Z', size: 10, size_vram: 8 },
      { name: 'b' },
    ],
  }
  expect(residentsFrom(ps)).toEqual([
    {
      name: 'tiny:latest',
      canonical: 'registry.ollama.ai/library/tiny:latest',
      contextLength: 4_096,
      expiresAt: '2319-03-03T00:00:00Z',
      sizeBytes: 10,
      vramBytes: 8,
    },
    {
      name: 'b',
      canonical: 'registry.ollama.ai/library/b:latest',
      contextLength: null,
      expiresAt: null,
      sizeBytes: null,
      vramBytes: null,
    },
  ])
})

test('a name that is not installed suggests another size of it, else the nearest spelling, else nothing', () => {
  const names = ['qwen3:14b', 'llama3.2:3b', 'nomic-embed-text:latest']
  const inventory = inventoryFrom({ models: names.map((name) => ({ name })) })
  if (inventory === null) throw new Error('no inventory')
  const suggested = ['llama3.2', 'Llama3.2:1b', 'qwen3:41b', 'quen3:14b', 'nomic-embed-txt', 'mistral'].map((name) =>
    installedLike(inventory, name),
  )
  expect(suggested).toEqual(['llama3.2:3b', 'llama3.2:3b', 'qwen3:14b', 'qwen3:14b', 'nomic-embed-text:latest', null])
})
