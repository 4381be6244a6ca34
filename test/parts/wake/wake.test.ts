/** A sleeping target is woken while somebody waits for it, by the packet to the byte, not more often than every 30 s, not for nobody and not for ever. */
import { afterEach, expect, test } from 'bun:test'
import type { PartPorts } from '../../../src/engine/part.ts'
import { readMac } from '../../../src/parts/wake/magic.ts'
import { broadcastOf, waysTo } from '../../../src/parts/wake/networks.ts'
import { createWake } from '../../../src/parts/wake/part.ts'
import { type Bench, createBench } from '../../support/engine-bench.ts'
import { figure } from '../../support/figures.ts'
import { runForeman } from '../../support/foreman.ts'
import { freePort } from '../../support/stand-in.ts'

const MAC = '3c22fb010203'
const PACKET = `${'ff'.repeat(6)}${MAC.repeat(16)}`

let bench: Bench | undefined
const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await bench?.close()
  bench = undefined
  for (const stop of stops.splice(0).reverse()) await stop()
})

interface Burst {
  readonly atMs: number
  readonly bytes: number
  readonly times: number
}

/** A bench whose bursts are written down. */
const start = (failure: string[] = []) => {
  const bursts: Burst[] = []
  const settings = { wakeMac: MAC, wakeAddr: { host: '255.255.255.255', port: 9 } }
  const part = (ports: PartPorts<never>) =>
    createWake({ ...ports, settings }, async (packet, _to, times) => {
      bursts.push({ atMs: ports.clock.monotonicMs(), bytes: packet.length, times })
      return failure
    })
  const made = createBench({ part, config: { unreachableDeadlineMs: 3_600_000 } })
  bench = made
  const noticed = (name: string) => made.eventsOf('noticed').filter((event) => event.name === name)
  return { bench: made, bursts, noticed }
}

const asleep = async ({ clock, target }: Bench) => {
  await clock.advance(1_000)
  target.awake = false
  await clock.advance(90_000)
}

test('the packet, on a real socket: three of exactly 102 bytes, and none while nobody waits', async () => {
  const packets: string[] = []
  const arrived = Promise.withResolvers<void>()
  const socket = await Bun.udpSocket({
    hostname: '127.0.0.1',
    socket: {
      data(_socket, data) {
        packets.push(Buffer.from(data).toString('hex'))
        if (packets.length === 3) arrived.resolve()
      },
    },
  })
  stops.push(async () => socket.close())
  const foreman = await runForeman(`http://127.0.0.1:${freePort()}`, {
    FOREMAN_WAKE_MAC: '3C-22-FB-01-02-03',
    FOREMAN_WAKE_ADDR: `127.0.0.1:${socket.port}`,
    FOREMAN_UNREACHABLE_DEADLINE: '1s',
  })
  stops.push(foreman.stop)
  await foreman.logged('target_unreachable')
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }] })
  expect(packets).toEqual([])
  const response = await fetch(`${foreman.url}/api/chat`, { method: 'POST', body })
  await arrived.promise
  expect([response.status, packets]).toEqual([503, [PACKET, PACKET, PACKET]])
  expect(PACKET.length / 2).toBe(102)
  expect(await (await fetch(`${foreman.url}/metrics`)).text()).toContain('\nforeman_wake_bursts_total 1\n')
})

test('every 30 s while a client waits, for ten minutes; whoever comes later has ten minutes of their own', async () => {
  const { bench, bursts, noticed } = start()
  await asleep(bench)
  expect(bursts).toEqual([])
  const beganMs = bench.clock.monotonicMs()
  bench.call('a')
  await bench.clock.advance(1_800_000)
  const gaps = bursts.slice(1).map(({ atMs }, i) => atMs - (bursts[i]?.atMs ?? 0))
  expect(bursts.every(({ bytes, times }) => bytes === 102 && times === 3)).toBe(true)
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(30_000)
  const lastMs = (bursts.at(-1)?.atMs ?? 0) - beganMs
  figure(
    'W1',
    `one client waits for half an hour: ${bursts.length} bursts, the last after ${Math.round(lastMs / 1_000)} s`,
  )
  expect(lastMs).toBeLessThan(600_000)
  expect(bursts.length).toBeGreaterThanOrEqual(19)
  expect(noticed('wake_given_up').length).toBe(1)
  const before = bursts.length
  bench.call('b')
  await bench.clock.advance(60_000)
  expect(bursts.length).toBe(before + 3)
})

