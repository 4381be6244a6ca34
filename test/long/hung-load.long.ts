/** A load that falls silent, in front of the executable and in real time: the worker is free within FOREMAN_LOAD_TIMEOUT and a minute. */
import { expect, test } from 'bun:test'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { spawnBinary } from '../support/binary.ts'
import { figure } from '../support/figures.ts'
import { createLeftovers } from '../support/leftovers.ts'

const { directory, kept } = createLeftovers()
const TIMEOUT_S = 10

test('a silent load is given back and answered by the next try', async () => {
  const simulator = await startSimulator({ models: [{ name: 'tiny' }], loadMs: 50 })
  const env = {
    FOREMAN_ADDR: '127.0.0.1:0',
    FOREMAN_OLLAMA_URL: simulator.url,
    FOREMAN_DATA_DIR: directory(),
    FOREMAN_LOAD_TIMEOUT: `${TIMEOUT_S}s`,
  }
  const foreman = kept(await spawnBinary(['serve'], { env }))
  const { url } = await foreman.logged('serving')
  simulator.fault({ kind: 'hang-before-headers', path: '/api/generate', times: 1 })
  const beganAt = performance.now()
  const body = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hi [[n=2]]' }] })
  const response = await fetch(`${url}/api/chat`, { method: 'POST', body })
  await response.text()
  const tookS = (performance.now() - beganAt) / 1_000
  expect(response.status).toBe(200)
  expect(tookS).toBeLessThanOrEqual(TIMEOUT_S + 60)
  expect(await foreman.logged('load_hangs', 2)).toMatchObject({ model: 'tiny:latest', step: 'give-back' })
  await simulator.stop()
  figure(
    'K3',
    'a silent load before the executable',
    `answered ${(tookS - TIMEOUT_S).toFixed(0)} s after FOREMAN_LOAD_TIMEOUT`,
  )
}, 120_000)
