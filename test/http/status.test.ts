/** GET /status: health, what the parts judge with their reasons, what happened lately; behind the token. */
import { afterEach, expect, test } from 'bun:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { definePart } from '../../src/engine/part.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createIo } from '../support/command-io.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'

let simulator: Simulator
let foreman: RunningForeman
afterEach(async () => {
  await foreman.stop()
  await simulator.stop()
})

const judge = definePart({
  name: 'judge',
  settings: {},
  create: async ({ alarm, happened }) => ({
    start() {
      alarm('memory', 'ollama holds 9 GiB of memory, and 6 are allowed')
      happened('restarted', 'Ollama was restarted because three inferences in a row failed')
    },
    stop: async () => undefined,
    facts: () => ({ health: { value: 'slow', reason: 'one token took 7 s' }, restarts: { value: 1 } }),
  }),
})

const start = async (env: Record<string, string> = {}) => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  foreman = await runForeman(simulator.url, env, { plans: [judge] })
}
const statusOf = async () => (await (await fetch(`${foreman.url}/status`)).json()) as Record<string, unknown>

test('one document: figures, judgements with their reasons, the last error, and what happened', async () => {
  await start()
  const ask = (model: string, options = {}) =>
    fetch(`${foreman.url}/api/generate`, {
      method: 'POST',
      body: JSON.stringify({ model, prompt: 'hi', stream: false, options }),
    })
  expect((await ask('tiny')).status).toBe(200)
  simulator.fault({ kind: 'error-before', text: 'bad words', status: 400, path: '/api/generate', times: 1 })
  expect((await ask('tiny')).status).toBe(400)
  expect(await statusOf()).toMatchObject({
    status: 'ok',
    ollama_running: true,
    model_loaded: ['tiny:latest'],
    health: 'slow',
    restarts: 1,
    latency_ms: null,
    inference_count: 1,
    last_error: { code: 'refused', model: 'tiny', job_id: expect.any(String) },
    reasons: { health: 'one token took 7 s' },
    alarms: [{ name: 'memory' }],
    lately: [
      { name: 'restarted', state: 'happened' },
      { name: 'memory', state: 'raised' },
    ],
  })
})

test('it is behind the token, and foreman status brings it', async () => {
  await start({ FOREMAN_TOKEN: 'sesame' })
  expect((await fetch(`${foreman.url}/status`)).status).toBe(401)
  const health = (await (await fetch(`${foreman.url}/healthz`)).json()) as object
  expect(Object.keys(health).filter((name) => name === 'parts' || name === 'alarms')).toEqual([])
  const io = createIo({ FOREMAN_URL: foreman.url, FOREMAN_TOKEN: 'sesame' })
  expect(await runCommandLine(['status', '--why'], io)).toBe(0)
  expect(io.out()).toContain('ollama holds 9 GiB of memory')
  expect(io.out()).toMatch(/\nhealth +slow: one token took 7 s\n/)
  expect(io.out()).toMatch(/\nrestarted +0s ago, happened: Ollama was restarted because/)
  expect(
    Math.max(
      ...io
        .out()
        .split('\n')
        .map((line) => line.length),
    ),
  ).toBeLessThanOrEqual(80)
})
