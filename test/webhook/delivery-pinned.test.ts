/** Proves that a delivery dials exactly the address that was checked, whatever names, certificates and proxies say afterwards. */
import { afterEach, describe, expect, test } from 'bun:test'
import { createCertificate } from '../ollama/certificate.ts'
import { createDeliveryRig } from './delivery-rig.ts'

const servers: { stop(force?: boolean): unknown }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true)
})

const serve = (hostname: string, port: number, name: string, tls?: { cert: string; key: string }) => {
  const got: string[] = []
  const server = Bun.serve({
    hostname,
    port,
    ...(tls === undefined ? {} : { tls }),
    fetch(request) {
      got.push(`${name} ${request.method} ${request.headers.get('host')}`)
      return new Response()
    },
  })
  servers.push(server)
  return { port: server.port ?? 0, got }
}

describe('a rebinding resolver', () => {
  test('is asked once per try, and only what it said then is dialled', async () => {
    const good = serve('127.0.0.2', 0, 'good')
    const evil = serve('127.0.0.1', good.port, 'evil')
    const answers = ['127.0.0.2', '127.0.0.1', '127.0.0.1']
    const rig = createDeliveryRig({ resolve: async () => [answers.shift() ?? 'nothing left'] })
    expect(await rig.post(`http://rebind.test:${good.port}/`)).toMatchObject({ kind: 'accepted' })
    expect(rig.lookups).toEqual(['rebind.test'])
    expect([good.got, evil.got]).toEqual([[`good POST rebind.test:${good.port}`], []])
    rig.expectNoLeaks()
  })

  test('that says public first and loopback later is refused at the later try', async () => {
    const evil = serve('127.0.0.1', 0, 'evil')
    const answers = [['198.41.0.4'], ['127.0.0.1']]
    // The first try is given up at once: nothing on this machine may really call the outside.
    const stop = new AbortController()
    const rig = createDeliveryRig({
      policy: 'public',
      resolve: async () => {
        if (answers.length === 2) stop.abort()
        return answers.shift() ?? []
      },
    })
    expect(await rig.post(`http://rebind.test:${evil.port}/`, { signal: stop.signal })).toEqual({ kind: 'aborted' })
    expect(await rig.post(`http://rebind.test:${evil.port}/`)).toMatchObject({ kind: 'refused' })
    expect([rig.lookups.length, evil.got]).toEqual([2, []])
    rig.expectNoLeaks()
  })
})

describe('https', () => {
  const right = createCertificate('receiver.test')

  test('the certificate must hold the name, not the address', async () => {
    const { port, got } = serve('127.0.0.1', 0, 'right', right)
    const rig = createDeliveryRig({ ca: right.cert })
    expect(await rig.post(`https://receiver.test:${port}/`)).toMatchObject({ kind: 'accepted' })
    expect(got).toEqual([`right POST receiver.test:${port}`])
    // The same server under a name that its certificate does not hold, although it holds the address 127.0.0.1.
    expect(await rig.post(`https://other.test:${port}/`)).toMatchObject({
      kind: 'retry',
      reason: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID'),
    })
    expect(got.length).toBe(1)
    rig.expectNoLeaks()
  })

  test('a certificate that nobody vouches for is no receiver', async () => {
    const { port, got } = serve('127.0.0.1', 0, 'right', right)
    const rig = createDeliveryRig()
    expect(await rig.post(`https://receiver.test:${port}/`)).toMatchObject({
      kind: 'retry',
      reason: expect.stringContaining('SELF_SIGNED'),
    })
    expect(got).toEqual([])
    rig.expectNoLeaks()
  })
})

describe('a proxy in the environment', () => {
  test('sees nothing of a delivery', async () => {
    const proxy = serve('127.0.0.1', 0, 'proxy')
    const receiver = serve('127.0.0.1', 0, 'receiver')
    const url = `http://127.0.0.1:${proxy.port}`
    const child = Bun.spawn(
      [process.execPath, `${import.meta.dir}/deliver-once.ts`, `http://name.test:${receiver.port}/`],
      {
        env: { ...process.env, HTTP_PROXY: url, http_proxy: url, HTTPS_PROXY: url, ALL_PROXY: url, NO_PROXY: '' },
        stdout: 'pipe',
      },
    )
    expect(await new Response(child.stdout).text()).toBe('{"kind":"accepted","status":200}')
    expect([proxy.got, receiver.got]).toEqual([[], [`receiver POST name.test:${receiver.port}`]])
  })
})
