/** Names and JSON as Ollama reads them: more than 120 spellings, each asked of the target directly and through foreman, with the same answer. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'

let simulator: Simulator
let foreman: RunningForeman
let asked = 0

beforeAll(async () => {
  simulator = await startSimulator({
    models: [
      { name: 'tiny' },
      { name: 'Mixed-Case:Q4' },
      { name: 'me/thing:v1' },
      { name: 'hf.co/someone/big-model:Q4_K_M' },
      { name: 'embed', capabilities: ['embedding'] },
    ],
    maxLoadedModels: 5,
  })
  foreman = await runForeman(simulator.url, { FOREMAN_EMBED: 'bypass' })
  await polled(foreman)
})
afterAll(async () => {
  figure('names and JSON', `${asked} spellings, each answered as directly`)
  await foreman.stop()
  await simulator.stop()
})

const names: readonly string[] = [
  'tiny',
  ' tiny',
  'tiny ',
  '\ttiny\n',
  'TINY',
  'Tiny:Latest',
  'tiny:latest',
  'tiny:LATEST',
  'library/tiny',
  'LIBRARY/tiny:latest',
  'registry.ollama.ai/library/tiny',
  'registry.ollama.ai/library/tiny:latest',
  'REGISTRY.ollama.ai/Library/Tiny',
  'https://registry.ollama.ai/library/tiny:latest',
  'http://registry.ollama.ai/library/tiny',
  'tiny:local',
  'TINY:LOCAL',
  'tiny:latest:local',
  'library/tiny:local',
  'tiny:LoCaL',
  'tiny:other',
  'tiny:',
  ':tiny',
  ':',
  '/tiny',
  'tiny/',
  '//tiny',
  'a//tiny',
  'me/tiny',
  'tiny@sha256:00',
  'tiny latest',
  'ti ny',
  'tiny!',
  'tiny?',
  'tiny#1',
  'tiny%20',
  'ti\u0000ny',
  'tïny',
  '日本',
  '🦙',
  '-tiny',
  '.tiny',
  '_tiny',
  'tiny-',
  'tiny.',
  'tiny_',
  'tiny..x',
  'mixed-case',
  'mixed-case:q4',
  'Mixed-Case:Q4',
  'MIXED-CASE:Q4',
  'mixed_case:q4',
  'me/thing',
  'me/thing:v1',
  'ME/THING:V1',
  'me/thing:v2',
  'you/thing:v1',
  'thing:v1',
  'registry.ollama.ai/me/thing:v1',
  'hf.co/some.one/big-model:Q4_K_M',
  'HF.CO/some.one/BIG-model:q4_k_m',
  'hf.co/someone/big-model:Q4_K_M',
  'hf.co/some.one/big-model',
  'https://hf.co/some.one/big-model:Q4_K_M',
  'host:5000/library/tiny',
  'localhost:5000/a/b:c',
  'a/b/c/d',
  'a/b/c/d:e',
  'a'.repeat(80),
  'a'.repeat(81),
  `tiny:${'t'.repeat(80)}`,
  `tiny:${'t'.repeat(81)}`,
  `${'n'.repeat(81)}/tiny`,
  'n.s/tiny',
  'a'.repeat(5_000),
  'x:cloud:local',
  'x:local:cloud',
  'x:cloud',
  'x:20b-cloud',
  'nope',
  'nope:latest',
  '',
  ' ',
  '\n',
  'null',
  'model',
  '../tiny',
  'tiny/../tiny',
  'C:\\tiny',
  'sha256:abc',
  'latest',
]

const chat = (members: string) => `{${members},"stream":false,"messages":[{"role":"user","content":"[[n=1]]"}]}`
const tiny = '"model":"tiny"'

const bodies: readonly string[] = [
  chat('"MODEL":"tiny"'),
  chat('"Model":"tiny"'),
  chat('"mOdEl":"tiny"'),
  chat('"\\u006dodel":"tiny"'),
  chat('"model":"\\u0074iny"'),
  chat('"model":"nope","model":"tiny"'),
  chat('"model":"tiny","model":"nope"'),
  chat('"model":"tiny","MODEL":"nope"'),
  chat('"MODEL":"nope","model":"tiny"'),
  chat('"model":"tiny","model":null'),
  chat('"model":null,"model":"tiny"'),
  chat('"model":null'),
  chat('"model":5'),
  chat('"model":true'),
  chat('"model":["tiny"]'),
  chat('"model":{"name":"tiny"}'),
  chat('"model":5,"model":"tiny"'),
  chat('"name":"tiny"'),
  chat(' "model" :\t"tiny" '),
  chat(`"x":1e999,${tiny}`),
  chat(`"x":-0.0,${tiny}`),
  chat(`"x":01,${tiny}`),
  chat(`"x":+1,${tiny}`),
  chat(`"x":.5,${tiny}`),
  chat(`"x":1.,${tiny}`),
  chat(`"x":1e,${tiny}`),
  chat(`"x":NaN,${tiny}`),
  chat(`"x":nul,${tiny}`),
  chat(`"x":True,${tiny}`),
  chat(`"x":'a',${tiny}`),
  chat(`x:1,${tiny}`),
  chat(`"x":"a\nb",${tiny}`),
  chat(`"x":"a\\qb",${tiny}`),
  chat(`"x":"\\u12",${tiny}`),
  chat(`"x":"\\ud800",${tiny}`),
  chat(`"x":"\\ud83e\\udd99",${tiny}`),
  chat(`"x":[1,],${tiny}`),
  chat(`"x":[1 2],${tiny}`),
  chat(`"x":{"a":1,},${tiny}`),
  chat(`"x":{,${tiny}`),
  chat(`"x":],${tiny}`),
  chat(`${tiny},"keep_alive":null`),
  chat(`${tiny},"options":null`),
  chat(`${tiny},"options":{}`),
  chat(`${tiny},"options":{"num_ctx":null}`),
  chat(`${tiny},"options":{"NUM_CTX":"x"}`),
  chat(`${tiny},"stream":true,"stream":null,"Stream":false`),
  chat(`${tiny},"\u017ftream":false`),
  chat(`${tiny},"keep_alive":"abc"`),
  chat(`${tiny},"keep_alive":"-1"`),
  chat(`${tiny},"think":"huge"`),
  chat(`${tiny},"unknown":{"deep":[{}]}`),
  `${chat(tiny)} trailing`,
  `${chat(tiny)}}`,
  `${chat(tiny)}{"model":"nope"}`,
  `\n\n ${chat(tiny)}`,
  `\ufeff${chat(tiny)}`,
  `${chat(tiny)}\u0000`,
  chat(tiny).slice(0, -1),
  chat(tiny).slice(0, 20),
  '',
  ' ',
  '{',
  '{}',
  '{"',
  '[',
  '[]',
  '""',
  '"tiny"',
  'null',
  'true',
  '5',
  'tiny',
  '{"model"}',
  '{"model":}',
  '{"model" "tiny"}',
  '{,}',
  `{${tiny},}`,
  `{${tiny}`,
  `{"messages":[]}`,
  `{${tiny},"messages":null,"stream":false}`,
  `{${tiny},"messages":{},"stream":false}`,
  `{${tiny},"messages":"x"}`,
  `{${tiny},"messages":[5]}`,
  `{${tiny},"messages":[null],"stream":false}`,
  `{${tiny},"stream":"no"}`,
  `{${tiny},"stream":0}`,
  `{${tiny},"stream":[]}`,
  `{${tiny},"x":${'['.repeat(9_998)}${']'.repeat(9_998)},"stream":false,"messages":[]}`,
  `{${tiny},"x":${'['.repeat(10_001)}`,
]

/** What may differ between two runs of the same call. */
const varying =
  /"(created_at|total_duration|load_duration|eval_duration|prompt_eval_duration|embeddings?|id|created|request_id)":("[^"]*"|[\d.]+|\[[^\]]*\]+)/g

