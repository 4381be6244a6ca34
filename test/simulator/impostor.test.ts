/** Servers that are no Ollama, as a client sees them in Ollama's place. */
import { afterEach, describe, expect, test } from 'bun:test'
import { type Impostor, impostorNames, impostors } from '../../src/simulator/simulator.ts'
import { get, post } from '../support/raw-client.ts'
import { chatBody, startRig, stopRigs } from './rig.ts'

afterEach(stopRigs)

const whole = impostorNames.filter((name) => !('manner' in impostors[name]))

describe('an impostor', () => {
  test('there are twenty-four, and the whole ones answer every path and method alike until cleared', async () => {
    expect(impostorNames).toHaveLength(24)
    const rig = await startRig()
    for (const name of whole) {
      const { status, body = '' }: Impostor = impostors[name]
      rig.fault({ kind: 'impostor', as: name })
      for (const [path, method] of [
        ['/', 'GET'],
        ['/api/tags', 'GET'],
        ['/api/chat', 'POST'],
        ['/v1/chat/completions', 'POST'],
        ['/nowhere', 'DELETE'],
      ] as const) {
        const init = method === 'GET' ? {} : { body: JSON.stringify(chatBody('x')) }
        const answer = await fetch(rig.url + path, { method, redirect: 'manual', ...init })
        const text = name === 'compressed' ? '{"status":"down"}' : body
        expect([name, path, answer.status, await answer.text()]).toEqual([name, path, status, text])
      }
      rig.fault(null)
      expect((await rig.ask('/api/chat', chatBody('x', { stream: false }))).status).toBe(200)
    }
  })

  test('one of any status and body can be described, on a path of its own', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'impostor', as: { status: 521, contentType: 'text/plain', body: 'down' }, path: '/api/chat' })
    const answer = await fetch(`${rig.url}/api/chat`, { method: 'POST', body: '{}' })
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      521,
      'text/plain',
      'down',
    ])
    expect((await fetch(`${rig.url}/api/tags`)).status).toBe(200)
  })

  test('the endless one goes on until the client leaves, and holds no more than the client has not read', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'impostor', as: 'endless' })
    const client = await rig.raw()
    client.send(post('/api/chat', chatBody('x')))
    await client.until((text) => text.length > 1 << 20)
    expect(client.received()).toContain('\r\nTransfer-Encoding: chunked\r\n')
    client.destroy()
    await rig.waitFor((c) => c.connections === 0 && c.open === 0)
  })

  test('the dripping one sends its headers and then a byte at a time', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'impostor', as: 'drip' })
    const client = await rig.raw()
    client.send(get('/api/tags'))
    const text = await client.until((received) => received.endsWith('1\r\n{\r\n'))
    expect(text).toStartWith('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n')
  })

  test('the banner is no HTTP and ends the connection', async () => {
    const rig = await startRig()
    rig.fault({ kind: 'impostor', as: 'banner' })
    const client = await rig.raw()
    client.send(get('/api/tags'))
    expect(await client.closed()).toBe('fin')
    expect(client.received()).toBe('SSH-2.0-OpenSSH_9.6\r\n')
    expect(rig.counters().aborts).toBe(0)
  })
})
