/** foreman ensure in front of a real foreman and a target with and without a registry. */
import { afterEach, expect, test } from 'bun:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { createIo, type TestIoOptions } from '../support/command-io.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'

let simulator: Simulator
let foreman: RunningForeman
afterEach(async () => {
  await foreman.stop()
  await simulator.stop()
})

const start = async (options: SimulatorOptions) => {
  simulator = await startSimulator(options)
  foreman = await runForeman(simulator.url)
}
const ensure = async (args: string[], options: TestIoOptions = {}) => {
  const io = createIo({ FOREMAN_URL: foreman.url }, options)
  const code = await runCommandLine(['ensure', ...args], io)
  return { code, out: io.out(), err: io.err() }
}
const asked = (path: string) => simulator.counters().requests[path] ?? 0

test('what is on the disk needs no registry: exit 0, and the registry is not asked', async () => {
  await start({ registry: 'offline', models: [{ name: 'tiny', parameterSize: '1.2B' }] })
  const { code, out, err } = await ensure(['tiny:latest'])
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(/^MODEL +HOW +SIZE +PARAMETERS +QUANTIZATION +ANSWERED IN\ntiny:latest +there .+ \d\.\d s\n$/)
  expect(asked('/api/pull')).toBe(0)
})

test('missing and no registry: one sentence, exit 1, and foreman goes on serving', async () => {
  await start({ registry: 'offline', models: [{ name: 'tiny' }] })
  const { code, out, err } = await ensure(['qwen3:14b', 'tiny'])
  expect(code).toBe(1)
  expect(err).toMatch(/^foreman: qwen3:14b is missing and the registry cannot be reached: .+no such host\n$/)
  expect(out).toContain('tiny')
  const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], stream: false }
  expect((await fetch(`${foreman.url}/api/chat`, { method: 'POST', body: JSON.stringify(chat) })).status).toBe(200)
})

test('what is missing is pulled once, with progress on a terminal, and tried out', async () => {
  await start({ models: [{ name: 'tiny' }] })
  const { code, err } = await ensure(['fresh'], { isTerminal: true })
  expect(code).toBe(0)
  expect(err).toContain('fresh: 2.0 GB of 2.0 GB (100 %)')
  expect(err).toContain('fresh: trying it out')
  expect(asked('/api/pull')).toBe(1)
  expect(asked('/api/generate')).toBeGreaterThan(0)
  const again = await ensure(['fresh', '--json', '--no-verify'])
  expect(JSON.parse(again.out)).toMatchObject({ model: 'fresh', how: 'there', verified_ms: null })
  expect(asked('/api/pull')).toBe(1)
})

test('a download that breaks off goes on', async () => {
  await start({ models: [] })
  simulator.fault({ kind: 'truncate', chunks: 5, times: 1, path: '/api/pull' })
  const { code, out, err } = await ensure(['fresh', '--json', '--no-verify'])
  expect([err, code, out === '' ? null : JSON.parse(out).how]).toEqual(['', 0, 'pulled'])
  expect(asked('/api/pull')).toBe(2)
}, 20_000)

test('a name that the registry does not have is not asked for again', async () => {
  await start({ models: [] })
  const { code, err } = await ensure(['nope-never'])
  expect([code, err]).toEqual([1, 'foreman: nope-never cannot be pulled: pull model manifest: file does not exist\n'])
  expect(asked('/api/pull')).toBe(1)
})

test('a Modelfile: its base is pulled, its parameters go along, and what is wrong in it has its line', async () => {
  await start({ models: [] })
  const files = {
    '/etc/terse.Modelfile': 'FROM base-model\nPARAMETER num_ctx 2048\nSYSTEM Be terse.',
    '/bad': 'FROM a\nTOP_K 1',
  }
  const { code, out } = await ensure(['terse=/etc/terse.Modelfile', '--json'], { files })
  expect([code, JSON.parse(out).how]).toEqual([0, 'created'])
  expect([asked('/api/pull'), asked('/api/create')]).toEqual([1, 1])
  const bad = await ensure(['other=/bad'], { files })
  expect([bad.code, bad.err]).toEqual([1, expect.stringContaining('/bad: line 2: a command must be one of')])
  const gone = await ensure(['other=/none'], { files })
  expect(gone.err).toContain('its Modelfile /none cannot be read')
})

test('weights beside a Modelfile are given to the target once', async () => {
  await start({ models: [] })
  const files = { '/m/Modelfile': 'FROM ./weights.gguf', '/m/./weights.gguf': 'GGUF weights' }
  const { err } = await ensure(['mine=/m/Modelfile', '--no-verify'], { files })
  const digest = `sha256:${new Bun.CryptoHasher('sha256').update('GGUF weights').digest('hex')}`
  expect(asked(`/api/blobs/${digest}`)).toBe(2)
  // The simulator makes models of models alone; what reached it is what counts.
  expect(err).toContain('cannot be created from /m/Modelfile')
})

test('what does not work although it is there is said', async () => {
  await start({ models: [{ name: 'tiny' }] })
  simulator.fault({ kind: 'error-before', text: 'unable to load model: blobs/sha256-1', path: '/api/generate' })
  const { code, err } = await ensure(['tiny'])
  expect(code).toBe(1)
  expect(err).toContain('tiny is there and does not work')
})
