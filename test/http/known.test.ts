/** What is remembered of the target's answers: to the byte, bounded, and only while it holds. */
import { describe, expect, test } from 'bun:test'
import { modelList, modelOf } from '../../src/domain/wire/model-list.ts'
import { matchRoute } from '../../src/domain/wire/routes.ts'
import { readShow } from '../../src/domain/wire/show.ts'
import type { TargetView } from '../../src/engine/state.ts'
import { createKnown } from '../../src/http/ollama/known.ts'
import { createMemory } from '../../src/http/ollama/memory.ts'

const bytesOf = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))

const viewWith = (models: Record<string, string>): TargetView => ({
  reachable: false,
  degraded: true,
  hang: null,
  down: null,
  reason: null,
  absence: null,
  lastPollAt: 1_000,
  version: '0.33.0',
  inventory: new Map(
    Object.entries(models).map(([name, digest]) => [
      `registry.ollama.ai/library/${name}:latest`,
      { name, remote: false, digest, families: [], capabilities: [] },
    ]),
  ),
  tagsBody: bytesOf({ models: Object.entries(models).map(([name, digest]) => ({ name: `${name}:latest`, digest })) }),
  psBody: null,
})

/** A memory over a target whose view a test changes. */
const build = (models: Record<string, string>) => {
  const world = { view: viewWith(models) }
  const known = createKnown({ view: () => world.view, clock: { now: () => 5_000 } })
  const ask = (method: string, path: string, body: unknown = null) => {
    const matched = matchRoute(method, path)
    if (matched.kind !== 'route') throw new Error(path)
    const request = new Request(`http://x${path}`, { method })
    const question = known.question(matched.route, request, body === null ? null : bytesOf(body))
    if (question === null) throw new Error(`${path} is not remembered`)
    return question
  }
  return { world, ask }
}

const heard = (text: string, status = 200, more: [string, string][] = []) => ({
  status,
  headers: [['Content-Type', 'application/json'], ...more] as const,
  bytes: bytesOf(text),
})

const said = async (question: { answer(): Response | null }) => {
  const answer = question.answer()
  return answer === null ? null : [answer.status, await answer.text()]
}

describe('a show', () => {
  const asked = { model: 'a' }

  test('is remembered under every spelling of its model, and apart from what it depends on besides', async () => {
    const { ask } = build({ a: 'd1' })
    ask('POST', '/api/show', asked).heard(heard('{"details":1}'))
    for (const body of [asked, { name: 'A:latest' }, { MODEL: 'library/a' }, { model: 'a', verbose: false }])
      expect([body, await said(ask('POST', '/api/show', body))]).toEqual([body, [200, '{"details":1}']])
    for (const more of [{ verbose: true }, { system: 'x' }, { template: 'x' }, { options: { num_ctx: 1 } }])
      expect([more, await said(ask('POST', '/api/show', { ...asked, ...more }))]).toEqual([more, null])
  })

  test('is forgotten when the digest of its model changes', async () => {
    const { world, ask } = build({ a: 'd1' })
    ask('POST', '/api/show', asked).heard(heard('{"details":1}'))
    world.view = viewWith({ a: 'd2' })
    expect(await said(ask('POST', '/api/show', asked))).toBeNull()
    world.view = viewWith({ a: 'd1' })
    expect(await said(ask('POST', '/api/show', asked))).toBeNull()
  })

  test('is forgotten when its model is deleted, which is then not found', async () => {
    const { world, ask } = build({ a: 'd1', b: 'd1' })
    ask('POST', '/api/show', asked).heard(heard('{"details":1}'))
    world.view = viewWith({ b: 'd1' })
    const gone = await said(ask('POST', '/api/show', asked))
    expect(gone).toEqual([404, `{"error":"model 'a:latest' not found"}`])
  })

  test('that was on its way while its model changed is not remembered', async () => {
    const { world, ask } = build({ a: 'd1' })
    const question = ask('POST', '/api/show', asked)
    world.view = viewWith({ a: 'd2' })
    question.heard(heard('{"details":1}'))
    expect(await said(ask('POST', '/api/show', asked))).toBeNull()
  })

  test('that failed, or that was compressed on the way, is not remembered', async () => {
    const { ask } = build({ a: 'd1' })
    ask('POST', '/api/show', asked).heard(heard('{"error":"x"}', 500))
    ask('POST', '/api/show', asked).heard(heard('{"details":1}', 200, [['Content-Encoding', 'gzip']]))
    expect(await said(ask('POST', '/api/show', asked))).toBeNull()
  })

  test('of a cloud model is nobody else\u2019s, and that of Copilot neither', () => {
    const keyOf = (model: string, agent = '') => readShow(bytesOf({ model }), agent)?.key
    expect(keyOf('a:cloud')).not.toBe(keyOf('a')!)
    expect(keyOf('a', 'GitHubCopilotChat/1')).not.toBe(keyOf('a')!)
    expect(readShow(bytesOf({ model: 'bad name!' }), '')).toBeNull()
    expect(readShow(bytesOf({ model: 'a', system: 'x'.repeat(70_000) }), '')).toBeNull()
    expect(readShow(bytesOf('[]'), '')).toBeNull()
  })
})

test('a list of models is given as it was heard while the models are the same, and made anew when they are not', async () => {
  const { world, ask } = build({ a: 'd1' })
  ask('GET', '/v1/models').heard(heard('{"data": "as heard"}'))
  expect(await said(ask('GET', '/v1/models'))).toEqual([200, '{"data": "as heard"}'])
  world.view = viewWith({ b: 'd2' })
  expect(await said(ask('GET', '/v1/models'))).toEqual([200, expect.stringContaining('"id":"b:latest"')])
})

test('lists of models carry the time and the owner that Ollama gives them', () => {
  const tags = bytesOf({ models: [{ name: 'me/a:7b', modified_at: '2026-01-02T03:04:05.678+01:00' }, { name: 3 }] })
  const created = Date.parse('2026-01-02T02:04:05Z') / 1_000
  const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? new Uint8Array())
  expect(text(modelList(tags))).toBe(
    `{"object":"list","data":[{"id":"me/a:7b","object":"model","created":${created},"owned_by":"me"}]}\n`,
  )
  expect(text(modelOf(tags, 'ME/a:7B'))).toContain('"id":"ME/a:7B"')
  expect([modelOf(tags, 'a'), modelOf(tags, 'bad name!')]).toEqual([null, null])
})

test('the memory is bounded in number and in bytes, and what was used last stays', () => {
  const memory = createMemory({ entriesMax: 3, bytesMax: 100 })
  const keep = (key: string, length: number) =>
    memory.keep(key, { contentType: '', bytes: new Uint8Array(length), at: 0, holds: 1 })
  for (const key of ['a', 'b', 'c']) keep(key, 10)
  memory.find('a', 1)
  keep('d', 10)
  expect(['a', 'b', 'c', 'd'].map((key) => memory.find(key, 1) !== null)).toEqual([true, false, true, true])
  keep('e', 70)
  expect(memory.bytes).toBeLessThanOrEqual(100)
  keep('f', 200)
  expect([memory.find('f', 1), memory.find('e', 1) !== null]).toEqual([null, true])
  keep('e', 5)
  expect(memory.find('e', 2)).toBeNull()
})
