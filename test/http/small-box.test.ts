/** A box that gives foreman 200 MB: its default bounds follow from that, and no crowd of large bodies has it killed. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { binaryPath, temporaryDirectory } from '../support/binary.ts'
import { figure } from '../support/figures.ts'
import { createMemoryGroup } from '../support/memory-group.ts'
import { eventually } from '../support/patience.ts'

const MB = 1024 ** 2
const MEMORY = 200 * MB
const LANES = 8
const ROUNDS = 4

const group = createMemoryGroup(MEMORY)
const directory = temporaryDirectory()
let simulator: Simulator
let child: Bun.Subprocess | null = null
let url = ''

const freePort = (): number => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } })
  const { port } = listener
  listener.stop(true)
  return port
}

beforeAll(async () => {
  if (group === null) return
  simulator = await startSimulator({ models: [{ name: 'tiny' }, { name: 'embed', capabilities: ['embedding'] }] })
  const port = freePort()
  url = `http://127.0.0.1:${port}`
  child = Bun.spawn(['sh', '-c', `echo $$ > ${group.procs}; exec ${await binaryPath()} serve`], {
    env: {
      PATH: process.env['PATH'] ?? '',
      FOREMAN_ADDR: `127.0.0.1:${port}`,
      FOREMAN_OLLAMA_URL: simulator.url,
      FOREMAN_DATA_DIR: directory.path,
      FOREMAN_LOG_LEVEL: 'error',
    },
    stdout: 'ignore',
    stderr: 'ignore',
  })
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => (ok ? true : null),
      () => null,
    )
  await eventually(20_000, 'foreman to listen', isReady)
}, 60_000)
afterAll(async () => {
  child?.kill('SIGKILL')
  await child?.exited
  directory.remove()
  if (group === null) return
  group.remove()
  await simulator.stop()
})

const big = (bytes: number) => JSON.stringify({ model: 'tiny', stream: false, prompt: `${'x'.repeat(bytes)}[[n=1]]` })

// Where no group can be made the test counts as skipped, and its name says why.
describe(group === null ? 'with 200 MB (no control group can be made here)' : 'with 200 MB', () => {
  test.if(group !== null)(
    'eight lanes of the largest bodies and of larger ones are answered, and nothing is killed',
    async () => {
      const statuses: Record<string, number> = {}
      const post = async (path: string, body: string) => {
        const response = await fetch(url + path, { method: 'POST', body })
        await response.arrayBuffer()
        statuses[response.status] = (statuses[response.status] ?? 0) + 1
      }
      const lane = async (number: number) => {
        for (let round = 0; round < ROUNDS; round++) {
          await post('/api/generate', big(12 * MB))
          await post(number % 2 === 0 ? '/jobs' : '/api/chat', big(12 * MB))
          await post('/api/embed', JSON.stringify({ model: 'embed', input: 'y'.repeat(12 * MB) }))
          await post('/api/generate', big(50 * MB))
        }
      }
      await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)))
      const peak = Math.round((group?.peakBytes() ?? 0) / MB)
      figure(
        'R3',
        `${LANES} lanes of bodies of 12 MB in a group of 200 MB: ${peak} MB at most, ${JSON.stringify(statuses)}`,
      )
      const known = ['200', '202', '400', '413', '503']
      expect(Object.keys(statuses).filter((status) => !known.includes(status))).toEqual([])
      expect(statuses['200'] ?? 0).toBeGreaterThan(0)
      expect(statuses['413'] ?? 0).toBe(LANES * ROUNDS)
      expect([child?.exitCode, (await fetch(`${url}/livez`)).status]).toEqual([null, 200])
    },
    120_000,
  )
})
