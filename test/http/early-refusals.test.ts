/** R17: what Ollama refuses before it loads, it refuses through foreman too: in its own words, at once, and nobody's model goes for it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { precheck } from '../../src/domain/wire/precheck.ts'
import { matchRoute } from '../../src/domain/wire/routes.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { jobsClient } from '../support/jobs-client.ts'

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({
    models: [
      { name: 'other' },
      { name: 'tiny' },
      { name: 'able', capabilities: ['completion', 'tools', 'thinking', 'insert'] },
      { name: 'embed', capabilities: ['embedding'] },
      { name: 'eyes', capabilities: ['completion', 'vision'] },
    ],
    loadMs: 300,
    maxLoadedModels: 1,
  })
  foreman = await runForeman(simulator.url)
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const messages = [{ role: 'user', content: 'hi' }]
const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }]
const chat = (more: object, model = 'tiny') => ['/api/chat', { model, messages, ...more }] as const
const generate = (more: object, model = 'tiny') => ['/api/generate', { model, prompt: 'hi', ...more }] as const

const linked = (url: unknown) => [{ role: 'user', content: [{ type: 'image_url', image_url: url }] }]
const completions = (more: object, model = 'tiny') => ['/v1/completions', { model, prompt: 'hi', ...more }] as const
const responses = (more: object, model = 'tiny') => ['/v1/responses', { model, input: 'hi', ...more }] as const
const flatTools = [{ type: 'function', name: 'f', parameters: { type: 'object', properties: {} } }]

const refused: Record<string, readonly [string, object]> = {
  'tools for a model without': chat({ tools }),
  'think for a model without': chat({ think: true }),
  'a level of think for a model without': chat({ think: 'low' }),
  'think in a generate': generate({ think: true }),
  'a suffix for a model without insert': generate({ suffix: 'x' }),
  'a chat with an embedder': chat({}, 'embed'),
  'a generate with an embedder': generate({}, 'embed'),
  'a level of think that is none': chat({ think: 'huge' }, 'able'),
  'think that is a number': chat({ think: 1 }, 'able'),
  'an option of the wrong type': chat({ options: { num_ctx: 'a' } }),
  'another option of the wrong type': generate({ options: { temperature: 'warm' } }),
  'stop that is no list': chat({ options: { stop: 'x' } }),
  'options that are none': chat({ options: 'x' }),
  'messages that are a string': chat({ messages: 'hi' }),
  'a message that is a string': chat({ messages: ['hi'] }),
  'a role that is a number': chat({ messages: [{ role: 5, content: 'x' }] }),
  'tools that are a string': chat({ tools: 'x' }),
  'a keep_alive that is no duration': chat({ keep_alive: 'abc' }),
  'a keep_alive without a unit': generate({ keep_alive: '-1' }),
  'too many logprobs': chat({ top_logprobs: 21 }),
  'a prompt that is a number': generate({ prompt: 5 }),
  'an image that is no base64': chat({
    messages: [{ role: 'user', content: 'x', images: ['data:image/png;base64,AA=='] }],
  }),
  'an image of a generate that is none': generate({ images: ['%%%'] }),
  'a picture for a generate without eyes': generate({ images: ['aGk='] }),
  'a large one': generate({ images: ['aGlo'.repeat(50_000)] }),
  'a picture that would have to be fetched': [
    '/v1/chat/completions',
    { model: 'tiny', messages: linked({ url: 'http://nas/a.png' }) },
  ],
  'the same for a model with eyes': ['/v1/chat/completions', { model: 'eyes', messages: linked('https://nas/a.png') }],
  'a reasoning effort for a model that does not think': [
    '/v1/chat/completions',
    { model: 'eyes', messages, reasoning_effort: 'high' },
  ],
  'the same within reasoning': ['/v1/chat/completions', { model: 'eyes', messages, reasoning: { effort: 'low' } }],
  'the same of responses': responses({ reasoning: { effort: 'high' } }, 'eyes'),
  'tools of responses': responses({ tools: flatTools }),
  'responses of an embedder': responses({}, 'embed'),
  'completions of an embedder': completions({}, 'embed'),
  'completions with a suffix for a model without insert': completions({ suffix: 'x' }),
  'completions of a list': completions({ prompt: ['hi'] }),
  'tools on /v1': ['/v1/chat/completions', { model: 'tiny', messages, tools }],
  'no messages on /v1': ['/v1/chat/completions', { model: 'tiny', messages: [] }],
  'tools of a message': [
    '/v1/messages',
    { model: 'tiny', max_tokens: 5, messages, tools: [{ name: 'f', input_schema: { type: 'object' } }] },
  ],
  'a message without max_tokens': ['/v1/messages', { model: 'tiny', messages }],
}

const ask = async (base: string, [path, body]: readonly [string, object]) => {
  const began = performance.now()
  const response = await fetch(base + path, { method: 'POST', body: JSON.stringify(body) })
  const text = (await response.text()).replace(/"request_id":"[^"]*"/, '')
  return { status: response.status, type: response.headers.get('content-type'), text, ms: performance.now() - began }
}

const loads = () => simulator.counters().loads

describe('refused before anything is loaded, as by Ollama itself', () => {
  test.each(Object.keys(refused))('%s', async (name) => {
    const call = refused[name]!
    const before = loads()
    const direct = await ask(simulator.url, call)
    const through = await ask(foreman.url, call)
    expect({ ...through, ms: 0 }).toEqual({ ...direct, ms: 0 })
    expect([direct.status >= 400, loads() - before]).toEqual([true, 0])
  })

  test('each of them within 50 ms, while another model works', async () => {
    const working = ask(foreman.url, chat({ messages: [{ role: 'user', content: '[[silent=1500]]' }] }, 'other'))
    const times: number[] = []
    for (const call of Object.values(refused)) times.push((await ask(foreman.url, call)).ms)
    expect((await working).status).toBe(200)
    const sorted = times.sort((a, b) => a - b)
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0
    expect(median).toBeLessThanOrEqual(50)
    figure(
      'R17',
      `${times.length} early refusals: 0 loads, median ${median.toFixed(1)} ms, worst ${sorted.at(-1)?.toFixed(1)} ms, text as direct`,
    )
  })

  test('and a job with such a body fails in those words without a load', async () => {
    const before = loads()
    const client = jobsClient(foreman)
    const job = await client.finished(await client.submit({ model: 'tiny', messages, tools }))
    expect(job.state).toBe('failed')
    expect(job.error).toMatchObject({ code: 'refused' })
    expect(job.error?.message).toEndWith('does not support tools')
    expect(loads() - before).toBe(0)
  })
})

describe('not refused, and so queued as ever', () => {
  test.each([
    ['tools and think for a model that has them', chat({ tools, think: 'low' }, 'able')],
    ['think: false for a model without', chat({ think: false })],
    ['nulls', chat({ tools: null, think: null, options: null, keep_alive: null })],
    ['an unknown option of any type', chat({ options: { rank: 'x', num_ctx: null } })],
    ['an image', chat({ messages: [{ role: 'user', content: 'x', images: ['aGk='] }] })],
    ['an empty list of tools', chat({ tools: [] })],
    ['a picture of a generate for a model with eyes', generate({ images: ['aGk='] }, 'eyes')],
    ['no pictures for a model without', generate({ images: [] })],
    ['neither', generate({ images: null })],
    [
      'a picture within the message',
      ['/v1/chat/completions', { model: 'eyes', messages: linked({ url: 'data:image/png;base64,aGk=' }) }] as const,
    ],
    ['tools of responses for a model that has them', responses({ tools: flatTools }, 'able')],
    ['no reasoning effort', responses({ reasoning: { effort: 'none' } })],
    ['a reasoning effort of responses for a model that thinks', responses({ reasoning: { effort: 'low' } }, 'able')],
    [
      'thinking of a message for a model without',
      ['/v1/messages', { model: 'tiny', max_tokens: 5, messages, thinking: { type: 'enabled' } }] as const,
    ],
    ['responses without any', responses({ tools: [] })],
    ['completions with a suffix for a model that inserts', completions({ suffix: 'x' }, 'able')],
    ['max_tokens', ['/v1/messages', { model: 'tiny', max_tokens: 5, messages }] as const],
  ])('%s', async (_, call) => {
    const answer = await ask(foreman.url, call)
    expect([answer.status, answer.text.includes('error":"')]).toEqual([200, false])
  })
})

const values: unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  25,
  1.5,
  '',
  'x',
  'low',
  'tiny',
  '10m',
  [],
  {},
  [null],
  [{}],
  ['x'],
  [5],
]
const more: unknown[] = [
  { num_ctx: 'a' },
  { stop: ['a'] },
  { stop: 5 },
  linked({ url: 'http://x/y.png' }),
  linked('data:image/png;base64,aGk='),
  [{ role: 'user', content: 'x', images: ['!'] }],
  tools,
]
const names = ['prompt', 'messages', 'stream', 'options', 'keep_alive', 'format', 'think', 'tools', 'images', 'suffix']
const others = ['template', 'raw', 'max_tokens', 'shift', 'top_logprobs', 'logprobs', 'context', 'system', 'truncate']

const layers = ['/v1/completions', '/v1/responses']

test('of 1,500 random bodies none is called refused that Ollama would take', async () => {
  const dice = createDice(seedOf('prechecks'))
  let refusals = 0
  for (let i = 0; i < 1_500; i++) {
    const path = dice.pick(['/api/chat', '/api/generate', '/v1/chat/completions', '/v1/messages', ...layers])
    const members = Array.from({ length: dice.between(0, 4) }, () => [
      dice.pick([...names, ...others]),
      dice.pick([...values, ...more]),
    ])
    const body = { model: 'able', messages, prompt: 'hi', max_tokens: 5, ...Object.fromEntries(members) }
    const matched = matchRoute('POST', path)
    if (matched.kind !== 'route') throw new Error(path)
    if (!precheck(matched.route, new TextEncoder().encode(JSON.stringify(body))).isRefused) continue
    refusals++
    const answer = await ask(simulator.url, [path, body])
    expect([path, JSON.stringify(body), answer.status >= 400]).toEqual([path, JSON.stringify(body), true])
  }
  expect(refusals).toBeGreaterThan(300)
}, 60_000)
