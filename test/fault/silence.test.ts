/** Everything that only time tells, side by side: half-open wires (T2), patience (P4, T3) and slow clients (R3). */
import { describe, expect, test } from 'bun:test'
import { systemClock } from '../../src/clock.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import {
  callUnder,
  cases,
  inTurn,
  isSlow,
  loudFaults,
  report,
  silentFaults,
  type Trial,
  tryFault,
  withBench,
} from '../support/fault-bench.ts'
import { figure } from '../support/figures.ts'
import { runForeman } from '../support/foreman.ts'
import { generation, seenBy } from '../support/generation-call.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { idle } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { rawClient } from '../support/raw-client.ts'
import { askOnce, openClient } from '../support/wire-client.ts'

// Half-open is noticed after 29 s of foreman's time: with this factor that is 1.5 s of ours.
const HASTE = 20
// How long a caller bears a target that is away.
const SOON = { FOREMAN_UNREACHABLE_DEADLINE: '20s' }

describe('a wire fault', () => {
  for (const [fault, trialOf] of Object.entries(silentFaults)) {
    test.concurrent(`that is "${fault}" hangs nobody and frees the worker`, async () => {
      const hasty = createHastyClock(HASTE)
      const trials = cases.map(({ phase, stream }) =>
        withBench(hasty, (bench) => tryFault(bench, fault, trialOf, phase, stream), SOON),
      )
      await Promise.all(trials)
      report(fault, cases.length)
    }, 90_000)
  }

  test.concurrent('that refuses every connection until the deadline is told as such', async () => {
    const hasty = createHastyClock(HASTE)
    const slow = cases.filter(({ phase, stream }) => isSlow('refuse', phase, stream))
    const trials = slow.map(({ phase, stream }) =>
      withBench(hasty, (bench) => tryFault(bench, 'refuse', loudFaults['refuse']!, phase, stream), SOON),
    )
    await Promise.all(trials)
    report('refuse before the first byte', trials.length)
  }, 90_000)

  test.concurrent(
    'that also stops the probes in the middle of their answers is noticed like any other',
    () =>
      withBench(
        createHastyClock(HASTE),
        async (bench) => {
          for (const stream of [true, false]) {
            expect(seenBy('/api/chat', stream, await bench.call('/api/chat', stream))).toBe('done')
            // One byte of the body is not a chunk: nobody has seen anything yet.
            const trial: Trial = { first: { kind: 'half-open', at: 'body', bodyBytes: 1 } }
            expect(seenBy('/api/chat', stream, await callUnder(bench, trial, '/api/chat', stream))).toBe(503)
          }
          expect(seenBy('/api/chat', true, await bench.call('/api/chat', true))).toBe('done')
        },
        SOON,
      ),
    30_000,
  )

  test.concurrent(
    'that is half-open is noticed within 45 s of real time, in the middle of a stream',
    () =>
      withBench(systemClock, async ({ foreman, wire, call }) => {
        expect(seenBy('/api/chat', true, await call('/api/chat', true))).toBe('done')
        const client = await openClient(foreman.port)
        const cut = client.send(generation('/api/chat', { stream: true, prompt: '[[n=100000]]' }))
        await cut.begun
        const startedAt = performance.now()
        wire.silence()
        wire.set({ kind: 'blackhole' })
        const answer = await within(45_000, 'half-open', cut.answer)
        figure('T2', `half-open noticed after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s (bound 45 s)`)
        expect(seenBy('/api/chat', true, answer)).toBe('error in the stream')
        client.drop()
        wire.set({ kind: 'none' })
        expect(seenBy('/api/chat', true, await call('/api/chat', true))).toBe('done')
      }),
    90_000,
  )
})

const withForeman = async (run: (port: number, foreman: { url: string }) => Promise<void>) => {
  const simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  const foreman = await inTurn(() => runForeman(simulator.url))
  try {
    await run(foreman.port, foreman)
  } finally {
    await foreman.stop()
    await simulator.stop()
  }
}

const seconds = (since: number): number => (performance.now() - since) / 1_000

describe('silence is not a fault', () => {
  for (const stream of [true, false]) {
    test.concurrent(
      `for 15 s before the first byte, stream ${stream}, while another call waits as long`,
      () =>
        withForeman(async (port) => {
          const silent = askOnce(port, generation('/api/chat', { stream, prompt: '[[silent=15000]]' }))
          const waiting = askOnce(port, generation('/v1/chat/completions', { stream }))
          expect(seenBy('/api/chat', stream, await silent)).toBe('done')
          expect(seenBy('/v1/chat/completions', stream, await waiting)).toBe('done')
          figure('P4', `15 s of silence, stream ${stream}: answered, and so was the call that waited behind it`)
        }),
      30_000,
    )
  }
})

describe('a slow client', () => {
  const slow: Record<string, { bytes: string; limitS: number }> = {
    'that says nothing': { bytes: '', limitS: 15 },
    'that stops inside its head': { bytes: 'POST /api/chat HTTP/1.1\r\nHost: x.local\r\nX-A', limitS: 15 },
    'that stops inside its body': {
      bytes: 'POST /api/chat HTTP/1.1\r\nHost: x.local\r\nContent-Length: 100\r\n\r\n{"model"',
      limitS: 30,
    },
    'that stops inside a chunk': {
      bytes: 'POST /api/embed HTTP/1.1\r\nHost: x.local\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{"model"',
      limitS: 30,
    },
  }
  for (const [who, { bytes, limitS }] of Object.entries(slow)) {
    test.concurrent(
      `${who} is let go`,
      () =>
        withForeman(async (port, foreman) => {
          const startedAt = performance.now()
          const client = await rawClient(port)
          client.send(bytes)
          await within(limitS * 1_000, who, client.closed())
          figure('R3', `a client ${who} is let go after ${seconds(startedAt).toFixed(1)} s (bound ${limitS} s)`)
          client.destroy()
          await idle(foreman)
        }),
      60_000,
    )
  }

  test.concurrent(
    'that sends its body a byte a second is let go too',
    () =>
      withForeman(async (port, foreman) => {
        const startedAt = performance.now()
        const client = await rawClient(port)
        client.send('POST /api/chat HTTP/1.1\r\nHost: x.local\r\nContent-Length: 100\r\n\r\n')
        const drip = setInterval(() => client.send(' '), 1_000)
        try {
          await within(30_000, 'a trickling client', client.closed())
        } finally {
          clearInterval(drip)
        }
        figure('R3', `a client that trickles its body is let go after ${seconds(startedAt).toFixed(1)} s (bound 30 s)`)
        client.destroy()
        await idle(foreman)
      }),
    60_000,
  )
})
