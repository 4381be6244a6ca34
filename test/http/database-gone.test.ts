/** A database that is deleted, moved or replaced under a running foreman: it says so, and promises nothing more. */
import { afterEach, expect, test } from 'bun:test'
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { temporaryDirectory } from '../support/store.ts'

let running: RunningForeman | null = null
let simulator: Simulator | null = null
afterEach(async () => {
  await running?.stop()
  await simulator?.stop()
  running = null
  simulator = null
})

const start = async () => {
  simulator = await startSimulator({ models: [{ name: 'alpha' }] })
  running = await runForeman(simulator.url)
  const { url, dataDir } = running
  const submit = () =>
    fetch(`${url}/jobs`, { method: 'POST', body: JSON.stringify({ model: 'alpha', prompt: 'Why?' }) })
  const health = async (path: string) => {
    const reply = await fetch(url + path)
    return [reply.status, ((await reply.json()) as { reason?: string }).reason ?? null]
  }
  expect((await submit()).status).toBe(202)
  return { url, submit, health, file: join(dataDir, 'foreman.db') }
}

const why = 'the database file was deleted, moved or replaced while foreman ran: put it back or restart'

test.each(['foreman.db', 'foreman.db-wal'])(
  '%s that is deleted: no job is taken, and health says why',
  async (name) => {
    const { submit, health, file } = await start()
    rmSync(file.replace('foreman.db', name))
    const refused = await submit()
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ type: expect.stringContaining('disk-full') })
    expect(await health('/readyz')).toEqual([503, why])
    expect(await health('/livez')).toEqual([503, why])
  },
)

test('a database that another file takes the place of is gone, whatever is in it', async () => {
  const { submit, health, file } = await start()
  copyFileSync(file, `${file}.copy`)
  renameSync(`${file}.copy`, file)
  expect((await submit()).status).toBe(503)
  expect((await health('/readyz'))[0]).toBe(503)
})

test('a database that is moved away and back is taken as it was, and its jobs can be read meanwhile', async () => {
  const { url, submit, health, file } = await start()
  renameSync(file, `${file}.away`)
  expect((await submit()).status).toBe(503)
  expect(((await (await fetch(`${url}/jobs`)).json()) as { jobs: unknown[] }).jobs.length).toBe(1)
  renameSync(`${file}.away`, file)
  expect(await health('/readyz')).toEqual([200, null])
  expect((await submit()).status).toBe(202)
})

test('a start on a log without its database is refused, and the log is not touched', async () => {
  const { file } = await start()
  const copy = temporaryDirectory()
  const log = readFileSync(`${file}-wal`)
  await running?.stop()
  running = null
  await Bun.write(join(copy, 'foreman.db-wal'), log)
  const path = join(copy, 'foreman.db')
  const refusal = `${path} is missing beside its -wal, which may hold accepted jobs: put it back, or remove the -wal to begin empty`
  await expect(runForeman('http://127.0.0.1:9', { FOREMAN_DATA_DIR: copy })).rejects.toThrow(refusal)
  // What the first try created is no database either.
  writeFileSync(path, '')
  await expect(runForeman('http://127.0.0.1:9', { FOREMAN_DATA_DIR: copy })).rejects.toThrow(refusal)
  expect(readFileSync(`${path}-wal`).equals(log)).toBe(true)
  rmSync(copy, { recursive: true })
})
