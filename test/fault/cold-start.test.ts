/** A target that was half-open before foreman came: a job that waits on it says nothing for it, and whoever waits beside that job is told in time. */
import { afterEach, expect, test } from 'bun:test'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { runForeman } from '../support/foreman.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { healthIs } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { askOnce, headerOf } from '../support/wire-client.ts'

const HASTE = 10
const DEADLINE_S = 6

let undone: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of undone.reverse()) await undo()
  undone = []
})

const coldStart = async (env: Record<string, string> = {}) => {
  const simulator = await startSimulator({
    models: [{ name: 'tiny' }, { name: 'embed', capabilities: ['embedding'] as const }],
  })
  undone.push(() => simulator.stop())
  simulator.sleep()
  const clock = createHastyClock(HASTE)
  const foreman = await runForeman(simulator.url, { FOREMAN_POLL_INTERVAL: '1h', ...env }, { clock })
  undone.push(() => foreman.stop())
  return { simulator, foreman }
}

const chat = () => post('/api/chat', { model: 'tiny', messages: [{ role: 'user', content: '[[n=3]]' }] })
const working = ({ worker }: { worker: { state: string } }) => worker.state === 'loading' || worker.state === 'working'

test('whoever waits beside the first job is told within the deadline and 3 s', async () => {
  const { foreman } = await coldStart({ FOREMAN_UNREACHABLE_DEADLINE: `${DEADLINE_S}s` })
  const first = askOnce(foreman.port, chat())
  await healthIs(foreman, 'the chat has the slot', working)
  const questions = {
    embed: post('/api/embed', { model: 'embed', input: 'x' }),
    chat: chat(),
    version: get('/api/version'),
    tags: get('/api/tags'),
    models: get('/v1/models'),
    show: post('/api/show', { model: 'tiny' }),
  }
  const timed = async ([name, asked]: [string, string]) => {
    const startedAt = performance.now()
    const answer = await askOnce(foreman.port, asked)
    const tookS = ((performance.now() - startedAt) * HASTE) / 1_000
    expect([name, answer.status, headerOf(answer, 'retry-after')]).toEqual([name, 503, '5'])
    expect([name, answer.body.toString()]).toEqual([name, expect.stringContaining('has been away since')])
    return tookS
  }
  const told = await Promise.all(Object.entries(questions).map(timed))
  figure(
    'T5',
    `beside a job that found the target half-open, told after s (deadline ${DEADLINE_S})`,
    told.map((s) => s.toFixed(1)).join(' '),
  )
  expect(Math.max(...told)).toBeLessThan(DEADLINE_S + 3)
  expect((await first).status).toBe(503)
}, 30_000)

test('the job on the slot is not ended by a poll: it is answered when the target wakes', async () => {
  const { simulator, foreman } = await coldStart({ FOREMAN_UNREACHABLE_DEADLINE: '10m' })
  const first = askOnce(foreman.port, chat())
  await healthIs(foreman, 'the chat has the slot', working)
  await healthIs(foreman, 'the poll has failed', ({ target }) => !target.reachable)
  expect((await healthIs(foreman, 'the chat has the slot', working)).queue.queued).toBe(0)
  simulator.wake()
  expect((await first).status).toBe(200)
}, 30_000)
