/** The executable in front of a simulator: pins, context, idle unload and the lost GPU, as a person would see them. */
import { afterEach, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../../src/simulator/simulator.ts'
import { type Spawned, spawnBinary } from '../../support/binary.ts'
import { createLeftovers } from '../../support/leftovers.ts'
import { eventually } from '../../support/patience.ts'

const { directory, kept } = createLeftovers()
let simulator: Simulator | undefined
afterEach(() => simulator?.stop())

const start = async (env: Record<string, string>) => {
  simulator = await startSimulator({ models: [{ name: 'pin' }, { name: 'big' }], maxLoadedModels: 2, loadMs: 20 })
  const foreman = kept(
    await spawnBinary(['serve'], {
      env: {
        FOREMAN_ADDR: '127.0.0.1:0',
        FOREMAN_OLLAMA_URL: simulator.url,
        FOREMAN_DATA_DIR: directory(),
        FOREMAN_POLL_INTERVAL: '200ms',
        ...env,
      },
    }),
  )
  const { url } = await foreman.logged('serving')
  return { foreman, url: String(url), target: simulator }
}

const post = async (url: string, body: object) => {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  await response.text()
  return response.status
}
const statusOf = async (foreman: Spawned, url: string) => {
  const asked = kept(await spawnBinary(['status'], { env: { FOREMAN_URL: url } }))
  await asked.exited
  return [...asked.lines, foreman.stderr()].join('\n')
}

test('a pin comes back, everybody has the target’s context, what is idle goes, and status tells of it', async () => {
  const { foreman, url, target } = await start({
    FOREMAN_PIN: 'pin',
    FOREMAN_NUM_CTX: 'pin=8192,*=drop',
    FOREMAN_IDLE_UNLOAD: '1s',
  })
  const loaded = (...names: string[]) =>
    eventually(15_000, `${names} to be loaded`, async () =>
      target
        .residents()
        .map(({ name }) => name)
        .sort()
        .join() === names.join()
        ? true
        : null,
    )
  await loaded('pin:latest')
  expect(target.residents()).toMatchObject([{ contextLength: 8192, expiresAt: null }])
  expect(await post(`${target.url}/api/generate`, { model: 'pin', keep_alive: 0 })).toBe(200)
  await loaded('pin:latest')
  const { loads } = target.counters()
  const messages = [{ role: 'user', content: 'hi [[n=2]]' }]
  for (const num_ctx of [2048, 16_384])
    expect(await post(`${url}/api/chat`, { model: 'big', messages, options: { num_ctx } })).toBe(200)
  expect(await post(`${url}/v1/chat/completions`, { model: 'big', messages })).toBe(200)
  expect(target.counters().loads).toBe(loads + 1)
  await loaded('pin:latest')
  await foreman.logged('idle_unloaded')
  const told = await statusOf(foreman, url)
  expect(told).toContain('idle_unload')
  expect(told).toContain('pins')
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toContain('foreman_pin_loaded{model="pin:latest"} 1\n')
  expect(metrics).toContain('foreman_idle_unloads_total 1\n')
}, 60_000)

test('a GPU that becomes a CPU takes the target down with FOREMAN_REQUIRE_GPU', async () => {
  const { foreman, url, target } = await start({ FOREMAN_REQUIRE_GPU: 'true' })
  expect(await post(`${url}/api/generate`, { model: 'big', prompt: 'hi [[n=2]]' })).toBe(200)
  await eventually(10_000, 'the model to be seen', async () => {
    const health = (await (await fetch(`${url}/healthz`)).json()) as { target: { resident: string[] } }
    return health.target.resident.length > 0 ? true : null
  })
  // Two polls at least have seen it whole.
  await target.waitFor(({ requests }) => (requests['/api/ps'] ?? 0) >= 6)
  target.set({ gpuShare: 0 })
  expect(await foreman.logged('gpu_lost')).toMatchObject({ model: 'big:latest', by: 'memory' })
  await eventually(5_000, 'the target to be down', async () => {
    const health = (await (await fetch(`${url}/healthz`)).json()) as { target: { reachable: boolean } }
    return health.target.reachable ? null : true
  })
}, 60_000)
