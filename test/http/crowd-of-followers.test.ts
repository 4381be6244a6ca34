/** A thousand who follow one job and never read a byte: they cost what is said, and nobody else notices. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { connect, type Socket } from 'node:net'
import { FOLLOWERS_MAX } from '../../src/http/jobs/followers.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { chat } from '../support/jobs-client.ts'
import { eventually } from '../support/patience.ts'
import { type SpawnedForeman, spawnForeman } from '../support/spawned-foreman.ts'

const FOLLOWERS = 1_000
const MB = 1024 ** 2

let simulator: Simulator
let foreman: SpawnedForeman

beforeAll(async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  foreman = await spawnForeman(simulator.url)
}, 60_000)
afterAll(async () => {
  await foreman.kill()
  await simulator.stop()
})

const ask = async (path: string, method = 'GET', body?: unknown): Promise<Record<string, unknown>> => {
  const init = { method, ...(body !== undefined && { body: JSON.stringify(body) }) }
  return (await fetch(foreman.url + path, init)).json() as Promise<Record<string, unknown>>
}
const submit = async (prompt: string) => String((await ask('/jobs', 'POST', chat(prompt)))['job_id'])

/** Asks to follow and reads no more than the status, which it gives. */
const follow = (id: string): Promise<{ socket: Socket; status: string }> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port: foreman.port, host: '127.0.0.1' })
    socket.on('error', reject)
    socket.once('data', (bytes) => {
      socket.pause()
      resolve({ socket, status: bytes.toString('latin1').slice(9, 12) })
    })
    socket.write(`GET /jobs/${id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  })

test(`${FOLLOWERS} followers that never read are bounded in number and bytes`, async () => {
  const blocker = await submit('[[silent=60000]]')
  const id = await submit('[[chunk=65536]] [[n=40]]')
  const before = foreman.rssBytes()
  const followers = await Promise.all(Array.from({ length: FOLLOWERS }, () => follow(id)))
  const count = (status: string) => followers.filter((one) => one.status === status).length
  expect([count('200'), count('503')]).toEqual([FOLLOWERS_MAX, FOLLOWERS - FOLLOWERS_MAX])
  await ask(`/jobs/${blocker}`, 'DELETE')
  expect((await ask(`/jobs/${id}?wait=60s`))['state']).toBe('done')
  const added = foreman.peakBytes() - before
  figure(
    'R3',
    `${FOLLOWERS} followers that never read 2.5 MB of events: ${FOLLOWERS_MAX} let in, foreman grew by ${Math.round(added / MB)} MB at most`,
  )
  expect(added).toBeLessThan(600 * MB)
  for (const { socket } of followers) socket.destroy()
  // Whoever left made room.
  await eventually(10_000, 'a place', async () => {
    const one = await follow(await submit('[[silent=50]]'))
    one.socket.destroy()
    return one.status === '200' ? true : null
  })
}, 120_000)
