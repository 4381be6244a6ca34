/** The control port. */
import { afterEach, describe, expect, test } from 'bun:test'
import { chatBody, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

const send = (url: string, method: string, body?: unknown) =>
  fetch(url, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })

describe('the control port', () => {
  test('is not there unless it was asked for', async () => {
    const rig = await startRig()
    expect(rig.controlUrl).toBeNull()
    expect((await fetch(`${rig.url}/counters`)).status).toBe(404)
  })

  test('commands faults, shows what is left of them, and clears them', async () => {
    const rig = await startRig({ controlPort: 0 })
    const url = rig.controlUrl!
    const fault = { kind: 'status', status: 502, times: 2, path: '/api/chat' }
    expect(await (await send(`${url}/fault`, 'POST', fault)).json()).toEqual({ faults: [fault] })
    expect((await rig.ask('/api/chat', chatBody('x'))).status).toBe(502)
    expect(await (await fetch(`${url}/faults`)).json()).toEqual([{ ...fault, times: 1 }])
    await send(`${url}/fault`, 'DELETE')
    expect((await rig.ask('/api/chat', chatBody('x', { stream: false }))).status).toBe(200)
    expect(await (await fetch(`${url}/counters`)).json()).toMatchObject({ requests: { '/api/chat': 2 } })
    expect(await (await fetch(`${url}/residents`)).json()).toMatchObject([{ name: 'tiny:latest' }])
  })

  test('answers while the machine sleeps', async () => {
    const rig = await startRig({ controlPort: 0 })
    await send(`${rig.controlUrl}/sleep`, 'POST')
    const waiting = rig.ask('/api/show', { model: 'tiny' })
    expect(await (await fetch(`${rig.controlUrl}/faults`)).json()).toEqual([{ kind: 'sleep' }])
    await send(`${rig.controlUrl}/wake`, 'POST')
    expect((await waiting).status).toBe(200)
  })

  test('explains every kind of fault with an example that it takes', async () => {
    const rig = await startRig({ controlPort: 0 })
    const help = await (await fetch(rig.controlUrl!)).text()
    const wide = help.split('\n').filter((line) => line.length > 120)
    expect(wide).toEqual([])
    const examples = help.split('\n').filter((line) => line.startsWith('{'))
    expect(examples).toHaveLength(14)
    for (const example of examples) {
      expect((await send(`${rig.controlUrl}/fault`, 'POST', JSON.parse(example))).status).toBe(200)
      await send(`${rig.controlUrl}/fault`, 'DELETE')
    }
  })

  test('says in one sentence what is wrong with a fault', async () => {
    const rig = await startRig({ controlPort: 0 })
    const wrong: [unknown, string][] = [
      [3, 'a fault is a JSON object with a "kind"'],
      [{ kind: 'slow' }, '"factor" is missing'],
      [{ kind: 'reset' }, '"phase" must be before-headers, after-headers or mid-body'],
      [{ kind: 'status', status: 418 }, '"status" must be 429, 502 or 503'],
      [{ kind: 'truncate', chunks: 'two' }, '"chunks" must be a number'],
      [{ kind: 'error-before' }, '"text" is missing'],
      [{ kind: 'impostor', as: {} }, '"status" of an impostor must be a number from 100 to 999'],
      [{ kind: 'impostor', as: { status: 200, manner: 'odd' } }, '"manner" must be whole, endless, drip or banner'],
      [{ kind: 'impostor', as: { status: 200, body: 3 } }, '"body" must be a string'],
    ]
    for (const [fault, error] of wrong) {
      const answer = await send(`${rig.controlUrl}/fault`, 'POST', fault)
      expect([answer.status, await answer.json()]).toEqual([400, { error }])
    }
    expect((await fetch(`${rig.controlUrl}/fault`, { method: 'POST', body: '{' })).status).toBe(400)
  })
})
