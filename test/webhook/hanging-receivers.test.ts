/** Proves that receivers that hang slow nobody else, on the virtual clock and over real sockets. */
import { describe, expect, test } from 'bun:test'
import { systemClock } from '../../src/clock.ts'
import { createTargetClient, type TargetClient } from '../../src/ollama/client.ts'
import { createCourier } from '../../src/webhook/courier.ts'
import { createDelivery } from '../../src/webhook/delivery.ts'
import { startScriptedTarget } from '../ollama/scripted-target.ts'
import { figure } from '../support/figures.ts'
import { within } from '../support/patience.ts'
import { createCount } from '../support/wire-count.ts'
import { accepted, createCourierRig, hangs } from './courier-rig.ts'
import { createMemoryOutbox } from './memory-outbox.ts'

const HANGING = 100

describe('on the virtual clock', () => {
  test.each([Number.POSITIVE_INFINITY, 30])(
    'of 100 hanging receivers with 20 jobs each none delays a good one (a look visits %p of them)',
    async (lanesMax) => {
      const outbox = createMemoryOutbox({ lanesMax })
      const rig = createCourierRig(({ host }) => (host === 'good' ? accepted : hangs()), { outbox })
      for (let i = 0; i < HANGING * 20; i++) outbox.owe(`hung${i}`, `http://hanging-${i % HANGING}/`)
      rig.courier.start()
      await rig.clock.advance(100)
      for (let i = 0; i < 50; i++) {
        const id = outbox.owe(`good${i}`, 'http://good/')
        rig.courier.nudge()
        await rig.clock.advance(1)
        expect(outbox.get(id).state).toBe('accepted')
      }
      expect(rig.most.inFlight).toBeLessThanOrEqual(256)
      expect(rig.inFlight('hanging-0')).toBe(1)
      const stopped = rig.courier.stop(0)
      await rig.clock.advance(0)
      await stopped
      expect(rig.clock.pending).toBe(0)
    },
  )

  test('one receiver gets at most 8 tries at a time, all of them at most 256', async () => {
    const rig = createCourierRig(async () => {
      await new Promise<void>((resolve) => void rig.clock.after(50, resolve))
      return accepted
    })
    for (let i = 0; i < 2_000; i++) rig.outbox.owe(`job${i}`, `http://receiver-${i % 40}/`)
    rig.courier.start()
    await rig.clock.advance(5_000)
    expect(rig.outbox.all().filter(({ state }) => state !== 'accepted')).toEqual([])
    expect(rig.most).toEqual({ inFlight: 256, perHost: 8 })
    await rig.courier.stop(0)
  })
})

describe('over real sockets', () => {
  test('a good receiver has its webhook at once beside 100 that hang, and a stop closes every socket', async () => {
    const hanging = Array.from({ length: HANGING }, () => startScriptedTarget())
    const received = createCount()
    const good = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch() {
        received.add()
        return new Response()
      },
    })
    const clients: TargetClient[] = []
    const outbox = createMemoryOutbox()
    const delivery = createDelivery({
      resolve: async () => ['127.0.0.1'],
      offLimits: async () => [],
      policy: 'lan',
      clock: systemClock,
      secrets: [],
      version: 'test',
      open: ({ origin, address }) => {
        const client = createTargetClient({ url: origin, address, clock: systemClock })
        clients.push(client)
        return client
      },
    })
    const courier = createCourier({
      outbox,
      clock: systemClock,
      random: Math.random,
      emit: () => {},
      compose: ({ jobId }) => ({ id: jobId, body: Buffer.from('{}') }),
      delivery,
    })
    for (const [i, { url }] of hanging.entries()) for (let n = 0; n < 3; n++) outbox.owe(`hung${i}-${n}`, url)
    courier.start()
    await within(5_000, 'all of them hang', Promise.all(hanging.map(({ asked }) => asked.reached(1))))
    const delaysMs: number[] = []
    for (let i = 1; i <= 50; i++) {
      const startedMs = performance.now()
      outbox.owe(`good${i}`, `http://127.0.0.1:${good.port}/`)
      courier.nudge()
      await within(5_000, 'the good one gets its webhook', received.reached(i))
      delaysMs.push(performance.now() - startedMs)
    }
    const openSockets = () => clients.reduce((open, client) => open + client.openSockets(), 0)
    expect(openSockets()).toBeGreaterThanOrEqual(HANGING)
    const stoppingMs = performance.now()
    await courier.stop(50)
    delivery.close()
    const stopMs = performance.now() - stoppingMs
    expect(openSockets()).toBe(0)
    expect(stopMs).toBeLessThan(1_000)
    expect(hanging.map(({ connections }) => connections.length)).toEqual(Array(HANGING).fill(1))
    delaysMs.sort((a, b) => a - b)
    expect(delaysMs[25]!).toBeLessThan(50)
    figure(
      'W5',
      `beside 100 hanging receivers: p50 ${delaysMs[25]!.toFixed(1)} ms, max ${delaysMs[49]!.toFixed(1)} ms; stop ${stopMs.toFixed(0)} ms`,
    )
    for (const target of hanging) target.stop()
    await good.stop(true)
  }, 20_000)
})