const answerOf = async (base: string, path: string, body: string) => {
  const response = await fetch(base + path, { method: 'POST', body })
  const text = (await response.text()).replaceAll(varying, '"$1":0').replaceAll(/"(\w+)":0,?/g, '')
  return { status: response.status, type: response.headers.get('content-type'), text }
}

const same = async (path: string, body: string) => {
  asked++
  const direct = await answerOf(simulator.url, path, body)
  const through = await answerOf(foreman.url, path, body)
  expect([body.slice(0, 120), through]).toEqual([body.slice(0, 120), direct])
}

describe.each([
  ['/api/chat', (model: string) => ({ model, stream: false, messages: [{ role: 'user', content: '[[n=1]]' }] })],
  ['/api/generate', (model: string) => ({ model, stream: false, prompt: '[[n=1]]' })],
  ['/v1/chat/completions', (model: string) => ({ model, messages: [{ role: 'user', content: '[[n=1]]' }] })],
  ['/api/embed', (model: string) => ({ model, input: 'x' })],
  ['/api/show', (model: string) => ({ model })],
] as const)('names on %s', (path, bodyOf) => {
  test(`${names.length} spellings`, async () => {
    for (const name of names) await same(path, JSON.stringify(bodyOf(name)))
  }, 60_000)
})

