/** Ollama's deadlock (wire document, 6.5) as clients meet it, and how it is cured. */
import { afterEach, describe, expect, test } from 'bun:test'
import { chatBody, type Rig, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

const CHATS = 4
const EMBEDS = 2

/** Clients that chat with one model and embed with another, without a pause, until `stop`. */
const loops = (rig: Rig, keepAlive: number | undefined) => {
  let stopped = false
  const answered = { chats: 0, embeds: 0 }
  const loop = async (kind: keyof typeof answered, path: string, body: unknown) => {
    while (!stopped) {
      await rig.ask(path, body)
      answered[kind]++
    }
  }
  const chat = chatBody('[[n=2]]', { stream: false, ...(keepAlive === undefined ? {} : { keep_alive: keepAlive }) })
  const chatters = Array.from({ length: CHATS }, () => loop('chats', '/api/chat', chat))
  const embedders = Array.from({ length: EMBEDS }, () => loop('embeds', '/api/embed', { model: 'embed', input: 'x' }))
  return {
    answered,
    chatters: Promise.all(chatters),
    embedders: Promise.all(embedders),
    stop: () => {
      stopped = true
    },
  }
}

const oneSlot = { maxLoadedModels: 1, loadMs: 20, firstTokenMs: 1, tokensPerSecond: 500 }

/** The moment in which a chat runs, an embedding waits for its room, and another chat has come with a keep-alive. */
const trap = async (rig: Rig) => {
  const busy = await rig.chat('[[n=100000]]')
  await rig.waitFor((c) => c.generationsStarted === 1)
  const waiting = rig.ask('/api/embed', { model: 'embed', input: 'x' })
  await rig.waitFor((c) => c.requests['/api/embed'] === 1)
  const late = rig.ask('/api/chat', chatBody('x', { stream: false, keep_alive: -1 }))
  await rig.waitFor((c) => c.open === 2)
  busy.destroy()
  expect((await late).status).toBe(200)
  return waiting
}

describe('the deadlock', () => {
  test('hangs every model that is not loaded and shows nowhere, until the idle one is unloaded', async () => {
    const rig = await startRig(oneSlot)
    const embedded = trap(rig)
    await rig.waitFor((c) => c.wedged === 1)
    const other = rig.ask('/api/chat', chatBody('x', { model: 'native', stream: false }))
    expect((await rig.ask('/api/chat', chatBody('x', { stream: false }))).status).toBe(200)
    expect((await fetch(`${rig.url}/api/version`)).status).toBe(200)
    expect((await fetch(`${rig.url}/api/tags`)).status).toBe(200)
    expect(rig.residents()).toMatchObject([{ name: 'tiny:latest', working: 0, expiresAt: null }])
    expect(rig.counters()).toMatchObject({ wedges: 1, wedged: 1, swaps: 0, loads: 1 })
    await rig.ask('/api/generate', { model: 'tiny', keep_alive: 0 })
    expect((await embedded).status).toBe(200)
    expect((await other).status).toBe(200)
    expect(rig.counters()).toMatchObject({ wedges: 1, wedged: 0 })
  })

  test('comes of a change of num_ctx too', async () => {
    const rig = await startRig(oneSlot)
    const busy = await rig.chat('[[n=100000]]')
    await rig.waitFor((c) => c.generationsStarted === 1)
    const wider = rig.ask('/api/chat', chatBody('x', { stream: false, options: { num_ctx: 1024 } }))
    await rig.waitFor((c) => c.open === 2)
    const late = rig.ask('/api/chat', chatBody('x', { stream: false, keep_alive: '10m' }))
    await rig.waitFor((c) => c.open === 3)
    busy.destroy()
    await late
    await rig.waitFor((c) => c.wedged === 1)
    await rig.ask('/api/generate', { model: 'tiny', keep_alive: 0 })
    expect((await wider).status).toBe(200)
  })

  test('a finite keep-alive that runs out ends it', async () => {
    const rig = await startRig(oneSlot)
    const busy = await rig.chat('[[n=100000]]')
    await rig.waitFor((c) => c.generationsStarted === 1)
    const embedded = rig.ask('/api/embed', { model: 'embed', input: 'x' })
    await rig.waitFor((c) => c.requests['/api/embed'] === 1)
    const late = rig.ask('/api/chat', chatBody('x', { stream: false, keep_alive: '20ms' }))
    await rig.waitFor((c) => c.open === 2)
    busy.destroy()
    await late
    expect((await embedded).status).toBe(200)
    expect(rig.counters()).toMatchObject({ wedges: 1, wedged: 0 })
  })

  test('is not there when a keep-alive does not come, and not when it is switched off', async () => {
    const silent = await startRig(oneSlot)
    const busy = await silent.chat('[[n=100000]]')
    await silent.waitFor((c) => c.generationsStarted === 1)
    const embedded = silent.ask('/api/embed', { model: 'embed', input: 'x' })
    await silent.waitFor((c) => c.requests['/api/embed'] === 1)
    busy.destroy()
    expect((await embedded).status).toBe(200)
    expect(silent.counters().wedges).toBe(0)

    const mended = await startRig({ ...oneSlot, deadlock: false })
    expect((await trap(mended)).status).toBe(200)
    expect(mended.counters()).toMatchObject({ wedges: 0, wedged: 0 })
  })
})

describe('embeddings beside chats on one slot', () => {
  test('never get their turn while chats carry a keep-alive, and hang for good when these end', async () => {
    const rig = await startRig(oneSlot)
    await rig.ask('/api/chat', chatBody('x', { stream: false, keep_alive: -1 }))
    const clients = loops(rig, -1)
    await rig.waitFor((c) => c.generationsFinished > 100)
    expect(clients.answered.embeds).toBe(0)
    clients.stop()
    await clients.chatters
    await rig.waitFor((c) => c.wedged === 1)
    expect(clients.answered.embeds).toBe(0)
    await rig.ask('/api/generate', { model: 'tiny', keep_alive: 0 })
    await clients.embedders
    expect(clients.answered.embeds).toBeGreaterThan(0)
  })

  test('a scheduler that hears late of an end wedges behind one chat at a time, as a busy machine does', async () => {
    const rig = await startRig({ ...oneSlot, lingerMs: 100 })
    const ask = () => rig.ask('/api/chat', chatBody('[[n=2]]', { stream: false, keep_alive: -1 }))
    await ask()
    const embedded = rig.ask('/api/embed', { model: 'embed', input: 'x' })
    let over = false
    const chatter = (async () => {
      while (!over) await ask()
    })()
    await rig.waitFor((c) => c.generationsStarted > 20)
    over = true
    await chatter
    await rig.waitFor((c) => c.wedged === 1)
    expect(rig.counters()).toMatchObject({ overlaps: 0, wedges: 1, loads: 1 })
    await rig.ask('/api/generate', { model: 'tiny', keep_alive: 0 })
    expect((await embedded).status).toBe(200)
  })
})
