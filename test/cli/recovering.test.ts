/** What docs/guide/recovering.md promises to somebody at a shell: waiting through a restart, and a backup that can be restored. */
import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommandLine } from '../../src/cli/run.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { closedPort, createIo } from '../support/command-io.ts'
import { runForeman } from '../support/foreman.ts'

const model = { name: 'tiny:1b' }
const directory = () => mkdtempSync(join(tmpdir(), 'foreman-recovering-'))
const submit = ['submit', '--model', 'tiny:1b']

test('foreman wait and submit --stream bear a foreman that restarts in the middle of the job', async () => {
  const simulator = await startSimulator({ port: 0, models: [model], firstTokenMs: 150, tokensPerSecond: 100 })
  const dataDir = directory()
  const env = { FOREMAN_DATA_DIR: dataDir, FOREMAN_ADDR: `127.0.0.1:${await closedPort()}` }
  const first = await runForeman(simulator.url, env, { graceMs: 0 })
  const streaming = createIo({ FOREMAN_URL: first.url })
  const streamed = runCommandLine([...submit, '--stream', 'Why? [[n=150]]'], streaming)
  await streaming.untilOut(' ')
  const listing = createIo({ FOREMAN_URL: first.url })
  await runCommandLine(['list', '--ids'], listing)
  const id = listing.out().trim()
  const waiting = createIo({ FOREMAN_URL: first.url }, { isTerminal: true })
  const waited = runCommandLine(['wait', id], waiting)
  await waiting.untilErr('working')
  await first.stop()
  await waiting.untilErr('foreman does not answer, asking again')
  const second = await runForeman(simulator.url, env)
  expect([await streamed, await waited]).toEqual([0, 0])
  const showing = createIo({ FOREMAN_URL: second.url })
  await runCommandLine(['show', '--result', id], showing)
  expect([streaming.out(), streaming.err()]).toEqual([showing.out(), ''])
  await second.stop()
  await simulator.stop()
  rmSync(dataDir, { recursive: true })
}, 20_000)

test.skipIf(Bun.which('sqlite3') === null)(
  'a backup taken with sqlite3 while foreman runs is a queue that another foreman finishes',
  async () => {
    const [from, to] = [directory(), directory()]
    const asleep = await runForeman(`http://127.0.0.1:${await closedPort()}`, { FOREMAN_DATA_DIR: from })
    const io = createIo({ FOREMAN_URL: asleep.url })
    expect(await runCommandLine([...submit, 'Keep this [[n=3]]'], io)).toBe(0)
    const id = io.out().trim()
    const backup = Bun.spawnSync(['sqlite3', join(from, 'foreman.db'), `.backup '${join(to, 'foreman.db')}'`])
    expect([backup.exitCode, backup.stderr.toString()]).toEqual([0, ''])
    await asleep.stop()
    const simulator = await startSimulator({ port: 0, models: [model] })
    const restored = await runForeman(simulator.url, { FOREMAN_DATA_DIR: to })
    const after = createIo({ FOREMAN_URL: restored.url })
    expect(await runCommandLine(['wait', '--timeout', '20s', id], after)).toBe(0)
    await restored.stop()
    await simulator.stop()
    rmSync(from, { recursive: true })
    rmSync(to, { recursive: true })
  },
  30_000,
)
