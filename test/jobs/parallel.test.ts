/** FOREMAN_PARALLEL in front of a target that gains from requests side by side, and what one slot costs beside it. */
import { afterEach, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'

let running: (RunningForeman | Simulator)[] = []
afterEach(async () => {
  for (const one of running.reverse()) await one.stop()
  running = []
})

const CALLS = 48
const TOKENS = 20
const TOKENS_PER_SECOND = 200

/** Calls a second through a foreman with so many slots, all asked at once. */
const rate = async (parallel: number): Promise<{ perSecond: number; simulator: Simulator }> => {
  const simulator = await startSimulator({
    models: [{ name: 'chat' }, { name: 'sight', family: 'qwen3vl' }],
    numParallel: 4,
    curve: [1, 1.6, 2.1, 2.5],
    tokensPerSecond: TOKENS_PER_SECOND,
  })
  const foreman = await runForeman(simulator.url, { FOREMAN_PARALLEL: String(parallel), FOREMAN_LOG_LEVEL: 'warn' })
  running.push(simulator, foreman)
  const ask = async (model = 'chat') => {
    const messages = [{ role: 'user', content: `[[n=${TOKENS}]]` }]
    const body = JSON.stringify({ model, stream: false, messages })
    const response = await fetch(`${foreman.url}/api/chat`, { method: 'POST', body })
    await response.arrayBuffer()
    expect(response.status).toBe(200)
  }
  await ask()
  const beganAt = performance.now()
  await Promise.all(Array.from({ length: CALLS }, () => ask()))
  const perSecond = (CALLS * 1_000) / (performance.now() - beganAt)
  await Promise.all(Array.from({ length: 4 }, () => ask('sight')))
  return { perSecond, simulator }
}

test('four slots make the most of a target that does 2.5 times as much with four, and one slot stays one', async () => {
  const one = await rate(1)
  expect(one.simulator.counters().openMax).toBe(1)
  const four = await rate(4)
  expect(four.simulator.counters().openMax).toBe(4)
  const gain = four.perSecond / one.perSecond
  figure(
    'FOREMAN_PARALLEL=4',
    'curve 1, 1.6, 2.1, 2.5',
    `${gain.toFixed(2)}x the calls/s of 1 (${one.perSecond.toFixed(1)})`,
  )
  expect(gain).toBeGreaterThanOrEqual(2.4)
  expect(one.perSecond).toBeGreaterThan((TOKENS_PER_SECOND / TOKENS) * 0.8)
}, 60_000)
