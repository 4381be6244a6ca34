/** Ollama's own deadlock, in front of a simulator that has it: embeddings beside chats never bring it about, and where something else does it is cured. */
import { afterEach, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { eventually } from '../support/patience.ts'

// Faster than this a busy box's own pauses would count as the target's.
const HASTE = 8
const models = [{ name: 'chat' }, { name: 'other' }, { name: 'embed', capabilities: ['embedding'] as const }]

let foreman: RunningForeman | undefined
let simulator: Simulator | undefined
afterEach(async () => {
  await foreman?.stop()
  await simulator?.stop()
})

const start = async (env: Record<string, string>) => {
  simulator = await startSimulator({ models, maxLoadedModels: 1, loadMs: 20, firstTokenMs: 5, lingerMs: 2 })
  foreman = await runForeman(simulator.url, env, { clock: createHastyClock(HASTE) })
  return { simulator, url: foreman.url, logged: foreman.logged, lines: foreman.lines }
}

interface Answered {
  readonly kind: string
  readonly status: number
  readonly tookMs: number
}

const ask = async (url: string, kind: string): Promise<Answered> => {
  const beganAt = performance.now()
  const body =
    kind === 'chat'
      ? { model: 'chat', stream: false, messages: [{ role: 'user', content: 'hi [[n=5]]' }] }
      : { model: 'embed', input: 'hi' }
  const response = await fetch(`${url}/api/${kind}`, { method: 'POST', body: JSON.stringify(body) })
  await response.arrayBuffer()
  return { kind, status: response.status, tookMs: performance.now() - beganAt }
}

/** Four clients that chat and two that embed, each without a pause, until `isOver` says so of an answer. */
const crowd = async (url: string, isOver: (answered: Answered) => boolean): Promise<Answered[]> => {
  const answers: Answered[] = []
  let over = false
  const client = async (kind: string) => {
    while (!over) {
      const answered = await ask(url, kind)
      answers.push(answered)
      over ||= isOver(answered)
    }
  }
  await Promise.all(['chat', 'chat', 'chat', 'chat', 'embed', 'embed'].map(client))
  return answers
}

const worst = (answers: readonly Answered[]) => Math.max(...answers.map(({ tookMs }) => tookMs))

test('four clients chat and two embed on a target with one slot: nothing hangs, and nobody waits for long', async () => {
  const ageBoundMs = 5_000
  const { simulator: target, url } = await start({ FOREMAN_MAX_WAIT: '5s' })
  let embeds = 0
  const answers = await crowd(url, ({ kind }) => kind === 'embed' && ++embeds >= 12)
  expect(answers.filter(({ status }) => status !== 200)).toEqual([])
  expect(target.counters()).toMatchObject({ wedges: 0, overlaps: 0 })
  // The age bound, and then one job and a load; the box itself may be busy.
  expect(worst(answers)).toBeLessThanOrEqual(ageBoundMs / HASTE + 1_000)
  const waited = `0 wedges, worst ${Math.round(worst(answers) * HASTE)} ms of an age bound of ${ageBoundMs} ms`
  figure('T6', `one slot, ${answers.length} chats and embeds of 6 clients`, waited)
}, 60_000)

test('with the prevention off a crowd brings hangs about; each is said, and over within 60 s', async () => {
  const { simulator: target, url, lines } = await start({ FOREMAN_EMBED: 'bypass', FOREMAN_MAX_WAIT: '5s' })
  const hangs = () => lines.filter((line) => line.includes('"target_hangs"')).length
  const answers = await crowd(url, () => hangs() >= 2 && target.counters().wedged === 0)
  expect(answers.filter(({ status }) => status !== 200)).toEqual([])
  const longest = (worst(answers) * HASTE) / 1_000
  expect(longest).toBeLessThanOrEqual(60)
  figure('T6', `prevention off: ${hangs()} hangs`, `cured, the longest wait ${longest.toFixed(0)} s`)
}, 60_000)

test('a target that another client wedged is said to hang, and cured within 60 s', async () => {
  const { simulator: target, url, logged } = await start({ FOREMAN_EMBED: 'bypass' })
  const chat = { model: 'chat', messages: [{ role: 'user', content: 'hi [[silent=1000]]' }] }
  const running = fetch(`${url}/api/chat`, { method: 'POST', body: JSON.stringify(chat) })
  const counted = (path: string) => eventually(5_000, path, async () => target.counters().requests[path] ?? null)
  await counted('/api/chat')
  // The embedder waits for the chat model to go, and somebody else's question keeps that from going.
  const embedding = ask(url, 'embed')
  await counted('/api/embed')
  await fetch(`${target.url}/api/chat`, {
    method: 'POST',
    body: JSON.stringify({ ...chat, messages: [], keep_alive: -1 }),
  })
  await (await running).arrayBuffer()
  await eventually(5_000, 'the deadlock', async () => (target.counters().wedged === 1 ? true : null))
  const { status, tookMs } = await embedding
  expect({ status, wedged: target.counters().wedged }).toEqual({ status: 200, wedged: 0 })
  expect((tookMs * HASTE) / 1_000).toBeLessThanOrEqual(60)
  expect(await logged('target_hangs')).toMatchObject({ level: 'warn' })
  figure('T6', 'wedged by another client', `cured after ${((tookMs * HASTE) / 1_000).toFixed(0)} s`)
}, 60_000)
