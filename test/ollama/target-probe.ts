/** What the tests of the target client share: a real clock, a client that must not leak, and ways to read a body. */
import { expect } from 'bun:test'
import type { Clock } from '../../src/domain/clock.ts'
import type { TargetClientDeps } from '../../src/ollama/client.ts'
import {
  type BodyRead,
  createTargetClient,
  type Reply,
  type TargetClient,
  type TargetRequest,
} from '../../src/ollama/client.ts'

export type Answered = Extract<Reply, { kind: 'answered' }>

export const realClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
}

/** A real clock that also knows how many of its timers are pending. */
export const countingClock = (): Clock & { pending(): number } => {
  const pending = new Set<() => void>()
  return {
    ...realClock,
    after: (delayMs, run) => {
      const cancel = realClock.after(delayMs, () => {
        pending.delete(done)
        run()
      })
      const done = (): void => {
        pending.delete(done)
        cancel()
      }
      pending.add(done)
      return done
    },
    pending: () => pending.size,
  }
}

/** Clients made here are checked for sockets and timers left behind when the test is over. */
export const createProbe = () => {
  const made: { client: TargetClient; clock: ReturnType<typeof countingClock> }[] = []
  return {
    client: (deps: Omit<TargetClientDeps, 'clock'>): TargetClient => {
      const clock = countingClock()
      const client = createTargetClient({ ...deps, clock })
      made.push({ client, clock })
      return client
    },
    /** Every socket is idle or gone, and nothing is timed but the pool's own sweep; then closes. */
    expectNoLeaks: (): void => {
      for (const { client, clock } of made.splice(0)) {
        expect(client.openSockets()).toBe(client.idleSockets())
        expect(clock.pending()).toBeLessThanOrEqual(1)
        client.close()
        expect(client.openSockets()).toBe(0)
        expect(clock.pending()).toBe(0)
      }
    },
  }
}

export const get = (path = '/'): TargetRequest => ({ method: 'GET', path, headers: [], body: null })

export const post = (body: TargetRequest['body'], bodyBytes?: number): TargetRequest => ({
  method: 'POST',
  path: '/api/chat',
  headers: [['Content-Type', 'application/json']],
  body,
  bodyBytes,
})

/** The reply as an answer, or a failed test that shows what it was instead. */
export const answered = (reply: Reply): Answered => {
  expect(reply).toMatchObject({ kind: 'answered' })
  return reply as Answered
}

/** Every read up to and with the one that is no chunk. */
export const readAll = async (reply: Answered): Promise<{ chunks: string[]; bytes: Buffer; last: BodyRead }> => {
  const parts: Uint8Array[] = []
  for (;;) {
    const read = await reply.body.read()
    if (read.kind !== 'chunk') {
      return { chunks: parts.map((part) => Buffer.from(part).toString()), bytes: Buffer.concat(parts), last: read }
    }
    parts.push(read.bytes)
  }
}

export const textOf = (bytes: Uint8Array | null): string =>
  bytes === null ? '(not complete)' : Buffer.from(bytes).toString()