test('nobody waits: not one packet in a night', async () => {
  const { bench, bursts } = start()
  await asleep(bench)
  await bench.clock.advance(8 * 3_600_000)
  expect(bursts).toEqual([])
})

test('a job that nobody waits for counts as somebody', async () => {
  const { bench, bursts } = start()
  await asleep(bench)
  await bench.submit('job')
  await bench.clock.advance(65_000)
  expect(bursts.length).toBe(3)
})

test('a target that is declared down but answers is not woken; one that falls asleep meanwhile is', async () => {
  const { bench, bursts, noticed } = start()
  await bench.clock.advance(60_000)
  bench.engine.declareDown('residency', 'it runs on the CPU')
  const call = bench.call('a')
  await bench.clock.advance(300_000)
  expect(bursts).toEqual([])
  bench.target.awake = false
  await bench.clock.advance(180_000)
  expect(bursts.length).toBeGreaterThanOrEqual(2)
  bench.target.awake = true
  bench.engine.declareDown('residency', null)
  await bench.until(() => call.isOver)
  expect(noticed('target_woken').length).toBe(1)
})

test('a target that was woken is told apart from one that comes by itself', async () => {
  const { bench, noticed } = start()
  await asleep(bench)
  bench.target.awake = true
  await bench.clock.advance(60_000)
  expect(noticed('target_woken')).toEqual([])
  await asleep(bench)
  const call = bench.call('a')
  await bench.clock.advance(40_000)
  bench.target.awake = true
  await bench.until(() => call.isOver)
  expect(call.status).toBe(200)
  expect(noticed('target_woken')).toMatchObject([{ fields: { bursts: 3, after_ms: expect.any(Number) } }])
})

test('a network that does not take a packet is told once, and nobody is hurt', async () => {
  const { bench, noticed } = start(['10.0.0.1 to 255.255.255.255:9: network is unreachable'])
  await asleep(bench)
  bench.call('a')
  await bench.clock.advance(300_000)
  expect(noticed('wake_failed').length).toBe(1)
})

test('a broadcast goes into every network of the box, from its own address; anything else as the system sends it', () => {
  const v4 = (address: string, netmask: string, internal = false) => ({ address, netmask, family: 'IPv4', internal })
  const box = [
    v4('127.0.0.1', '255.0.0.0', true),
    v4('192.168.1.7', '255.255.255.0'),
    v4('10.8.0.5', '255.255.240.0'),
    v4('100.64.3.2', '255.255.255.255'),
    { address: 'fe80::1', netmask: 'ffff:ffff:ffff:ffff::', family: 'IPv6', internal: false },
  ]
  const everybody = { host: '255.255.255.255', port: 9 }
  expect(waysTo(everybody, box).map(({ from, to }) => `${from} ${to.host}:${to.port}`)).toEqual([
    '192.168.1.7 255.255.255.255:9',
    '192.168.1.7 192.168.1.255:9',
    '10.8.0.5 255.255.255.255:9',
    '10.8.0.5 10.8.15.255:9',
    '100.64.3.2 255.255.255.255:9',
  ])
  const one = { host: '192.168.1.255', port: 7 }
  expect(waysTo(one, box)).toEqual([{ from: null, to: one }])
  expect(waysTo(everybody, [])).toEqual([{ from: null, to: everybody }])
  expect(broadcastOf({ address: '172.31.255.9', netmask: '255.240.0.0' })).toBe('172.31.255.255')
})

test.each([
  ['3c:22:fb:01:02:03', MAC],
  ['3C-22-FB-01-02-03', MAC],
  ['3c22.fb01.0203', MAC],
  ['3c22fb010203', MAC],
  ['3c:22-fb:01:02:03', null],
  ['3c:22:fb:01:02', null],
  ['ff:ff:ff:ff:ff:ff', null],
  ['00:00:00:00:00:00', null],
])('the address %s is read as %s', (text, wanted) => {
  const read = readMac(text)
  expect(read.kind === 'ok' ? read.value : null).toBe(wanted)
})
