/** FOREMAN_NUM_CTX: what becomes of a body, and five clients of one model that cost one load instead of one for each turn. */
import { afterEach, expect, test } from 'bun:test'
import { type Call, readCall } from '../../../src/domain/wire/call.ts'
import { matchRoute } from '../../../src/domain/wire/routes.ts'
import { type Draft, keepAlivePolicy, type Policy } from '../../../src/engine/admission.ts'
import { contextPolicy, parseContextPolicy } from '../../../src/parts/residency/context.ts'
import { goStructs } from '../../../src/simulator/go-schema.ts'
import { decodeBody } from '../../../src/simulator/request-body.ts'
import { type Simulator, startSimulator } from '../../../src/simulator/simulator.ts'
import { createDice } from '../../support/chance.ts'
import { figure, seedOf } from '../../support/figures.ts'
import { type RunningForeman, runForeman } from '../../support/foreman.ts'

const policyOf = (text: string) => {
  const parsed = parseContextPolicy(text)
  if (parsed.kind === 'bad') throw new Error(parsed.problem)
  return contextPolicy(parsed.value)
}
const callOf = (body: Uint8Array, path = '/api/chat'): Call => {
  const matched = matchRoute('POST', path)
  const read = matched.kind === 'route' ? readCall(matched.route, body, 'application/json') : null
  if (read?.kind !== 'call') throw new Error(`no call: ${new TextDecoder().decode(body)}`)
  return read.call
}
const shaped = (policy: string, text: string, path?: string) => {
  const body = new TextEncoder().encode(text)
  const { body: bytes, call } = policyOf(policy)({ body, call: callOf(body, path) })
  return { text: new TextDecoder().decode(bytes), call, again: path === undefined ? callOf(bytes) : null }
}

test.each([
  ['8192', '{"model":"m"}', '{"model":"m","options":{"num_ctx":8192}}'],
  ['8192', '{"model":"m","options":{}}', '{"model":"m","options":{"num_ctx":8192}}'],
  ['8192', '{"model":"m","options":{ "seed" : 1 } }', '{"model":"m","options":{ "seed" : 1 ,"num_ctx":8192} }'],
  ['8192', '{"model":"m","options":null}', '{"model":"m","options":null,"options":{"num_ctx":8192}}'],
  ['8192', '{"model":"m","Options":{"num_ctx":2048}}', '{"model":"m","Options":{"num_ctx":2048}}'],
  ['8192', '{"model":"m","options":{"NUM_CTX":2048}}', '{"model":"m","options":{"NUM_CTX":2048,"num_ctx":8192}}'],
  ['8192', '{"model":"m","options":{"num_ctx":null}}', '{"model":"m","options":{"num_ctx":null,"num_ctx":8192}}'],
  ['8192!', '{"model":"m","options":{"num_ctx":2048}}', '{"model":"m","options":{"num_ctx":2048,"num_ctx":8192}}'],
  ['8192!', '{"model":"m","options":{"num_ctx":8192}}', '{"model":"m","options":{"num_ctx":8192}}'],
  ['8192!', '{"options":{"num_ctx":1024},"model":"m"} x', '{"options":{"num_ctx":1024,"num_ctx":8192},"model":"m"} x'],
  ['drop', '{"model":"m","options":{"num_ctx":2048}}', '{"model":"m","options":{}}'],
  ['drop', '{"model":"m","options":{"seed":1,"num_ctx":2048,"num_ctx":1}}', '{"model":"m","options":{"seed":1}}'],
  [
    'drop',
    '{"options":{"num_ctx":1,"a":2},"OPTIONS":{"num_ctx":3},"model":"m"}',
    '{"options":{"a":2},"OPTIONS":{},"model":"m"}',
  ],
  ['drop', '{"model":"m","options":{"seed":1}}', '{"model":"m","options":{"seed":1}}'],
  ['other=8192', '{"model":"m"}', '{"model":"m"}'],
  ['m=8192,*=drop', '{"model":"M:latest"}', '{"model":"M:latest","options":{"num_ctx":8192}}'],
])('%s makes of %s %s', (policy, sent, wanted) => {
  const { text, call, again } = shaped(policy, sent)
  expect(text).toBe(wanted)
  // What is stored and read again means the same.
  expect([again?.residencyKey, again?.reload]).toEqual([call.residencyKey, call.reload])
})

test('neither /v1, which cannot say a context, nor embeddings, which may go past the queue, are touched', () => {
  const chat = '{"model":"m","messages":[{"role":"user","content":"hi"}],"options":{"num_ctx":2}}'
  expect(shaped('8192!', chat, '/v1/chat/completions').text).toBe(chat)
  const embed = '{"model":"m","input":"hi"}'
  expect(shaped('8192!', embed, '/api/embed').text).toBe(embed)
})

test('options that stand far before the end of a long body are said again behind it', () => {
  const long = `{"model":"m","options":{"num_ctx":1},"prompt":"${'x'.repeat(1_100_000)}"}`
  const forced = shaped('8192!', long, '/api/generate').text
  expect(forced.slice(long.length - 1)).toBe(',"options":{"num_ctx":8192}}')
  const dropped = shaped('drop', long, '/api/generate').text
  expect(dropped.slice(long.length - 1)).toBe(',"options":{"num_ctx":null}}')
})

