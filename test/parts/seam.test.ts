/** The seam for optional parts: one in a file of its own and one line, and one that fails at everything hurts nobody. */
import { afterEach, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { definePart, type PartPlan } from '../../src/engine/part.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { tally } from '../support/tally-part.ts'

let foreman: RunningForeman | undefined
let simulator: Simulator | undefined
afterEach(async () => {
  await foreman?.stop()
  await simulator?.stop()
  foreman = undefined
})

const start = async (plans: readonly PartPlan[]) => {
  simulator = await startSimulator({ models: [{ name: 'alpha' }] })
  foreman = await runForeman(simulator.url, {}, { plans })
  return foreman
}

const chat = (url: string) =>
  fetch(`${url}/api/chat`, {
    method: 'POST',
    body: JSON.stringify({ model: 'alpha', stream: false, messages: [{ role: 'user', content: 'hi' }] }),
  })

test('a part of 45 lines hears jobs, shapes calls, uses the quiet, logs, and shows itself in health and metrics', async () => {
  expect(readFileSync(join(import.meta.dir, '../support/tally-part.ts'), 'utf8').split('\n').length).toBeLessThan(50)
  const { url, logged } = await start([tally])
  await logged('greeted')
  expect((await chat(url)).status).toBe(200)
  expect(await logged('tallied')).toMatchObject({ level: 'info', model: 'alpha', done: 1 })
  const health = (await (await fetch(`${url}/healthz`)).json()) as { parts?: unknown }
  expect(health.parts).toEqual({ tally: { done: 1 } })
  expect(await (await fetch(`${url}/metrics`)).text()).toContain('\nforeman_tallied_total 1\n')
  const [resident] = simulator?.residents() ?? []
  const leftMs = Date.parse(resident?.expiresAt ?? '') - Date.now()
  expect(Math.round(leftMs / 60_000)).toBe(7)
})

test('without it nothing of it is left', async () => {
  const { url } = await start([])
  expect((await chat(url)).status).toBe(200)
  const health = (await (await fetch(`${url}/healthz`)).json()) as { parts?: unknown }
  expect(health.parts).toBeUndefined()
  expect(await (await fetch(`${url}/metrics`)).text()).not.toContain('tallied')
})

test('a part that throws whenever it is told, asked or stopped touches no call', async () => {
  const fail = () => {
    throw new Error('this part is broken')
  }
  const broken = definePart({
    name: 'broken',
    settings: {},
    create: async ({ bus, target, admission }) => {
      bus.onAny('broken', fail)
      target.onPolled(fail)
      target.onReachability(fail)
      admission.use(fail)
      return { start: fail, stop: fail, status: fail, metrics: fail }
    },
  })
  const unborn = definePart({ name: 'unborn', settings: {}, create: async () => fail() })
  let stopped = false
  const last = definePart({
    name: 'last',
    settings: {},
    create: async () => ({
      start: () => undefined,
      async stop() {
        stopped = true
      },
    }),
  })
  const { url, logged } = await start([broken, unborn, last])
  for (let i = 0; i < 20; i++) expect((await chat(url)).status).toBe(200)
  expect(await logged('handler_failed')).toMatchObject({ listener: 'broken' })
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  expect((await fetch(`${url}/metrics`)).status).toBe(200)
  simulator?.fault({ kind: 'refuse' })
  const waiting = chat(url)
  await logged('target_unreachable')
  simulator?.fault(null)
  expect((await waiting).status).toBe(200)
  await foreman?.stop()
  expect(stopped).toBe(true)
})

test('a handler that throws at every event of 10,000 jobs: no job is touched, every throw is counted', async () => {
  let thrown = 0
  const bench = createBench({
    tolerant: true,
    part: ({ bus }) => {
      bus.onAny('broken', () => {
        thrown++
        throw new Error('at every event')
      })
      return { start: () => undefined, stop: async () => undefined }
    },
  })
  const jobs = 10_000
  for (let i = 0; i < jobs; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, j) => bench.submit(`j${i + j}`)))
    await bench.until(() => bench.eventsOf('job_done').length === i + 100)
  }
  expect(bench.store.rows().filter(({ state, attempt }) => state !== 'done' || attempt !== 1)).toEqual([])
  // The recovery at start was told before the part came.
  const told = bench.events.length - 1
  expect([bench.bus.failures, thrown]).toEqual([told, told])
  figure('seam', `${jobs} jobs beside a handler that throws at every event`, `0 touched, ${thrown} throws counted`)
  await bench.close()
}, 60_000)