// Read off the wire document (sections 7.1 to 7.3): that foreman and the simulator agree must not be all that is known.
const outcomes: readonly (readonly [name: string, status: number, words?: string])[] = [
  ['tiny', 200],
  [' tiny ', 200],
  ['TINY:latest', 200],
  ['library/tiny', 200],
  ['registry.ollama.ai/library/tiny:latest', 200],
  ['https://registry.ollama.ai/library/tiny:latest', 200],
  ['tiny:local', 200],
  ['tiny:latest:local', 200],
  ['mixed-case:q4', 200],
  ['mixed-case', 404, "model 'mixed-case' not found"],
  ['tiny:other', 404, "model 'tiny:other' not found"],
  ['me/tiny', 404, "model 'me/tiny' not found"],
  ['host:5000/library/tiny', 404, "model 'host:5000/library/tiny' not found"],
  ['a'.repeat(80), 404, `model '${'a'.repeat(80)}' not found`],
  ['_tiny', 404, "model '_tiny' not found"],
  ['', 400, 'model is required'],
  [' ', 400, 'model is required'],
  ['tiny:', 400, 'invalid model name'],
  [':tiny', 400, 'invalid model name'],
  ['a//tiny', 400, 'invalid model name'],
  ['-tiny', 400, 'invalid model name'],
  ['.tiny', 400, 'invalid model name'],
  ['ti ny', 400, 'invalid model name'],
  ['tïny', 400, 'invalid model name'],
  ['n.s/tiny', 400, 'invalid model name'],
  ['a'.repeat(81), 400, 'invalid model name'],
  ['x:cloud:local', 400, 'use either :local or :cloud, not both: "x:cloud:local"'],
  ['x:cloud', 403, 'ollama cloud is disabled: remote model is unavailable'],
  ['x:20b-cloud', 403, 'ollama cloud is disabled: remote model is unavailable'],
]

for (const [name, status, words] of outcomes)
  test(`${JSON.stringify(name).slice(0, 60)} is ${status}, as the document says`, async () => {
    const body = { model: name, stream: false, messages: [{ role: 'user', content: '[[n=1]]' }] }
    const response = await fetch(`${foreman.url}/api/chat`, { method: 'POST', body: JSON.stringify(body) })
    const answer = (await response.json()) as { error?: string; model?: string }
    expect([response.status, answer.error]).toEqual([status, words])
    if (status === 200) expect(answer.model).toBe(name)
  })

test(`${bodies.length} bodies on /api/chat`, async () => {
  expect(names.length + bodies.length).toBeGreaterThanOrEqual(120)
  for (const body of bodies) await same('/api/chat', body)
}, 60_000)

test('the same bodies on /v1/chat/completions', async () => {
  for (const body of bodies) await same('/v1/chat/completions', body)
}, 60_000)
