/** What the other transcript (t7.txt) and the wire document show of the APIs, beyond the recorded exchanges. */
import { afterEach, describe, expect, test } from 'bun:test'
import { post } from '../support/raw-client.ts'
import { chatBody, chunksOf, isComplete, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

const tools = [
  { type: 'function', function: { name: 'get_weather', parameters: { properties: { city: { type: 'string' } } } } },
]

const stream = async (path: string, body: unknown): Promise<string[]> => {
  const rig = await startRig()
  const client = await rig.raw()
  client.send(post(path, body))
  return chunksOf(await client.until(isComplete))
}

describe('tool calls', () => {
  test('of a native template come with the finish chunk on /v1/chat/completions', async () => {
    const body = chatBody('[[n=1]] [[tool]]', { model: 'native', stream: true, tools })
    const [only, ...rest] = await stream('/v1/chat/completions', body)
    expect(rest).toEqual([])
    const lines = only!.replace(/chatcmpl-\d+/g, 'ID').replace(/"created":\d+/g, '"created":0')
    const head =
      'data: {"id":"ID","object":"chat.completion.chunk","created":0,"model":"native","system_fingerprint":"fp_ollama",'
    const call =
      '{"id":"abc123","index":0,"type":"function","function":{"name":"get_weather","arguments":"{\\"city\\":\\"Paris\\"}"}}'
    expect(lines).toBe(
      `${head}"choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[${call}]},"finish_reason":null}]}\n\n` +
        `${head}"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n`,
    )
  })

  test('are blocks of their own on /v1/messages', async () => {
    const body = chatBody('[[n=2]] [[tool]]', {
      model: 'tinytools',
      stream: true,
      max_tokens: 9,
      tools: [{ name: 'f' }],
    })
    const events = (await stream('/v1/messages', body)).map((chunk) => /^event: (.*)/.exec(chunk)![1])
    expect(events).toEqual([
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
  })

  test('are items of their own on /v1/responses, numbered without a gap', async () => {
    const input = [{ role: 'user', content: [{ type: 'input_text', text: '[[n=2]] [[tool]]' }] }]
    const chunks = await stream('/v1/responses', { model: 'tinytools', stream: true, input, tools: [{ name: 'f' }] })
    const data = chunks.map(
      (chunk) => JSON.parse(chunk.split('data: ')[1]!) as { sequence_number: number; type: string },
    )
    expect(data.map(({ sequence_number }) => sequence_number)).toEqual(data.map((_, i) => i))
    expect(data.map(({ type }) => type)).toContain('response.function_call_arguments.done')
    expect(data.at(-1)!.type).toBe('response.completed')
  })
})

describe('thinking', () => {
  test('is reasoning on /v1/chat/completions and a block on /v1/messages', async () => {
    const rig = await startRig()
    const openai = await rig.ask('/v1/chat/completions', chatBody('[[n=4]]', { model: 'nthink' }))
    expect(JSON.stringify(openai.json)).toContain('"content":"tok2 tok3 ","reasoning":"think0 think1 "')
    const anthropic = await rig.ask('/v1/messages', chatBody('[[n=4]]', { model: 'nthink', max_tokens: 9 }))
    expect(anthropic.json.content).toEqual([
      { type: 'thinking', thinking: 'think0 think1 ' },
      { type: 'text', text: 'tok2 tok3 ' },
    ])
  })

  test('asked of a model that cannot is a 400, but not on /v1/messages', async () => {
    const rig = await startRig()
    const openai = await rig.ask('/v1/chat/completions', chatBody('x', { reasoning_effort: 'low' }))
    expect(openai).toMatchObject({ status: 400, json: { error: { message: '"tiny" does not support thinking' } } })
    const body = chatBody('x', { max_tokens: 9, thinking: { type: 'enabled' } })
    expect((await rig.ask('/v1/messages', body)).status).toBe(200)
  })
})

describe('lengths and idioms', () => {
  test('num_predict and max_tokens end with reason length', async () => {
    const rig = await startRig()
    const native = await rig.ask('/api/chat', chatBody('x', { stream: false, options: { num_predict: 2 } }))
    expect(native.json).toMatchObject({ message: { content: 'tok0 tok1 ' }, done_reason: 'length', eval_count: 2 })
    const openai = await rig.ask('/v1/chat/completions', chatBody('x', { max_tokens: 2 }))
    expect(JSON.stringify(openai.json)).toContain('"finish_reason":"length"')
  })

  test('the load idiom answers without metrics once the model is loaded', async () => {
    const rig = await startRig()
    const { json } = await rig.ask('/api/generate', { model: 'tiny' })
    expect(Object.keys(json)).toEqual(['model', 'created_at', 'response', 'done', 'done_reason'])
    expect(json.done_reason).toBe('load')
    expect(rig.residents()).toHaveLength(1)
  })

  test('debug rendering loads the model and makes no token', async () => {
    const rig = await startRig()
    const { json } = await rig.ask('/api/chat', chatBody('hi', { _debug_render_only: true }))
    expect(JSON.stringify({ ...json, created_at: '' })).toBe(
      '{"model":"tiny","created_at":"","message":{"role":"","content":""},"done":false,"_debug_info":{"rendered_template":"user: hi\\nassistant:"}}',
    )
    expect(rig.counters()).toMatchObject({ loads: 1, generationsStarted: 0 })
  })

  test('a byte order mark and an image address are refused in the recorded words', async () => {
    const rig = await startRig()
    const bom = await fetch(`${rig.url}/api/chat`, { method: 'POST', body: '\ufeff{}' })
    expect([bom.status, await bom.text()]).toEqual([
      400,
      '{"error":"invalid character \'ï\' looking for beginning of value"}',
    ])
    const content = [{ type: 'image_url', image_url: { url: 'https://example.test/a.png' } }]
    const image = await rig.ask('/v1/chat/completions', { model: 'tiny', messages: [{ role: 'user', content }] })
    expect(image.status).toBe(400)
    expect(JSON.stringify(image.json)).toContain('image URLs are not currently supported')
  })

  test('a zstd body that is corrupt is a 400', async () => {
    const rig = await startRig()
    const headers = { 'content-encoding': 'zstd' }
    const answer = await fetch(`${rig.url}/v1/chat/completions`, { method: 'POST', headers, body: 'nonsense' })
    expect(answer.status).toBe(400)
  })
})

describe('the disk', () => {
  test('create, copy and delete answer as recorded, and tags follow', async () => {
    const rig = await startRig()
    const names = async () =>
      ((await (await fetch(`${rig.url}/api/tags`)).json()) as { models: { name: string }[] }).models.map(
        ({ name }) => name,
      )
    const created = await fetch(`${rig.url}/api/create`, {
      method: 'POST',
      body: JSON.stringify({ model: 'mine', from: 'tiny', system: 's' }),
    })
    const lines = (await created.text()).split('\n')
    expect(created.headers.get('content-type')).toBe('application/x-ndjson')
    expect(lines[0]).toBe(
      '{"status":"using existing layer sha256:86fac465d82e74447a1343e59e7c64a64edc78f8605fbab80fafe3c5ce7f6135"}',
    )
    expect(lines.slice(-3)).toEqual(['{"status":"writing manifest"}', '{"status":"success"}', ''])
    expect(await rig.ask('/api/create', { model: 'other', from: 'tiny', stream: false })).toEqual({
      status: 200,
      json: { status: 'success' },
    })
    const copied = await fetch(`${rig.url}/api/copy`, {
      method: 'POST',
      body: JSON.stringify({ source: 'mine', destination: 'copy:v2' }),
    })
    expect([copied.status, await copied.text()]).toEqual([200, ''])
    expect(await names()).toContain('copy:v2')
    const deleted = await fetch(`${rig.url}/api/delete`, {
      method: 'DELETE',
      body: JSON.stringify({ name: 'COPY:v2' }),
    })
    expect(deleted.status).toBe(200)
    expect(await names()).not.toContain('copy:v2')
    expect((await rig.ask('/api/create', { model: 'mine' })).json.error).toBe("neither 'from' or 'files' was specified")
  })

  test('a blob is 201 when new, 200 when known, and its bytes are not kept', async () => {
    const rig = await startRig()
    const body = new Uint8Array(5 << 20)
    const url = `${rig.url}/api/blobs/sha256:${new Bun.CryptoHasher('sha256').update(body).digest('hex')}`
    const statuses: number[] = []
    for (const method of ['POST', 'POST', 'HEAD'])
      statuses.push((await fetch(url, method === 'POST' ? { method, body } : { method })).status)
    expect(statuses).toEqual([201, 200, 200])
  })

  test('pull reports progress, and the model is there afterwards', async () => {
    const rig = await startRig()
    const answer = await fetch(`${rig.url}/api/pull`, { method: 'POST', body: '{"model":"phi4"}' })
    const lines = (await answer.text()).trimEnd().split('\n')
    expect(lines[0]).toBe('{"status":"pulling manifest"}')
    expect(lines[1]).toMatch(
      /^\{"status":"pulling [0-9a-f]{12}","digest":"sha256:[0-9a-f]{64}","total":\d+,"completed":\d+\}$/,
    )
    expect(lines.at(-1)).toBe('{"status":"success"}')
    expect((await rig.ask('/api/show', { model: 'phi4' })).status).toBe(200)
    expect((await rig.ask('/api/pull', { model: 'nope', stream: false })).status).toBe(500)
  })
})

describe('vectors', () => {
  test('are the same for the same text, of length one, and cut by dimensions', async () => {
    const rig = await startRig({ models: [{ name: 'e', capabilities: ['embedding'], embeddingLength: 64 }] })
    const embed = async (more: Record<string, unknown>) =>
      (await rig.ask('/api/embed', { model: 'e', input: ['one', 'two', 'one'], ...more })).json.embeddings as number[][]
    const [one, two, again] = await embed({})
    expect(one).toEqual(again!)
    expect(one).not.toEqual(two!)
    expect(Math.hypot(...one!)).toBeCloseTo(1, 5)
    const [short] = await embed({ dimensions: 8 })
    expect(short).toHaveLength(8)
    expect(Math.hypot(...short!)).toBeCloseTo(1, 5)
  })
})