test.each(['0', '255', '8k', '8192!!', 'm=', 'm=drop,m=8192', '-1', 'drop!', '99999999'])(
  '"%s" is no policy',
  (text) => {
    expect(parseContextPolicy(text).kind).toBe('bad')
  },
)

test('3,000 random bodies: Ollama reads the declared context, everything else as before, and a keep_alive beside it', () => {
  const dice = createDice(seedOf('context'))
  const space = () => dice.pick(['', '', ' ', '\n\t'])
  const options = () => {
    const members = Array.from({ length: dice.between(0, 3) }, () =>
      dice.pick([
        '"num_ctx":2048',
        '"num_ctx":null',
        '"seed":1',
        '"Num_Ctx":5',
        '"stop":["}","num_ctx"]',
        '"num_batch":64',
      ]),
    )
    return dice.chance(0.15) ? 'null' : `{${space()}${members.join(`${space()},${space()}`)}${space()}}`
  }
  const native = (body: Uint8Array) => {
    const decoded = decodeBody(body, goStructs['/api/chat'])
    if (decoded.kind !== 'ok') throw new Error('not decoded')
    const { options: bag, keep_alive, ...rest } = decoded.bag as Record<string, unknown>
    const { num_ctx = null, ...others } = (bag ?? {}) as Record<string, unknown>
    return { num_ctx, others, rest, keep_alive }
  }
  for (let i = 0; i < 3_000; i++) {
    const members = ['"model":"m"', '"messages":[{"role":"user","content":"num_ctx}"}]']
    for (let n = dice.between(0, 2); n > 0; n--)
      members.splice(
        dice.between(0, members.length),
        0,
        `${dice.pick(['"options"', '"Options"', '"option\\u0073"'])}${space()}:${space()}${options()}`,
      )
    const text = `${space()}{${members.join(`${space()},`)}${space()}}`
    const body = new TextEncoder().encode(text)
    const rule = dice.pick(['8192', '8192!', 'drop'])
    const policies: Policy[] = [keepAlivePolicy({ models: new Map(), rest: { json: '-1' } }), policyOf(rule)]
    if (dice.chance(0.5)) policies.reverse()
    const draft = policies.reduce<Draft>((one, policy) => policy(one), { body, call: callOf(body) })
    const [before, after] = [native(body), native(draft.body)]
    const wanted = rule === 'drop' ? null : rule === '8192' ? (before.num_ctx ?? 8192) : 8192
    expect([text, after]).toEqual([text, { ...before, num_ctx: wanted, keep_alive: -1 }])
    expect([text, callOf(draft.body).residencyKey]).toEqual([text, draft.call.residencyKey])
  }
})

let foreman: RunningForeman | undefined
let simulator: Simulator | undefined
afterEach(async () => {
  await foreman?.stop()
  await simulator?.stop()
})

const contexts = [2048, 4096, 8192, 16_384, undefined]

/** 100 calls of five native clients and some that speak /v1, a few at a time. */
const crowd = async (env: Record<string, string>) => {
  simulator = await startSimulator({ models: [{ name: 'm' }] })
  foreman = await runForeman(simulator.url, env)
  const { url } = foreman
  const call = (i: number) => {
    const messages = [{ role: 'user', content: 'hi [[n=2]]' }]
    const isNative = i % 5 !== 4
    const num_ctx = contexts[i % contexts.length]
    const options = num_ctx === undefined ? {} : { options: { num_ctx } }
    const body = isNative ? { model: 'm', messages, ...options } : { model: 'm', messages }
    return fetch(`${url}${isNative ? '/api/chat' : '/v1/chat/completions'}`, {
      method: 'POST',
      body: JSON.stringify(body),
    })
  }
  const statuses: number[] = []
  for (let i = 0; i < 100; i += 10) {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, j) => call(i + j)))
    for (const answer of answers) statuses.push(await answer.text().then(() => answer.status))
  }
  expect(statuses.filter((status) => status !== 200)).toEqual([])
  const health = (await (await fetch(`${url}/healthz`)).json()) as { parts?: { residency?: unknown } }
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return { loads: simulator.counters().loads, told: health.parts?.residency, metrics }
}

test('five clients with five contexts on one model, 100 jobs, native and /v1: one load where the context is dropped', async () => {
  const { loads, told, metrics } = await crowd({ FOREMAN_NUM_CTX: 'm=drop' })
  expect([loads, told]).toEqual([1, undefined])
  expect(metrics).toContain('foreman_option_reloads_total{model="other"} 0\n')
  figure('K1', 'five contexts on one model, 100 jobs, native and /v1, dropped', '1 load')
})

test('without a policy the loads that only options caused are counted and named', async () => {
  const { loads, told, metrics } = await crowd({})
  expect(loads).toBeGreaterThan(4)
  expect(metrics).toContain(`foreman_option_reloads_total{model="m:latest"} ${loads - 1}\n`)
  expect(told).toMatchObject({ option_reloads: [{ model: 'm:latest', reloads: loads - 1 }] })
  expect(JSON.stringify(told)).toContain('num_ctx=16384')
  expect(foreman?.lines.filter((line) => line.includes('"option_reloads"'))).toHaveLength(1)
  figure('K1', 'the same without a policy', `${loads} loads, ${loads - 1} of them counted and named`)
})
