/** A clock that is set under a running foreman: what people are shown is what their clocks showed, and nothing is swept or held for it. */
import { afterEach, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/domain/clock.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { type Receiver, startReceiver } from '../support/receiver.ts'
import { temporaryDirectory } from '../support/store.ts'

const YEAR_MS = 365 * 24 * 3_600_000

let skewMs = 0
const clock: Clock = { ...systemClock, now: () => systemClock.now() + skewMs }
let running: RunningForeman | null = null
let simulator: Simulator | null = null
let receiver: Receiver | null = null
const directory = temporaryDirectory()
afterEach(async () => {
  await running?.stop()
  await simulator?.stop()
  await receiver?.stop()
  rmSync(directory, { recursive: true, force: true })
})

const json = async (url: string, init?: RequestInit) =>
  (await (await fetch(url, init)).json()) as Record<string, string>

/** A job but for how far its receiver has been told, which goes on meanwhile. */
const shown = async (url: string) => {
  const { webhook: _, ...job } = await json(url)
  return job
}

test('jobs keep the times that were shown, new ones and signatures have those of the new clock', async () => {
  simulator = await startSimulator({ models: [{ name: 'alpha' }] })
  receiver = startReceiver()
  const target = simulator.url
  const hook = receiver.url
  const start = () =>
    runForeman(target, { FOREMAN_DATA_DIR: directory, FOREMAN_WEBHOOK_SECRET: '0123456789abcdef0123' }, { clock })
  const submit = async (url: string) => {
    const body = JSON.stringify({ model: 'alpha', prompt: 'Why?', state_webhook_url: hook })
    const { job_id } = await json(`${url}/jobs`, { method: 'POST', body })
    return await shown(`${url}/jobs/${job_id}?wait=10s`)
  }
  running = await start()
  const before = await submit(running.url)
  const jumps = [YEAR_MS, -2 * YEAR_MS]
  for (const jumpMs of jumps) {
    skewMs += jumpMs
    const after = await submit(running.url)
    expect(after['state']).toBe('done')
    expect(Math.abs(Date.parse(after['created_at'] ?? '') - clock.now())).toBeLessThan(10_000)
    expect(await shown(`${running.url}/jobs/${before['id']}`)).toEqual(before)
    for (const { headers } of await receiver.told(after['id'] ?? ''))
      expect(Math.abs(Number(headers.get('webhook-timestamp')) * 1_000 - clock.now())).toBeLessThan(10_000)
    // Jumps again while nobody looks.
    skewMs += jumpMs
    await running.stop()
    running = await start()
    expect(await shown(`${running.url}/jobs/${before['id']}`)).toEqual(before)
    // Its model was looked up, so that there was a poll.
    await submit(running.url)
    const { last_poll } = await json(`${running.url}/healthz`)
    expect(Math.abs(Date.parse(last_poll ?? '') - clock.now())).toBeLessThan(10_000)
  }
})
