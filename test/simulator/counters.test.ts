/** What is counted, and that waiting for a count needs no polling. */
import { afterEach, describe, expect, test } from 'bun:test'
import { createTally } from '../../src/simulator/counters.ts'
import { post } from '../support/raw-client.ts'
import { chatBody, isComplete, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

describe('the counters', () => {
  test('count requests by path and executions by marker', async () => {
    const rig = await startRig()
    await rig.ask('/api/chat', chatBody('[[id=a1]] x', { stream: false }))
    await rig.ask('/api/generate', { model: 'tiny', prompt: 'x [[id=b-2]]', stream: false })
    await rig.ask('/v1/chat/completions', chatBody('[[id=a1]]'))
    await fetch(`${rig.url}/api/tags?x=1`)
    expect(rig.counters()).toMatchObject({
      requests: { '/api/chat': 1, '/api/generate': 1, '/v1/chat/completions': 1, '/api/tags': 1 },
      executions: { a1: 2, 'b-2': 1 },
      generationsStarted: 3,
      generationsFinished: 3,
      open: 0,
    })
  })

  test('a refused request has not been executed', async () => {
    const rig = await startRig()
    await rig.ask('/api/chat', chatBody('[[id=a]]', { model: 'nope' }))
    expect(rig.counters()).toMatchObject({ executions: {}, generationsStarted: 0 })
  })

  test('a client that leaves in mid-stream stops its generation at once', async () => {
    const rig = await startRig({ tokensPerSecond: 50 })
    const client = await rig.chat('[[n=100000]]')
    await client.until((text) => text.includes('tok1'))
    client.destroy()
    await rig.waitFor((c) => c.generationsAborted === 1)
    expect(rig.counters()).toMatchObject({ aborts: 1, open: 0, generationsFinished: 0 })
  })

  test('a half-close counts as leaving', async () => {
    const rig = await startRig({ tokensPerSecond: 50 })
    const client = await rig.chat('[[n=100000]]')
    await client.until((text) => text.includes('tok1'))
    client.finish()
    await rig.waitFor((c) => c.generationsAborted === 1)
  })

  test('a client that leaves during a stream:false answer stops it too', async () => {
    const rig = await startRig({ firstTokenMs: 60_000 })
    const client = await rig.chat('x', { stream: false })
    await rig.waitFor((c) => c.generationsStarted === 1)
    client.destroy()
    await rig.waitFor((c) => c.generationsAborted === 1 && c.open === 0)
  })

  test('overlaps are counted on arrival, whichever generation route they come by', async () => {
    const rig = await startRig({ tokensPerSecond: 100 })
    const first = await rig.chat('[[n=100000]]')
    await first.until((text) => text.includes('tok0'))
    const second = await rig.raw()
    second.send(post('/v1/messages', { ...chatBody('x'), max_tokens: 5 }))
    await rig.waitFor((c) => c.overlaps === 1)
    expect(isComplete(first.received())).toBe(false)
  })

  test('neither embeddings nor the unload idiom overlap with a generation', async () => {
    const rig = await startRig({ tokensPerSecond: 100, maxLoadedModels: 2 })
    const busy = await rig.chat('[[n=100000]]')
    await busy.until((text) => text.includes('tok0'))
    await rig.ask('/api/generate', { model: 'tiny', keep_alive: 0 })
    await rig.ask('/api/embed', { model: 'embed', input: 'x' })
    expect(isComplete(busy.received())).toBe(false)
    expect(rig.counters()).toMatchObject({ overlaps: 0, openMax: 1 })
  })

  test('a cloud stub runs beside anything and loads nothing', async () => {
    const models = [
      { name: 'tiny' },
      { name: 'big:cloud-stub', remoteHost: 'https://example.test', remoteModel: 'big' },
    ]
    const rig = await startRig({ models, tokensPerSecond: 100 })
    const busy = await rig.chat('[[n=100000]]')
    await busy.until((text) => text.includes('tok0'))
    const { json } = await rig.ask('/api/chat', chatBody('x', { model: 'big:cloud-stub', stream: false }))
    expect(json).toMatchObject({ remote_model: 'big', remote_host: 'https://example.test', done: true })
    expect(rig.counters()).toMatchObject({ overlaps: 0, loads: 1, open: 1 })
  })
})

describe('waiting for a count', () => {
  test('resolves at once when it is already true, and on the change that makes it true', async () => {
    const tally = createTally()
    await tally.waitFor((c) => c.loads === 0)
    const waiting = tally.waitFor((c) => c.loads === 2)
    tally.add('loads')
    tally.add('loads')
    await waiting
  })

  test('gives a throwing predicate back to whoever waits on it', async () => {
    const tally = createTally()
    const waiting = tally.waitFor((c) => {
      if (c.loads === 1) throw new Error('mine')
      return false
    })
    tally.add('loads')
    await expect(waiting).rejects.toThrow('mine')
  })
})
