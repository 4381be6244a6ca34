/** What a model can do is asked before a load, never at the price of the call: a question without an answer is not put again at once. */
import { expect, test } from 'bun:test'
import { readCall } from '../../src/domain/wire/call.ts'
import { matchRoute } from '../../src/domain/wire/routes.ts'
import { createAbilities } from '../../src/engine/abilities.ts'
import { createTargetState } from '../../src/engine/state.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'
import { createVirtualTarget, type Plan } from '../support/virtual-target.ts'

const installed = (name: string, digest: string) =>
  [
    `registry.ollama.ai/library/${name}:latest`,
    { name: `${name}:latest`, remote: false, digest, families: [], capabilities: [] },
  ] as const

const callFor = (model: string) => {
  const body = new TextEncoder().encode(JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }))
  const matched = matchRoute('POST', '/api/chat')
  const read = matched.kind === 'route' ? readCall(matched.route, body, 'application/json') : null
  if (read?.kind !== 'call') throw new Error('the body is no call')
  return { call: read.call, body }
}

const world = (digest = 'd1') => {
  const clock = createVirtualClock()
  const state = createTargetState({ emit: () => undefined, clock })
  state.update({ inventory: new Map([installed('a', digest), installed('b', 'other')]) })
  const target = createVirtualTarget({ clock })
  const bounds: (number | undefined)[] = []
  const send: typeof target.send = (request, options) => {
    bounds.push(options.wholeTimeoutMs)
    return target.send(request, options)
  }
  const abilities = createAbilities({ target: { send }, state, clock })
  const refuses = (model: string) => {
    const { call, body } = callFor(model)
    return abilities.refuses(call, body)
  }
  /** How long one answer takes, in virtual milliseconds. */
  const timed = async (model: string) => {
    const beganAtMs = clock.monotonicMs()
    let tookMs = -1
    const answer = refuses(model).then((isRefused) => {
      tookMs = clock.monotonicMs() - beganAtMs
      return isRefused
    })
    await clock.advance(5_000)
    await settled()
    return { isRefused: await answer, tookMs }
  }
  const answerShow = (plan: Plan | undefined) => {
    target.script = ({ path }) => (path === '/api/show' ? plan : undefined)
  }
  return { clock, state, bounds, timed, answerShow }
}

test('a question that hangs costs the first call a second, and the others of that model nothing for a minute', async () => {
  const { clock, bounds, timed, answerShow } = world()
  answerShow({ kind: 'hang' })
  expect(await timed('a')).toEqual({ isRefused: false, tookMs: 1_000 })
  for (let i = 0; i < 5; i++) expect(await timed('a')).toEqual({ isRefused: false, tookMs: 0 })
  expect(bounds).toEqual([1_000])
  expect(await timed('b')).toEqual({ isRefused: false, tookMs: 1_000 })
  await clock.advance(60_000)
  answerShow({ kind: 'stream', pieces: ['{"capabilities":["embedding"]}'], ending: 'end' })
  expect(await timed('a')).toEqual({ isRefused: true, tookMs: 0 })
  expect(bounds.length).toBe(3)
})

test('one that failed is not repeated either, until the model is another', async () => {
  const { state, bounds, timed, answerShow } = world()
  answerShow({ kind: 'status', status: 500, error: 'no' })
  await timed('a')
  await timed('a')
  expect(bounds.length).toBe(1)
  state.update({ inventory: new Map([installed('a', 'd2')]) })
  await timed('a')
  expect(bounds.length).toBe(2)
})
