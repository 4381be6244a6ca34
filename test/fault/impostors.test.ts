/** A1 to A3 on real sockets: the target is replaced by each of twenty others while jobs and a client wait; nobody fails, and health says what answers. */
import { afterEach, expect, test } from 'bun:test'
import { type ImpostorName, impostorNames, type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { healthIs, polled } from '../support/health.ts'
import { chat, jobsClient } from '../support/jobs-client.ts'

const JOBS = 40

let simulator: Simulator
let foreman: RunningForeman
afterEach(async () => {
  simulator.fault(null)
  await foreman.stop()
  await simulator.stop()
})

/** Jobs wait for one that works; then somebody else answers at the target's address. */
const replacedBy = async (name: ImpostorName) => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  // Foreman's minutes are our seconds.
  foreman = await runForeman(simulator.url, { FOREMAN_POLL_INTERVAL: '20s' }, { clock: createHastyClock(20) })
  await polled(foreman)
  const client = jobsClient(foreman)
  const prompts = Array.from({ length: JOBS }, (_, i) => (i === 0 ? '[[silent=300]]' : '[[n=1]]'))
  const ids = await Promise.all(prompts.map((prompt) => client.submit(chat(prompt))))
  simulator.fault({ kind: 'impostor', as: name })
  return { client, ids }
}

// A byte a second takes its minute of real time: the virtual clock has that one.
const quick = impostorNames.filter((name) => name !== 'drip')

test.each(quick)(
  '"%s"',
  async (name) => {
    const { client, ids } = await replacedBy(name)
    const { target } = await healthIs(
      foreman,
      'the target is away',
      ({ degraded, target }) => degraded && !target.reachable,
    )
    expect(target.reachable).toBe(false)
    simulator.fault(null)
    for (const id of ids) {
      const { state, attempt, error } = await client.reaches(id, 'done')
      expect([name, state, attempt, error]).toEqual([name, 'done', 1, null])
    }
    figure('A1', `"${name}" on real sockets: ${JOBS} jobs, 0 failed, 0 attempts spent`)
  },
  60_000,
)
