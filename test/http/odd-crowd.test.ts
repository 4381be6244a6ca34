/** Twenty clients that send whatever comes to their minds, beside four honest ones: the honest ones must not notice. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure, seedOf } from '../support/figures.ts'
import { generation, seenBy } from '../support/generation-call.ts'
import { eventually } from '../support/patience.ts'
import { get, post } from '../support/raw-client.ts'
import { type SpawnedForeman, spawnForeman } from '../support/spawned-foreman.ts'
import { askOnce, openClient } from '../support/wire-client.ts'

const REQUESTS = Number(process.env['FOREMAN_TEST_ODD_REQUESTS'] ?? 10_000)
const HONEST_CLIENTS = 4
// Long enough for a 99th percentile.
const QUIET_MS = 3_000

let simulator: Simulator
let foreman: SpawnedForeman

beforeAll(async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }, { name: 'embed', capabilities: ['embedding'] }] })
  foreman = await spawnForeman(simulator.url)
}, 60_000)
afterAll(async () => {
  await foreman.kill()
  await simulator.stop()
})

interface Honest {
  readonly latencies: number[]
  readonly errors: string[]
}

/** Asks for this and that until `isOver`. */
const honest = async (isOver: () => boolean): Promise<Honest> => {
  const seen: Honest = { latencies: [], errors: [] }
  const client = await openClient(foreman.port)
  for (let turn = 0; !isOver(); turn++) {
    const startedAt = performance.now()
    const isChat = turn % 2 === 0
    const request = isChat ? generation('/api/chat', { stream: true, prompt: '[[n=2]]' }) : get('/api/tags')
    const answer = await client.send(request).answer
    seen.latencies.push(performance.now() - startedAt)
    const isGood = isChat ? seenBy('/api/chat', true, answer) === 'done' : answer.status === 200
    if (!isGood) seen.errors.push(`${answer.status} ${answer.body.toString().slice(0, 200)}`)
  }
  client.drop()
  return seen
}

const crowd = async (isOver: () => boolean) => {
  const all = await Promise.all(Array.from({ length: HONEST_CLIENTS }, () => honest(isOver)))
  const sorted = all.flatMap(({ latencies }) => latencies).toSorted((a, b) => a - b)
  return {
    errors: all.flatMap(({ errors }) => errors),
    p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    count: sorted.length,
  }
}

const MB = 1024 ** 2
/** Over after so many. */
const turns = (left: number) => () => left-- <= 0
const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`

test(`${REQUESTS} requests of odd shape hurt nobody`, async () => {
  const seed = seedOf('odd shapes')
  const send = (count: number) =>
    Bun.spawn([
      process.execPath,
      join(import.meta.dir, '../support/odd-clients.ts'),
      `${foreman.port}`,
      `${seed}`,
      `${count}`,
    ])
  // What is allocated once is there then.
  await send(500).exited
  let quietOver = false
  const quietly = crowd(() => quietOver)
  await Bun.sleep(QUIET_MS)
  quietOver = true
  const quiet = await quietly
  const rssBefore = foreman.rssBytes()
  let isOver = false
  const loud = crowd(() => isOver)
  expect(await send(REQUESTS).exited).toBe(0)
  isOver = true
  const beside = await loud
  // Everything still works: chunked, large, and one after the other.
  const large = JSON.stringify({ model: 'tiny', stream: false, prompt: `${'x'.repeat(8 * MB)}[[n=1]]` })
  expect((await askOnce(foreman.port, post('/api/generate', large))).status).toBe(200)
  const chunks = `POST /api/show HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('{"model":"tiny"}')}`
  for (let i = 0; i < 5; i++) expect((await askOnce(foreman.port, chunks)).status).toBe(200)
  const after = await honest(turns(50))
  // The collector takes its time.
  const rssAfter = await eventually(30_000, 'the memory to come back', async () => {
    await honest(turns(5))
    const now = foreman.rssBytes()
    return now <= rssBefore * 1.2 ? now : null
  })
  figure(
    'R5',
    `${REQUESTS} odd requests beside ${HONEST_CLIENTS} honest clients (${beside.count} calls): ${beside.errors.length} errors, p99 ${beside.p99.toFixed(1)} ms (quiet ${quiet.p99.toFixed(1)}), RSS ${Math.round(rssBefore / MB)} to ${Math.round(rssAfter / MB)} MB`,
  )
  expect([...quiet.errors, ...beside.errors, ...after.errors]).toEqual([])
  expect(beside.count).toBeGreaterThan(100)
}, 180_000)
