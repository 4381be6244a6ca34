/** Connections to a receiver are used again for the same address only, and a stale one costs nobody a try. */
import { afterEach, expect, test } from 'bun:test'
import { createConnections } from '../../src/webhook/connections.ts'
import { startScriptedTarget } from '../ollama/scripted-target.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'
import { createDeliveryRig, type DeliveryRig } from './delivery-rig.ts'

const servers: { stop(force?: boolean): unknown }[] = []
const rigs: DeliveryRig[] = []
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.expectNoLeaks()
  for (const server of servers.splice(0)) server.stop(true)
})

const rigOf = (...args: Parameters<typeof createDeliveryRig>) => {
  const rig = createDeliveryRig(...args)
  rigs.push(rig)
  return rig
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

test('twenty deliveries to one receiver need one connection, and each is resolved and judged', async () => {
  const receiver = startScriptedTarget((socket) => void socket.write(OK))
  servers.push(receiver)
  const rig = rigOf()
  const { port } = new URL(receiver.url)
  for (let i = 0; i < 20; i++)
    expect(await rig.post(`http://name.test:${port}/`)).toEqual({ kind: 'accepted', status: 200 })
  expect([receiver.connections.length, rig.lookups.length, rig.dialled]).toEqual([1, 20, ['127.0.0.1']])
})

test('a name that moves to another address is never reached through a connection to the last one', async () => {
  const got: string[] = []
  const serve = (hostname: string, port: number) => {
    const server = Bun.serve({
      hostname,
      port,
      fetch() {
        got.push(hostname)
        return new Response()
      },
    })
    servers.push(server)
    return server.port ?? 0
  }
  const port = serve('127.0.0.1', 0)
  serve('127.0.0.2', port)
  const answers = ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2']
  const rig = rigOf({ resolve: async () => [answers.shift() ?? ''] })
  for (let i = 0; i < 4; i++) await rig.post(`http://moves.test:${port}/`)
  expect(got).toEqual(['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2'])
  expect(rig.dialled).toEqual(['127.0.0.1', '127.0.0.2'])
})

test('one that the receiver closes at the moment it is used again is replaced within the try', async () => {
  // Answers the first on each connection, and hangs up at the second.
  const asked = new WeakMap<object, number>()
  const receiver = startScriptedTarget((socket) => {
    const count = (asked.get(socket) ?? 0) + 1
    asked.set(socket, count)
    if (count === 1) socket.write(OK)
    else socket.terminate()
  })
  servers.push(receiver)
  const rig = rigOf()
  for (let i = 0; i < 6; i++) expect(await rig.post(receiver.url)).toEqual({ kind: 'accepted', status: 200 })
  expect(receiver.connections.length).toBeWithin(4, 7)
})

test('a client that nobody uses is closed after two seconds, one in use is not', async () => {
  const clock = createVirtualClock()
  const closed: string[] = []
  const open = ({ address }: { address: string }) => ({
    send: async () => ({ kind: 'aborted' }) as const,
    close: () => void closed.push(address),
  })
  const connections = createConnections(open, clock)
  const ended = Promise.withResolvers<void>()
  const long = connections.through({ origin: 'http://r', address: '10.0.0.1' }, () => ended.promise)
  await connections.through({ origin: 'http://r', address: '10.0.0.2' }, async () => undefined)
  await clock.advance(10_000)
  expect(closed).toEqual(['10.0.0.2'])
  ended.resolve()
  await long
  await clock.advance(10_000)
  expect([closed, clock.pending]).toEqual([['10.0.0.2', '10.0.0.1'], 0])
})
