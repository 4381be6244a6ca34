/** Proves that an https target is spoken to only behind a certificate that holds, and that a broken handshake is `unreached`. */
import { afterEach, describe, expect, test } from 'bun:test'
import { createCertificate } from './certificate.ts'
import { startScriptedTarget } from './scripted-target.ts'
import { answered, createProbe, get, post, readAll, textOf } from './target-probe.ts'

const { cert, key } = createCertificate('localhost')
const probe = createProbe()
const servers: { stop(force?: boolean): unknown }[] = []

afterEach(() => {
  probe.expectNoLeaks()
  for (const server of servers.splice(0)) server.stop(true)
})

const startTls = () => {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls: { cert, key },
    fetch: async (request) =>
      new Response(`${request.headers.get('host')} ${(await request.arrayBuffer()).byteLength}`),
  })
  servers.push(server)
  return server
}

describe('a certificate that holds', () => {
  test.each(['localhost', '127.0.0.1'])(
    'for %s: the answer comes through, and the socket is used again',
    async (hostname) => {
      const { port } = startTls()
      const client = probe.client({ url: `https://${hostname}:${port}`, ca: cert })
      const first = answered(await client.send(post(new Uint8Array(3)), { reuse: true }))
      expect(textOf(first.body.complete)).toBe(`${hostname}:${port} 3`)
      const second = answered(await client.send(post(new Uint8Array(3_000_000)), { reuse: true }))
      expect((await readAll(second)).bytes.toString()).toBe(`${hostname}:${port} 3000000`)
      expect(second.reused).toBe(true)
    },
  )
})

describe('unreached', () => {
  test('a self-signed certificate nobody vouches for, under its own code', async () => {
    const { port } = startTls()
    const reply = await probe.client({ url: `https://localhost:${port}` }).send(get(), { reuse: true })
    expect(reply).toMatchObject({ kind: 'unreached', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  })

  test('a certificate for another name', async () => {
    const other = createCertificate('elsewhere.test')
    const server = Bun.serve({ hostname: '127.0.0.1', port: 0, tls: other, fetch: () => new Response() })
    servers.push(server)
    const reply = await probe
      .client({ url: `https://localhost:${server.port}`, ca: other.cert })
      .send(get(), { reuse: true })
    expect(reply).toMatchObject({ kind: 'unreached', code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  test('a plain port that never answers the hello, within the connect timeout', async () => {
    const target = startScriptedTarget()
    servers.push(target)
    const client = probe.client({ url: `https://127.0.0.1:${target.port}` })
    const reply = await client.send(get(), { reuse: true, connectTimeoutMs: 30 })
    expect(reply).toMatchObject({ kind: 'unreached', code: 'connect-timeout' })
    expect(client.openSockets()).toBe(0)
    await target.closed.reached(1)
  })

  test('a plain port whose hello is given up by the caller', async () => {
    const target = startScriptedTarget()
    servers.push(target)
    const abort = new AbortController()
    const reply = probe
      .client({ url: `https://127.0.0.1:${target.port}` })
      .send(get(), { reuse: true, signal: abort.signal })
    await target.opened.reached(1)
    abort.abort()
    expect(await reply).toEqual({ kind: 'aborted' })
    await target.closed.reached(1)
  })

  test('a plain HTTP server behind an https URL', async () => {
    const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('plain') })
    servers.push(server)
    const reply = await probe.client({ url: `https://127.0.0.1:${server.port}` }).send(get(), { reuse: true })
    expect(reply).toMatchObject({ kind: 'unreached', code: expect.stringMatching(/^(tls|closed|reset)$/) })
  })

  test.each(['end', 'terminate'] as const)('a port that hangs up on the hello (%s)', async (how) => {
    const target = startScriptedTarget(undefined, (socket) => void socket[how]())
    servers.push(target)
    const reply = await probe.client({ url: `https://127.0.0.1:${target.port}` }).send(get(), { reuse: true })
    expect(reply).toMatchObject({ kind: 'unreached', code: expect.stringMatching(/^(closed|reset)$/) })
  })
})
