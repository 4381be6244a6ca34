/** Jobs and their webhooks across stops, kills and a target that sleeps: what was owed before is owed and told after. */
import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { healthIs, polled } from '../support/health.ts'
import { chat, type JobsClient, jobsClient } from '../support/jobs-client.ts'
import { eventually } from '../support/patience.ts'
import { firstOf, startReceiver, statesOf } from '../support/receiver.ts'
import { transcriptModels } from '../support/transcript-models.ts'

let cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  cleanUps = []
})

const directory = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'foreman-restart-'))
  cleanUps.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const simulated = async (options: Parameters<typeof startSimulator>[0] = {}): Promise<Simulator> => {
  const simulator = await startSimulator({ models: transcriptModels, ...options })
  cleanUps.push(simulator.stop)
  return simulator
}

const started = async (
  target: string,
  env: Record<string, string> = {},
): Promise<{ foreman: RunningForeman; jobs: JobsClient }> => {
  const foreman = await runForeman(target, env)
  cleanUps.push(foreman.stop)
  return { foreman, jobs: jobsClient(foreman) }
}

test('webhooks that a receiver did not take before a stop are told after the next start, each once and in order', async () => {
  const FOREMAN_DATA_DIR = directory()
  const { url } = await simulated()
  let isOpen = false
  const receiver = startReceiver(() => (isOpen ? 200 : 503))
  cleanUps.push(receiver.stop)
  const first = await started(url, { FOREMAN_DATA_DIR })
  await polled(first.foreman)
  const ids = await Promise.all(
    Array.from({ length: 20 }, () => first.jobs.submit(chat('[[n=1]]', { state_webhook_url: receiver.url }))),
  )
  for (const id of ids) await first.jobs.finished(id)
  await receiver.until('a try of each', () => new Set(receiver.receipts.map(({ body }) => body.job_id)).size === 20)
  await first.foreman.stop()
  expect(receiver.receipts.every(({ status, body }) => status === 503 && body.sequence === 1)).toBe(true)
  isOpen = true
  const second = await started(url, { FOREMAN_DATA_DIR })
  const told = await Promise.all(ids.map((id) => receiver.told(id)))
  for (const receipts of told) expect(statesOf(receipts)).toEqual(statesOf(told[0] ?? []))
  expect(statesOf(told[0] ?? [])).toEqual(['queued', 'loading', 'working', 'done'])
  expect(receiver.receipts.filter(({ status }) => status === 200)).toHaveLength(80)
  for (const id of ids) expect((await second.jobs.show(id)).state).toBe('done')
}, 30_000)

test('the key of a submit names the same job after a restart', async () => {
  const FOREMAN_DATA_DIR = directory()
  const { url } = await simulated()
  const key = { 'idempotency-key': 'nightly-1' }
  const first = await started(url, { FOREMAN_DATA_DIR })
  await polled(first.foreman)
  const id = await first.jobs.submit(chat('once'), key)
  await first.foreman.stop()
  const second = await started(url, { FOREMAN_DATA_DIR })
  expect(await second.jobs.submit(chat('once'), key)).toBe(id)
  const { status, json } = await second.jobs.call('POST', '/jobs', {
    body: JSON.stringify(chat('twice')),
    headers: key,
  })
  expect({ status, code: json['code'] }).toEqual({ status: 422, code: 'idempotency-conflict' })
  expect((await second.jobs.call('GET', '/jobs?limit=10')).json['jobs']).toHaveLength(1)
})

test('a stop with a job on the worker puts it back with its attempt, and the webhook tells both halves', async () => {
  const FOREMAN_DATA_DIR = directory()
  const simulator = await simulated()
  const receiver = startReceiver()
  cleanUps.push(receiver.stop)
  const first = await runForeman(simulator.url, { FOREMAN_DATA_DIR }, { graceMs: 50 })
  await polled(first)
  const jobs = jobsClient(first)
  const id = await jobs.submit(chat('[[silent=1500]] [[n=1]]', { state_webhook_url: receiver.url }))
  await jobs.reaches(id, 'working')
  await receiver.until('it works', () => receiver.taken(id).length === 3)
  await first.stop()
  const second = await started(simulator.url, { FOREMAN_DATA_DIR })
  const told = firstOf(await receiver.told(id))
  expect(statesOf(told)).toEqual(['queued', 'loading', 'working', 'queued', 'loading', 'working', 'done'])
  expect(told.map(({ body }) => body.attempt)).toEqual([0, 1, 1, 0, 1, 1, 1])
  expect((await second.jobs.show(id)).attempt).toBe(1)
}, 20_000)

test('a stop sends away who waits for a job or follows it, and does not wait for a receiver that hangs', async () => {
  const simulator = await simulated()
  const receiver = startReceiver(() => new Promise<never>(() => undefined))
  cleanUps.push(receiver.stop)
  const foreman = await runForeman(simulator.url, {}, { graceMs: 300 })
  await polled(foreman)
  const jobs = jobsClient(foreman)
  const id = await jobs.submit(chat('[[silent=60000]]', { state_webhook_url: receiver.url }))
  await jobs.reaches(id, 'working')
  const waiting = jobs.call('GET', `/jobs/${id}?wait=60s`)
  const following = fetch(`${foreman.url}/jobs/${id}/events`).then((answer) => answer.text())
  await receiver.until('the first webhook', (receipts) => receipts.length === 1)
  const startedMs = performance.now()
  await foreman.stop()
  const tookMs = performance.now() - startedMs
  figure(
    'W5',
    `stop with a running job, a waiter, a follower and a hanging receiver, grace 300 ms: ${tookMs.toFixed(0)} ms`,
  )
  expect(tookMs).toBeLessThan(1_500)
  expect(await waiting).toMatchObject({ status: 200, json: { state: 'queued', attempt: 0 } })
  const states = [...(await following).matchAll(/"state":"(\w+)"/g)].map(([, state]) => state)
  expect(states).toEqual(['queued', 'loading', 'working', 'queued'])
})

test('jobs wait for a target that sleeps as long as it takes, and are done once it wakes', async () => {
  const simulator = await simulated()
  const receiver = startReceiver()
  cleanUps.push(receiver.stop)
  const { foreman, jobs } = await started(simulator.url, { FOREMAN_POLL_INTERVAL: '1s' })
  await polled(foreman)
  simulator.fault({ kind: 'refuse' })
  await healthIs(foreman, 'it is seen to be away', ({ target }) => !target.reachable)
  const ids = await Promise.all(
    Array.from({ length: 10 }, () => jobs.submit(chat('[[n=1]]', { state_webhook_url: receiver.url }))),
  )
  const { status, json } = await jobs.call('GET', `/jobs/${ids[0]}?wait=1s`)
  expect({ status, state: json['state'], attempt: json['attempt'], eta: json['eta_seconds'] }).toEqual({
    status: 200,
    state: 'queued',
    attempt: 0,
    eta: null,
  })
  simulator.fault(null)
  for (const id of ids) {
    expect(await jobs.finished(id)).toMatchObject({ state: 'done', attempt: 1, error: null })
    expect(statesOf(await receiver.told(id)).at(-1)).toBe('done')
  }
  await eventually(5_000, 'nothing owed', async () =>
    (await (await fetch(`${foreman.url}/metrics`)).text()).includes('foreman_webhooks_owed 0\n') ? true : null,
  )
}, 30_000)
