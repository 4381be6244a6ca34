/** Answers for people: what a simulated model says when it speaks words. */
import { afterEach, describe, expect, test } from 'bun:test'
import { sampleOf } from '../../src/simulator/schema-sample.ts'
import { answerTo } from '../../src/simulator/speech.ts'
import { type Rig, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

const said = (prompt: string) => answerTo({ prompt, format: null, toolResult: null }).toLowerCase()

const models = [{ name: 'm', capabilities: ['completion', 'tools', 'thinking'] }] as const
const speaking = () => startRig({ speech: 'words', models })
const chat = async (rig: Rig, more: Record<string, unknown>) => {
  const { json } = await rig.ask('/api/chat', { model: 'm', stream: false, think: false, ...more })
  return json['message'] as { content: string; thinking?: string; tool_calls?: { function: Record<string, unknown> }[] }
}
const user = (content: string) => [{ role: 'user', content }]

describe('what is said', () => {
  // The questions and the words looked for are those of Ollama's own integration tests.
  test.each([
    ['why is the sky blue? Be brief but factual in your reply', ['rayleigh', 'scatter', 'atmosphere']],
    ['天空为什么是蓝色的?', ['rayleigh', 'scatter', '散射', '频率']],
    ['Write me a story in english with a lot of emojis', ['once', 'upon', 'water', '🌊']],
    [
      'write a long historical fiction story about christopher columbus.  use at least 10 facts from his actual journey',
      ['explore', 'discover', 'ocean'],
    ],
    ['What country is this passage referring to?\nAustria never has wished for war. She is betraying us!', ['russia']],
    ['Explain the physics involved in them.  Be brief in your reply', ['refract', 'light', 'wave']],
    ['Explain the chemistry involved in them.  Be brief in your reply', ['water', 'prism']],
    ['What are common myths related to them? Be brief in your reply', ['gold', 'rainbow']],
    ['Can they form if there is no rain?  Be brief in your reply', ['mist', 'fog', 'water']],
    ['Can they form if there are no clouds?  Be brief in your reply', ['droplet', 'sun']],
    ['Do they happen on other planets? Be brief in your reply', ['venus', 'mars']],
    ['Describe this image briefly.', ['llama', 'road', 'animal', 'cartoon']],
    ['How many animals are in the image?', ['4']],
    ['Is any animal carrying something? What is it?', ['briefcase']],
    ['What famous image or album cover is this a parody of?', ['abbey road', 'beatles']],
    ['What is the animal on the far left doing in this image?', ['laptop', 'desk']],
    ['Are any of the animals wearing glasses? Describe what you see.', ['glasses']],
    ["I'm showing you two images. What do they have in common, and how are they different?", ['llama']],
    ['what does the text in this image say?', ['the ollam']],
    ['What exact words are spoken in this audio?', ['sky', 'blue']],
    ['Say hello in one word', ['hello']],
    ['def fibonacci():', ['f(n)', 'n-1']],
    ['Is it safe or unsafe?', ['safe']],
    ['Write the sql for it', ['select', 'from']],
    ['why is the ocean blue? Be brief but factual in your reply', ['sunlight', 'scatter', 'water']],
    ['why is the color of dirt brown? Be brief but factual in your reply', ['soil', 'iron oxide', 'mineral']],
    ['how do rainbows form? Be brief but factual in your reply', ['raindrop', 'refract', 'spectrum']],
    ['what is the origin of independence day? Be brief but factual in your reply', ['july', 'declaration']],
    ['what is the composition of air? Be brief but factual in your reply', ['nitrogen', 'oxygen']],
    ['Output some smily face emoji', ['😀']],
    ['What is 12 multiplied by 15? Give the final answer.', ['180']],
    ['What is the capital of Japan? Answer in one word.', ['tokyo']],
    ['Answer with one of: bug, feature or question. The door is stuck.', ['bug']],
    ['Is this spam? Answer yes or no.', ['yes']],
  ])('to "%s" has what a reader looks for', (prompt, words) => {
    for (const word of words) expect(said(prompt)).toContain(word)
  })

  test('remembers what was said before, as far as a person would try it', () => {
    const after = (before: string, prompt: string) => answerTo({ prompt, before, format: null, toolResult: null })
    expect(after('how do rainbows form?', 'tell me more!')).toContain('raindrops')
    expect(after('hello\nMy name is Ann', 'What is my name?')).toBe('Your name is Ann.')
    expect(said('My name is Ann')).toContain('hello ann')
    expect(after('how do rainbows form?', 'What is the capital of France?')).toBe('Paris.')
  })

  test('to anything else says that it is simulated, and to nothing it greets', () => {
    expect(said('Summarise the third act [[id=7]]')).toContain('you asked: "summarise the third act"')
    expect(said('')).toContain('hello')
  })
})

describe('a model that speaks words', () => {
  test('streams the same text it answers whole, and is cut by num_predict', async () => {
    const rig = await speaking()
    const whole = await chat(rig, { messages: user('why is the sky blue?') })
    const stream = await fetch(`${rig.url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify({ model: 'm', think: false, messages: user('why is the sky blue?') }),
    })
    const lines = (await stream.text()).trim().split('\n')
    const streamed = lines.map((line) => (JSON.parse(line) as { message: { content: string } }).message.content)
    expect(streamed.length).toBeGreaterThan(20)
    expect(streamed.join('')).toBe(whole.content)
    const short = await rig.ask('/api/generate', {
      model: 'm',
      prompt: 'why is the sky blue?',
      stream: false,
      think: false,
      options: { num_predict: 3 },
    })
    expect(short.json).toMatchObject({ response: 'The sky is ', done_reason: 'length', eval_count: 3 })
  })

  test('thinks before it answers, and says as much as it is asked for', async () => {
    const rig = await speaking()
    const thinking = await chat(rig, { messages: user('hello'), think: true })
    expect(thinking.thinking).toContain('The user says "hello"')
    const { json } = await rig.ask('/api/generate', {
      model: 'm',
      prompt: 'Tell a story of at least 300 words',
      stream: false,
      think: false,
    })
    expect(json).toMatchObject({ eval_count: 300, done_reason: 'stop' })
    expect(String(json['response']).split(/\s+/).length).toBeGreaterThanOrEqual(300)
    const scripted = await rig.ask('/api/generate', { model: 'm', prompt: '[[n=7]]', stream: false, think: false })
    expect(scripted.json['eval_count']).toBe(7)
  })

  test('answers in JSON by the schema of each API', async () => {
    const rig = await speaking()
    const schema = {
      type: 'object',
      properties: {
        city: { type: 'string' },
        mood: { enum: ['sad', 'happy'] },
        tags: { type: 'array', items: { type: 'string' }, minItems: 2 },
        age: { type: 'integer', minimum: 18 },
        home: { $ref: '#/$defs/home' },
      },
      $defs: { home: { type: 'object', properties: { since: { type: 'string', format: 'date' } } } },
    }
    const expected = {
      city: 'New York',
      mood: 'happy',
      tags: ['tags', 'tags'],
      age: 18,
      home: { since: '2026-01-31' },
    }
    const messages = user('A happy man lives in New York. Describe him.')
    expect(JSON.parse((await chat(rig, { messages, format: schema })).content)).toEqual(expected)
    expect(JSON.parse((await chat(rig, { messages, format: 'json' })).content)).toHaveProperty('answer')
    const openai = await rig.ask('/v1/chat/completions', {
      model: 'm',
      messages,
      reasoning_effort: 'none',
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
    })
    const [choice] = openai.json['choices'] as { message: { content: string } }[]
    expect(JSON.parse(choice!.message.content)).toEqual(expected)
    const responses = await rig.ask('/v1/responses', {
      model: 'm',
      input: 'A happy man lives in New York.',
      text: { format: { type: 'json_schema', name: 'x', schema } },
    })
    expect(JSON.stringify(responses.json)).toContain('\\"city\\":\\"New York\\"')
  })

  test('calls the tool that is meant, with arguments of its schema, and ends when the tool has answered', async () => {
    const rig = await speaking()
    const tool = (name: string, properties: object) => ({
      type: 'function',
      function: { name, parameters: { type: 'object', properties } },
    })
    const tools = [
      tool('send_mail', { to: { type: 'string', format: 'email' } }),
      tool('get_weather', { location: { type: 'string' }, unit: { enum: ['celsius', 'fahrenheit'] } }),
    ]
    const question = user('What is the weather in San Francisco?')
    const call = await chat(rig, { messages: question, tools })
    expect(call.tool_calls).toMatchObject([
      { function: { name: 'get_weather', arguments: { location: 'San Francisco', unit: 'celsius' } } },
    ])
    const answered = [...question, { role: 'assistant', ...call }, { role: 'tool', content: '12 degrees and fog' }]
    const last = await chat(rig, { messages: answered, tools })
    expect(last).toMatchObject({ content: 'The tool says: 12 degrees and fog' })
    expect(last.tool_calls).toBeUndefined()
    expect((await chat(rig, { messages: user('hello'), tools })).tool_calls).toBeUndefined()
  })

  test('knows a conversation on every API, and hears in every recording the same', async () => {
    const rig = await speaking()
    const turns = [...user('My name is Ann'), { role: 'assistant', content: 'Hello Ann!' }, ...user('What is my name?')]
    expect((await chat(rig, { messages: turns })).content).toBe('Your name is Ann.')
    const whole = { model: 'm', max_tokens: 100, messages: turns, reasoning_effort: 'none' }
    for (const [path, body] of [
      ['/v1/chat/completions', whole],
      ['/v1/messages', whole],
      ['/v1/responses', { model: 'm', input: turns }],
    ] as const)
      expect(JSON.stringify((await rig.ask(path, body)).json)).toContain('Your name is Ann.')
    const form = new FormData()
    form.set('model', 'm')
    form.set('file', new Blob(['RIFF']), 'a.wav')
    const heard = await fetch(`${rig.url}/v1/audio/transcriptions`, { method: 'POST', body: form })
    expect(await heard.json()).toEqual({ text: 'Why is the sky blue?' })
  })

  test('speaks tokens to whoever counts them', async () => {
    const rig = await speaking()
    rig.set({ speech: 'tokens' })
    expect((await chat(rig, { messages: user('hello') })).content).toBe('tok0 tok1 tok2 tok3 tok4 ')
  })
})

test('a schema that refers to itself ends, and odd ones give something', () => {
  const tree = { type: 'object', properties: { left: { $ref: '#' } } }
  expect(JSON.stringify(sampleOf(tree, '')).length).toBeLessThan(200)
  expect(sampleOf({}, '')).toBe('an answer')
  expect(sampleOf({ type: ['null', 'number'], maximum: -3 }, '')).toBe(-3)
  expect(sampleOf({ anyOf: [{ const: 7 }, { type: 'string' }] }, '')).toBe(7)
  expect(sampleOf({ type: 'string', maxLength: 2 }, '')).toBe('an')
})
