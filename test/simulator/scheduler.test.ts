/** The scheduler as section 6 of the wire document describes it, seen from outside. */
import { afterEach, describe, expect, test } from 'bun:test'
import { chatBody, isComplete, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

// Ended by its client; a short one might end by itself before a busy machine gets to look.
const ENDLESS = '[[n=100000]]'

const names = (rig: { residents(): readonly { name: string }[] }) => rig.residents().map(({ name }) => name)

describe('residency', () => {
  test('another model swaps, the same one does not, and neither do sampling options', async () => {
    const rig = await startRig()
    const ask = (more: Record<string, unknown>) => rig.ask('/api/chat', chatBody('x', { stream: false, ...more }))
    await ask({})
    await ask({ options: { temperature: 0, seed: 3 } })
    await ask({ model: 'TINY:latest' })
    expect(rig.counters()).toMatchObject({ loads: 1, swaps: 0 })
    await ask({ model: 'native' })
    expect(rig.counters()).toMatchObject({ loads: 2, swaps: 1 })
    expect(names(rig)).toEqual(['native:latest'])
  })

  test('num_ctx reloads, but not when it equals the default, and it is capped at what the model was trained for', async () => {
    const rig = await startRig()
    const loadsWith = async (options: Record<string, unknown>) => {
      await rig.ask('/api/chat', chatBody('x', { stream: false, options }))
      return rig.counters().loads
    }
    expect(await loadsWith({})).toBe(1)
    expect(await loadsWith({ num_ctx: 4096 })).toBe(1)
    expect(await loadsWith({ num_ctx: 2048 })).toBe(2)
    expect(await loadsWith({ num_ctx: 100_000 })).toBe(3)
    expect(await loadsWith({ num_ctx: 8192 })).toBe(3)
    expect(rig.residents()[0]!.contextLength).toBe(8192)
  })

  test('num_gpu 0 reloads and going back to automatic does not; shift reloads both ways', async () => {
    const rig = await startRig()
    const loadsWith = async (more: Record<string, unknown>) => {
      await rig.ask('/api/chat', chatBody('x', { stream: false, ...more }))
      return rig.counters().loads
    }
    expect(await loadsWith({})).toBe(1)
    expect(await loadsWith({ options: { num_gpu: 0 } })).toBe(2)
    expect(await loadsWith({})).toBe(2)
    expect(await loadsWith({ shift: false })).toBe(3)
    expect(await loadsWith({ shift: true })).toBe(4)
  })

  test('two models made of the same weights share a runner, and evict each other when their num_ctx differs', async () => {
    const rig = await startRig({ maxLoadedModels: 3 })
    await rig.ask('/api/create', { model: 'narrow', from: 'tiny', parameters: { num_ctx: 1024 }, stream: false })
    await rig.ask('/api/create', { model: 'twin', from: 'tiny', stream: false })
    const load = (model: string) => rig.ask('/api/chat', { model, messages: [] })
    await load('tiny')
    await load('twin')
    expect(rig.counters().loads).toBe(1)
    expect(names(rig)).toEqual(['tiny:latest'])
    await load('narrow')
    expect(rig.counters()).toMatchObject({ loads: 2, swaps: 1 })
    expect(rig.residents()).toMatchObject([{ name: 'narrow:latest', contextLength: 1024 }])
  })

  test('the victim is the idle model with the shortest keep-alive, not the oldest', async () => {
    const rig = await startRig({ maxLoadedModels: 2 })
    await rig.ask('/api/chat', { model: 'tiny', messages: [], keep_alive: -1 })
    await rig.ask('/api/chat', { model: 'native', messages: [], keep_alive: '10m' })
    await rig.ask('/api/chat', { model: 'nthink', messages: [] })
    expect(names(rig).toSorted()).toEqual(['nthink:latest', 'tiny:latest'])
  })

  test('a crashed runner stays listed until the next request, which reloads and succeeds', async () => {
    const rig = await startRig()
    await rig.ask('/api/chat', chatBody('[[crash0]]', { stream: false }))
    expect(names(rig)).toEqual(['tiny:latest'])
    expect((await rig.ask('/api/chat', chatBody('x', { stream: false }))).status).toBe(200)
    expect(rig.counters()).toMatchObject({ loads: 2, swaps: 0 })
  })
})

describe('keep_alive', () => {
  test('a model unloads when it expires', async () => {
    const rig = await startRig()
    await rig.ask('/api/chat', { model: 'tiny', messages: [], keep_alive: 0.02 })
    expect(names(rig)).toEqual(['tiny:latest'])
    // The next load after the expiry is not a swap: nothing had to make room.
    while (names(rig).length > 0) await new Promise((resolve) => setImmediate(resolve))
    await rig.ask('/api/chat', { model: 'native', messages: [] })
    expect(rig.counters().swaps).toBe(0)
  })

  test('0 unloads after the answer', async () => {
    const rig = await startRig()
    await rig.ask('/api/chat', chatBody('x', { stream: false, keep_alive: 0 }))
    expect(names(rig)).toEqual([])
  })

  test('a request that says nothing keeps what the last one said', async () => {
    const rig = await startRig()
    await rig.ask('/api/chat', { model: 'tiny', messages: [], keep_alive: -1 })
    await rig.ask('/api/chat', chatBody('x', { stream: false }))
    expect(rig.residents()[0]!.expiresAt).toBeNull()
    const ps = (await (await fetch(`${rig.url}/api/ps`)).json()) as { models: { expires_at: string }[] }
    expect(Number(ps.models[0]!.expires_at.slice(0, 4))).toBeGreaterThan(2300)
  })

  test('the strings "-1" and "300" are refused in Go\'s words', async () => {
    const rig = await startRig()
    const { status, json } = await rig.ask('/api/chat', chatBody('x', { keep_alive: '-1' }))
    expect(status).toBe(400)
    expect(json.error).toBe('time: missing unit in duration "-1"')
  })
})

describe('waiting', () => {
  test('the unload idiom answers at once while the model is busy, which unloads when its work ends', async () => {
    const rig = await startRig({ tokensPerSecond: 100 })
    const busy = await rig.chat(ENDLESS)
    await busy.until((text) => text.includes('tok0'))
    const { json } = await rig.ask('/api/generate', { model: 'tiny', keep_alive: 0 })
    expect(json).toMatchObject({ done: true, done_reason: 'unload', response: '' })
    expect(isComplete(busy.received())).toBe(false)
    expect(names(rig)).toEqual(['tiny:latest'])
    busy.destroy()
    await rig.waitFor((c) => c.generationsAborted === 1)
    expect(names(rig)).toEqual([])
  })

  test('requests for a loaded model wait for a slot without limit and in order', async () => {
    const rig = await startRig({ maxQueue: 1, tokensPerSecond: 500 })
    await rig.ask('/api/chat', { model: 'tiny', messages: [] })
    const done: number[] = []
    const all = Array.from({ length: 6 }, (_, i) =>
      rig.ask('/api/chat', chatBody('[[n=3]]', { stream: false })).then(({ status }) => {
        expect(status).toBe(200)
        done.push(i)
      }),
    )
    await Promise.all(all)
    expect(done.length).toBe(6)
    expect(rig.counters()).toMatchObject({ overlaps: 5, openMax: 6 })
  })

  test('with MAX_QUEUE=2, one loading and two pending, the fourth is refused at once', async () => {
    const rig = await startRig({ maxQueue: 2, loadMs: 60_000 })
    for (const [i, model] of ['tiny', 'native', 'nthink'].entries()) {
      await rig.chat('x', { model })
      await rig.waitFor((c) => c.open === i + 1)
    }
    const fourth = await rig.ask('/api/chat', { model: 'tinytools', messages: [] })
    expect(fourth).toEqual({
      status: 503,
      json: { error: 'server busy, please try again.  maximum pending requests exceeded' },
    })
    expect(rig.counters()).toMatchObject({ open: 3, loads: 1 })
  })

  test('the client that triggered a load takes the load with it, and the next waiter starts it from zero', async () => {
    const rig = await startRig({ loadMs: 250 })
    const first = await rig.chat('x')
    await rig.waitFor((c) => c.loads === 1)
    const second = await rig.chat('x')
    await rig.waitFor((c) => c.open === 2)
    expect(names(rig)).toEqual([])
    first.destroy()
    await rig.waitFor((c) => c.loads === 2)
    await second.until(isComplete)
    expect(rig.counters()).toMatchObject({ aborts: 1, generationsStarted: 1, generationsFinished: 1 })
  })

  test('a stream of requests with keep_alive for the old model keeps the new one waiting for ever, until the unload idiom', async () => {
    const rig = await startRig({ tokensPerSecond: 200 })
    const busy = await rig.chat(ENDLESS)
    await busy.until((text) => text.includes('tok0'))
    const starved = rig.ask('/api/chat', { model: 'native', messages: [] })
    await rig.waitFor((c) => c.open === 2)
    const late = rig.ask('/api/chat', chatBody('[[n=1]]', { stream: false, keep_alive: '5m' }))
    await rig.waitFor((c) => c.open === 3)
    busy.destroy()
    expect((await late).status).toBe(200)
    expect(names(rig)).toEqual(['tiny:latest'])
    expect(rig.counters()).toMatchObject({ loads: 1, open: 1 })
    await rig.ask('/api/generate', { model: 'tiny', keep_alive: 0 })
    expect((await starved).status).toBe(200)
    expect(names(rig)).toEqual(['native:latest'])
  })

  test('embeddings use the slots of their own model beside a generation', async () => {
    const rig = await startRig({ maxLoadedModels: 2, tokensPerSecond: 100 })
    const busy = await rig.chat(ENDLESS)
    await busy.until((text) => text.includes('tok0'))
    expect((await rig.ask('/api/embed', { model: 'embed', input: ['a', 'b'] })).status).toBe(200)
    expect(isComplete(busy.received())).toBe(false)
    expect(rig.counters().overlaps).toBe(0)
  })
})
