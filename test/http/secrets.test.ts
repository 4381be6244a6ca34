/** S2: what a client says and what opens doors stays out of every log line, error and metric, whatever goes wrong. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type Fault, type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { generation, generationPaths } from '../support/generation-call.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { askOnce, type WireAnswer } from '../support/wire-client.ts'

const canaries = {
  token: 'canary-client-token',
  ollamaToken: 'canary-target-token',
  webhookSecret: 'canary-webhook-secret',
  prompt: 'canary-prompt',
} as const

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  foreman = await runForeman(
    simulator.url,
    {
      FOREMAN_TOKEN: canaries.token,
      FOREMAN_OLLAMA_TOKEN: canaries.ollamaToken,
      FOREMAN_WEBHOOK_SECRET: canaries.webhookSecret,
      FOREMAN_UNREACHABLE_DEADLINE: '3s',
      FOREMAN_MAX_BODY: '4KiB',
      FOREMAN_LOG_LEVEL: 'debug',
    },
    { clock: createHastyClock(30) },
  )
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const key = `Authorization: Bearer ${canaries.token}`
const prompt = `${canaries.prompt} [[n=3]]`

const troubles: Fault[] = [
  { kind: 'reset', phase: 'before-headers' },
  { kind: 'reset', phase: 'mid-body' },
  { kind: 'truncate', chunks: 0 },
  { kind: 'malformed-chunk', chunks: 1 },
  { kind: 'error-mid-stream', text: 'boom' },
  { kind: 'oom' },
  { kind: 'status', status: 503, retryAfter: 1 },
  { kind: 'refuse' },
]

const badRequests = [
  post('/api/chat', `{"model":"tiny","messages":"${canaries.prompt}"}`, [key]),
  post('/api/chat', `{"model":"tiny","prompt":"${canaries.prompt}`, [key]),
  post('/api/generate', `{"model":"tiny","format":"x","prompt":"${canaries.prompt}"}`, [key]),
  post('/api/generate', `{"model":"tiny","prompt":"${canaries.prompt}","options":{"num_ctx":"x"}}`, [key]),
  post('/api/chat', canaries.prompt, [key]),
  post('/api/chat', { model: 'nope', messages: [{ role: 'user', content: canaries.prompt }] }, [key]),
  post('/api/chat', { model: 'tiny', messages: [{ role: 'user', content: canaries.prompt.repeat(1_000) }] }, [key]),
  post('/api/chat', { model: 'tiny', prompt: canaries.prompt }, ['Authorization: Bearer wrong']),
  post('/jobs', { model: 'tiny', prompt: canaries.prompt, nonsense: canaries.prompt }, [key]),
]

test('no canary comes out of logs, errors or metrics', async () => {
  const errors: WireAnswer[] = []
  const ask = async (request: string) => {
    const answer = await askOnce(foreman.port, request)
    if (answer.status >= 400) errors.push(answer)
    return answer
  }
  for (const request of badRequests) await ask(request)
  for (const fault of troubles) {
    for (const path of generationPaths) {
      simulator.fault({ ...fault, path: '*' })
      await ask(generation(path, { stream: true, prompt }, [key]))
      simulator.fault(null)
    }
  }
  expect((await ask(generation('/api/chat', { stream: true, prompt }, [key]))).status).toBe(200)
  const metrics = (await ask(get('/metrics', [key]))).body.toString()
  const health = (await ask(get('/healthz'))).body.toString()
  const spoken = [...foreman.lines, metrics, health, ...errors.map(({ body }) => body.toString())]
  const hits = Object.values(canaries).flatMap((canary) => spoken.filter((text) => text.includes(canary)))
  figure('S2', `${hits.length} canaries in ${foreman.lines.length} log lines, ${errors.length} errors and the metrics`)
  expect(hits).toEqual([])
  expect(errors.length).toBeGreaterThan(20)
}, 60_000)
