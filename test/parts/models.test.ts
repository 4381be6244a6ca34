/** Models that have to be there: they come when they are missing, nothing is asked of a registry when they are not, and what changes or breaks is told. */
import { afterEach, expect, test } from 'bun:test'
import { models } from '../../src/parts/models/index.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { temporaryDirectory } from '../support/store.ts'

let simulator: Simulator | undefined
let foreman: RunningForeman | undefined
afterEach(async () => {
  await foreman?.stop()
  await simulator?.stop()
  foreman = undefined
})

const start = async (wanted: string, options: SimulatorOptions, env: Record<string, string> = {}, factor = 100) => {
  simulator = await startSimulator(options)
  foreman = await runForeman(
    simulator.url,
    { FOREMAN_ENSURE_MODELS: wanted, FOREMAN_POLL_INTERVAL: '30s', ...env },
    { plans: [models], clock: createHastyClock(factor) },
  )
  return { simulator, foreman }
}
const asked = (path: string) => simulator?.counters().requests[path] ?? 0
const alarms = async () =>
  ((await (await fetch(`${foreman?.url}/healthz`)).json()) as { alarms?: { name: string; words: string }[] }).alarms ??
  []

test('a missing model is pulled once at start and tried out in a quiet moment', async () => {
  const { foreman } = await start('fresh', { models: [{ name: 'tiny' }] })
  expect(await foreman.logged('model_ensured')).toMatchObject({ model: 'fresh', how: 'pulled' })
  expect(await foreman.logged('model_verified')).toMatchObject({ model: 'fresh' })
  expect(asked('/api/pull')).toBe(1)
  expect(asked('/api/generate')).toBe(1)
})

test('what is there is neither pulled nor loaded, with and without a registry', async () => {
  const { simulator } = await start('tiny', { registry: 'offline', models: [{ name: 'tiny' }] })
  await simulator.waitFor(({ requests }) => (requests['/api/tags'] ?? 0) >= 3)
  expect(asked('/api/pull')).toBe(0)
  expect(simulator.counters().loads).toBe(0)
  expect(await alarms()).toEqual([])
})

test('missing and no registry: an alarm with one sentence, asked again only after an hour, and foreman serves', async () => {
  const { foreman, simulator } = await start(
    'qwen3:14b',
    { registry: 'offline', models: [{ name: 'tiny' }] },
    {},
    1_000,
  )
  await foreman.logged('model_not_ensured')
  expect(await alarms()).toMatchObject([
    { name: 'model_missing qwen3:14b', words: expect.stringContaining('the registry cannot be reached') },
  ])
  await simulator.waitFor(({ requests }) => (requests['/api/tags'] ?? 0) >= 60)
  expect(asked('/api/pull')).toBeLessThanOrEqual(1)
  await simulator.waitFor(({ requests }) => (requests['/api/pull'] ?? 0) === 2)
  const chat = { model: 'tiny', prompt: 'hi', stream: false }
  expect((await fetch(`${foreman.url}/api/generate`, { method: 'POST', body: JSON.stringify(chat) })).status).toBe(200)
})

test('a model that vanishes is brought back once, and one that changes is told of, across a restart too', async () => {
  const dataDir = temporaryDirectory()
  const { foreman, simulator } = await start(
    'tiny',
    { models: [{ name: 'tiny' }, { name: 'other' }] },
    { FOREMAN_DATA_DIR: dataDir },
  )
  await simulator.waitFor(({ requests }) => (requests['/api/tags'] ?? 0) >= 2)
  await fetch(`${simulator.url}/api/delete`, { method: 'DELETE', body: JSON.stringify({ model: 'tiny' }) })
  expect(await foreman.logged('model_ensured')).toMatchObject({ model: 'tiny', how: 'pulled' })
  await simulator.waitFor(({ requests }) => (requests['/api/tags'] ?? 0) >= 6)
  expect(asked('/api/pull')).toBe(1)
  const before = foreman.lines.filter((line) => line.includes('"alarm":"model_changed"')).length
  await foreman.stop()
  await fetch(`${simulator.url}/api/copy`, {
    method: 'POST',
    body: JSON.stringify({ source: 'other', destination: 'tiny' }),
  })
  const again = await runForeman(
    simulator.url,
    { FOREMAN_ENSURE_MODELS: 'tiny', FOREMAN_DATA_DIR: dataDir },
    { plans: [models], clock: createHastyClock(100) },
  )
  try {
    expect(await again.logged('alarm')).toMatchObject({ alarm: 'model_changed', state: 'happened' })
  } finally {
    await again.stop()
  }
  expect(before).toBeLessThanOrEqual(1)
})

