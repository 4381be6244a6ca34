/** Proves that a receiver that hangs, dribbles or floods costs no more than its time and its 64 KiB, and leaves nothing behind. */
import { afterEach, describe, expect, test } from 'bun:test'
import { startScriptedTarget } from '../ollama/scripted-target.ts'
import { figure } from '../support/figures.ts'
import { within } from '../support/patience.ts'
import { createDeliveryRig, type DeliveryRig, type RigOptions } from './delivery-rig.ts'

const TRY_TIMEOUT_MS = 120
const rigs: DeliveryRig[] = []
const servers: { stop(): unknown }[] = []
const timers: ReturnType<typeof setInterval>[] = []

afterEach(() => {
  for (const timer of timers.splice(0)) clearInterval(timer)
  for (const rig of rigs.splice(0)) rig.expectNoLeaks()
  for (const server of servers.splice(0)) server.stop()
})

const rigOf = (options: RigOptions = {}) => {
  const rig = createDeliveryRig({ tryTimeoutMs: TRY_TIMEOUT_MS, ...options })
  rigs.push(rig)
  return rig
}

const target = (...args: Parameters<typeof startScriptedTarget>) => {
  const started = startScriptedTarget(...args)
  servers.push(started)
  return started
}

const late = {
  kind: 'retry',
  reason: `no answer within ${TRY_TIMEOUT_MS} ms`,
  retryAfterMs: null,
  isAnswer: false,
} as const

/** Writes `text` again and again, as long as it is taken. */
const keepWriting = (socket: { write(text: string): number }, text: string, everyMs: number) => {
  timers.push(setInterval(() => void socket.write(text), everyMs))
}

describe('time', () => {
  test('a receiver that never answers is given up in time, and its socket with it', async () => {
    const silent = target()
    const startedMs = performance.now()
    expect(await rigOf().post(silent.url)).toEqual(late)
    expect(performance.now() - startedMs).toBeWithin(TRY_TIMEOUT_MS - 5, TRY_TIMEOUT_MS + 1_000)
    await within(2_000, 'the receiver sees the end', silent.closed.reached(1))
  })

  test('a head that comes byte by byte does not stretch the time', async () => {
    const slow = target((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nX-Slow: ')
      keepWriting(socket, 'x', 5)
    })
    expect(await rigOf().post(slow.url)).toEqual(late)
  })

  test('interim answers for ever do not stretch it either, and are cut after 64 KiB', async () => {
    const slow = target((socket) => keepWriting(socket, 'HTTP/1.1 100 Continue\r\n\r\n', 5))
    expect(await rigOf().post(slow.url)).toEqual(late)
    const flood = target((socket) => void socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(10_000)))
    expect(await rigOf({ tryTimeoutMs: 10_000 }).post(flood.url)).toMatchObject({
      kind: 'retry',
      reason: expect.stringContaining('malformed'),
    })
  })

  test('a name that resolves for ever is given up in time', async () => {
    const rig = rigOf({ resolve: () => new Promise(() => {}) })
    expect(await rig.post('http://slow.test/')).toEqual(late)
    expect(rig.dialled).toEqual([])
  })

  test('a TLS hello nobody answers is given up in time', async () => {
    const silent = target()
    expect(await rigOf().post(silent.url.replace('http:', 'https:'))).toMatchObject({ kind: 'retry' })
    await within(2_000, 'the receiver sees the end', silent.closed.reached(1))
  })

  test('a receiver that takes no more of a large body is given up in time', async () => {
    const stuck = target(undefined, (socket) => void socket.pause())
    expect(await rigOf().post(stuck.url, { body: Buffer.alloc(20_000_000) })).toEqual(late)
  })

  test('a body that dribbles after a 200 is left after a moment: the status was the answer', async () => {
    const dribble = target((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      keepWriting(socket, '1\r\nx\r\n', 5)
    })
    const startedMs = performance.now()
    expect(await rigOf({ tryTimeoutMs: 10_000 }).post(dribble.url)).toEqual({ kind: 'accepted', status: 200 })
    expect(performance.now() - startedMs).toBeLessThan(3_000)
    expect(await rigOf().post(dribble.url)).toEqual({ kind: 'accepted', status: 200 })
    await within(2_000, 'the receiver sees the end', dribble.closed.reached(2))
  })
})

describe('size', () => {
  test('of an endless answer hardly more than 64 KiB are taken', async () => {
    const piece = 'x'.repeat(65_536)
    let taken = 0
    const endless = target((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      const pour = () => {
        const wrote = socket.write(piece)
        taken += Math.max(0, wrote)
        return wrote > 0
      }
      timers.push(setInterval(() => pour() && pour(), 1))
    })
    expect(await rigOf({ tryTimeoutMs: 10_000 }).post(endless.url)).toEqual({ kind: 'accepted', status: 200 })
    await within(2_000, 'the receiver sees the end', endless.closed.reached(1))
    // What the receiver could write includes both kernels' buffers; what was read ends with the chunk that crossed 64 KiB.
    expect(taken).toBeLessThan(16_000_000)
    figure('W4', `endless answer: cut after ${taken} bytes left the receiver, kernel buffers included`)
  })

  test('a head beyond 64 KiB is no answer', async () => {
    const wide = target((socket) => void socket.write(`HTTP/1.1 200 OK\r\n${'X-Pad: yes\r\n'.repeat(20_000)}\r\n`))
    expect(await rigOf({ tryTimeoutMs: 10_000 }).post(wide.url)).toMatchObject({ kind: 'retry' })
  })
})

describe('stop', () => {
  test.each(['while it resolves', 'before it connects', 'while it waits'])(
    '%s: the try is given up at once',
    async (when) => {
      const silent = target()
      const stop = new AbortController()
      const resolve = () => {
        if (when !== 'while it waits') stop.abort()
        return when === 'while it resolves' ? new Promise<string[]>(() => {}) : Promise.resolve(['127.0.0.1'])
      }
      const outcome = rigOf({ tryTimeoutMs: 10_000, resolve }).post(`http://name.test:${silent.port}/`, {
        signal: stop.signal,
      })
      if (when === 'while it waits') await silent.asked.reached(1)
      stop.abort()
      expect(await within(2_000, 'the outcome', outcome)).toEqual({ kind: 'aborted' })
    },
  )

  test('a signal that has fired already lets nothing begin', async () => {
    const rig = rigOf()
    expect(await rig.post('http://name.test/', { signal: AbortSignal.abort() })).toEqual({ kind: 'aborted' })
    expect(rig.lookups).toEqual([])
  })
})
