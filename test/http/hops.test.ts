/** Two foremen that target each other: refused at start, and harmless where the circle closes later. */
import { afterEach, describe, expect, test } from 'bun:test'
import type { Socket } from 'bun'
import { HOPS_HEADER, hopProblem, withHop } from '../../src/domain/wire/hops.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { closedPort } from '../support/command-io.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { eventually } from '../support/patience.ts'

let undone: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of undone.reverse()) await undo()
  undone = []
})

const started = async (target: string, port: number): Promise<RunningForeman> => {
  const foreman = await runForeman(target, { FOREMAN_ADDR: `127.0.0.1:${port}`, FOREMAN_POLL_INTERVAL: '100ms' })
  undone.push(() => foreman.stop())
  return foreman
}

const at = (port: number) => `http://127.0.0.1:${port}`

/** A forwarded port that is opened later, and how many connections have come through it. */
const openRelay = (port: number, to: number) => {
  let connections = 0
  const relay = Bun.listen<{ other: Promise<Socket<unknown>> }>({
    hostname: '127.0.0.1',
    port,
    socket: {
      open(client) {
        connections += 1
        const socket = { data: (_: unknown, bytes: Buffer) => void client.write(bytes), close: () => void client.end() }
        client.data = { other: Bun.connect({ hostname: '127.0.0.1', port: to, socket }) }
      },
      data: (client, bytes) => void client.data.other.then((other) => other.write(bytes)),
      close: (client) => void client.data.other.then((other) => other.end()),
    },
  })
  undone.push(() => relay.stop(true))
  return { connections: () => connections }
}

describe('the hops of a request', () => {
  test('are lengthened by each foreman, and stop it where it has been', () => {
    expect(withHop([['Accept', '*/*']], 'a')).toEqual([
      ['Accept', '*/*'],
      [HOPS_HEADER, 'a'],
    ])
    expect(withHop([['x-foreman-hops', 'a']], 'b')).toEqual([[HOPS_HEADER, 'a, b']])
    expect(hopProblem(null, 'a')).toBeNull()
    expect(hopProblem('b, c', 'a')).toBeNull()
    expect(hopProblem('b,a', 'a')).toContain('has come back to this foreman')
    expect(hopProblem(Array.from({ length: 8 }, (_, i) => `f${i}`).join(), 'a')).toContain('8 foremen')
  })
})

test('the second of two foremen that target each other is refused in one sentence', async () => {
  const [first, second] = [await closedPort(), await closedPort()]
  await started(at(second), first)
  await expect(started(at(first), second)).rejects.toThrow(
    `FOREMAN_OLLAMA_URL ${at(first)} is a foreman whose own target is this one, so calls would run in a circle: give it the address of an Ollama server`,
  )
})

test('a foreman in front of a foreman is fine', async () => {
  const simulator = await startSimulator({ models: [{ name: 'tiny' }], loadMs: 0 })
  undone.push(() => simulator.stop())
  const inner = await started(simulator.url, await closedPort())
  const outer = await started(inner.url, await closedPort())
  const body = JSON.stringify({ model: 'tiny', prompt: 'hi', stream: false })
  const answer = await fetch(`${outer.url}/api/generate`, { method: 'POST', body })
  expect([answer.status, ((await answer.json()) as { done: boolean }).done]).toEqual([200, true])
})

test('a circle that closes later answers 508 at its first turn and grows nothing', async () => {
  const [first, second, relayed] = [await closedPort(), await closedPort(), await closedPort()]
  const a = await started(at(relayed), first)
  const b = await started(at(first), second)
  const relay = openRelay(relayed, second)
  const CALLS = 100
  const answers = await Promise.all(
    Array.from({ length: CALLS }, (_, i) => fetch(`${i % 2 ? a.url : b.url}/api/anything`, { keepalive: false })),
  )
  const texts = await Promise.all(answers.map((answer) => answer.text()))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([508]))
  expect(new Set(texts).size).toBe(1)
  expect(texts[0]).toContain('has come back to this foreman')
  // Each call passes the relay once or twice, and beside them there are polls.
  expect(relay.connections()).toBeLessThan(3 * CALLS)
  // A chat is not lost in it either: its foreman knows that no Ollama is behind its target.
  await eventually(5_000, 'both to be degraded', async () => {
    const health = await Promise.all([a, b].map(async ({ url }) => (await fetch(`${url}/healthz`)).json()))
    return health.every((one) => (one as { degraded: boolean }).degraded) || null
  })
})
