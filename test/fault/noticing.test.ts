/** A call that does not reach the target is how foreman notices that it is away: nobody waits for the next poll to be told. */
import { afterEach, expect, test } from 'bun:test'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { runForeman } from '../support/foreman.ts'
import { eventually } from '../support/patience.ts'

let undone: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of undone.reverse()) await undo()
  undone = []
})

test.each(['/api/version', '/api/ps', '/v1/models', '/api/anything'])(
  'a target that refuses %s is known to be away long before the next poll',
  async (path) => {
    const simulator = await startSimulator({ models: [{ name: 'tiny' }] })
    undone.push(() => simulator.stop())
    const foreman = await runForeman(simulator.url, { FOREMAN_POLL_INTERVAL: '1h' })
    undone.push(() => foreman.stop())
    const health = async () =>
      (await (await fetch(`${foreman.url}/healthz`, { keepalive: false })).json()) as {
        last_poll: string | null
        degraded: boolean
        target: { reachable: boolean }
      }
    await eventually(5_000, 'the first poll', async () => ((await health()).last_poll === null ? null : true))
    expect((await health()).target.reachable).toBe(true)
    simulator.fault({ kind: 'refuse' })
    await (await fetch(`${foreman.url}${path}`, { keepalive: false })).text()
    const { degraded } = await eventually(5_000, 'foreman to notice', async () => {
      const now = await health()
      return now.target.reachable ? null : now
    })
    expect(degraded).toBe(true)
  },
)