test('a model whose file is broken is replaced once the registry has answered, and works again', async () => {
  const models = [{ name: 'tiny' }, { name: 'other' }]
  const { foreman, simulator } = await start('tiny', { models }, { FOREMAN_MAX_ATTEMPTS: '1' })
  const text = 'llama-server process has terminated: exit status 1: error loading model: invalid file magic'
  simulator.fault({ kind: 'error-before', text, path: '/api/generate', times: 2 })
  await fetch(`${foreman.url}/jobs`, { method: 'POST', body: JSON.stringify({ model: 'tiny', prompt: 'hi' }) })
  expect(await foreman.logged('model_replaced')).toMatchObject({ model: 'tiny' })
  await simulator.waitFor(({ requests }) => (requests['/api/pull'] ?? 0) === 2 && (requests['/api/delete'] ?? 0) === 1)
  while ((await alarms()).length > 0) {
    const polls = asked('/api/tags')
    await simulator.waitFor(({ requests }) => (requests['/api/tags'] ?? 0) > polls)
  }
  expect(foreman.lines.some((line) => line.includes('"alarm":"model_mended"'))).toBe(true)
})

const chat = (model: string) =>
  fetch(`${foreman?.url}/api/generate`, {
    method: 'POST',
    body: JSON.stringify({ model, prompt: 'hi', stream: false }),
  })
const toldOf = (name: string) => foreman?.lines.filter((line) => line.includes(`"alarm":"${name}`)) ?? []

test('a trial gives way at once to a job, and is made again later', async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }], loadMs: 700 })
  foreman = await runForeman(
    simulator.url,
    { FOREMAN_ENSURE_MODELS: 'fresh', FOREMAN_POLL_INTERVAL: '30s' },
    { plans: [models], clock: createHastyClock(100) },
  )
  await foreman.logged('model_ensured')
  await simulator.waitFor(({ requests }) => (requests['/api/generate'] ?? 0) === 1)
  expect((await chat('tiny')).status).toBe(200)
  expect(simulator.counters().aborts).toBe(1)
  expect(await foreman.logged('model_verified')).toMatchObject({ model: 'fresh' })
  expect(toldOf('model_broken')).toEqual([])
})

test('a trial without an answer says nothing of the model, and is made again', async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  simulator.fault({ kind: 'reset', phase: 'before-headers', path: '/api/generate', times: 1 })
  foreman = await runForeman(
    simulator.url,
    { FOREMAN_ENSURE_MODELS: 'fresh' },
    { plans: [models], clock: createHastyClock(100) },
  )
  expect(await foreman.logged('model_verified')).toMatchObject({ model: 'fresh' })
  expect(toldOf('model_broken')).toEqual([])
})

test('a model that failed its trial is well again as soon as a job of it is done', async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  simulator.fault({ kind: 'error-before', text: 'model requires more memory', path: '/api/generate', times: 1 })
  foreman = await runForeman(
    simulator.url,
    { FOREMAN_ENSURE_MODELS: 'fresh' },
    { plans: [models], clock: createHastyClock(100) },
  )
  await foreman.logged('alarm')
  expect(await alarms()).toMatchObject([{ name: 'model_broken fresh' }])
  expect((await chat('fresh')).status).toBe(200)
  expect(await alarms()).toEqual([])
})

test('a model that was gone is told of when it is back, and one that goes again within the hour stays told', async () => {
  const { foreman, simulator } = await start('tiny', { models: [{ name: 'tiny' }] })
  const remove = () =>
    fetch(`${simulator.url}/api/delete`, { method: 'DELETE', body: JSON.stringify({ model: 'tiny' }) })
  await simulator.waitFor(({ requests }) => (requests['/api/tags'] ?? 0) >= 3)
  await remove()
  expect(await foreman.logged('alarm')).toMatchObject({ alarm: 'model_mended', state: 'happened' })
  await remove()
  const polls = asked('/api/tags')
  await simulator.waitFor(({ requests }) => (requests['/api/tags'] ?? 0) > polls + 3)
  expect(await alarms()).toMatchObject([{ name: 'model_missing tiny', words: expect.stringContaining('gone again') }])
  expect(asked('/api/pull')).toBe(1)
})

test('with nothing to keep nothing is asked', async () => {
  const { simulator } = await start('', { models: [{ name: 'tiny' }] })
  await simulator.waitFor(({ requests }) => (requests['/api/tags'] ?? 0) >= 3)
  expect(asked('/api/show') + asked('/api/pull') + asked('/api/generate')).toBe(0)
})
