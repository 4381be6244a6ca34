/** The compiled executable by itself: an empty directory, an empty environment, and nobody else's settings. */
import { expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../../package.json' with { type: 'json' }
import { exitCode } from '../../src/cli/command.ts'
import { binaryPath, type Spawned, spawnBinary } from '../support/binary.ts'
import { figure } from '../support/figures.ts'
import { createLeftovers } from '../support/leftovers.ts'
import { chat, prompt, spread } from '../support/lives.ts'
import { eventually } from '../support/patience.ts'

const { directory, kept } = createLeftovers()

const run = async (args: readonly string[], env: Record<string, string> = {}, cwd = directory()): Promise<Spawned> =>
  kept(await spawnBinary(args, { env, cwd }))

const own = (env: Record<string, string> = {}) => ({
  FOREMAN_ADDR: '127.0.0.1:0',
  FOREMAN_OLLAMA_URL: 'http://127.0.0.1:9',
  FOREMAN_DATA_DIR: directory(),
  ...env,
})

test('version and help work in an empty directory with an empty environment and leave nothing there', async () => {
  const cwd = directory()
  const about = await run(['version'], {}, cwd)
  expect(await about.exited).toBe(exitCode.ok)
  expect(about.lines[0]).toStartWith(`foreman ${version} (bun `)
  const overview = await run(['--help'], {}, cwd)
  expect(await overview.exited).toBe(exitCode.ok)
  for (const verb of ['serve', 'simulate', 'status', 'models', 'healthcheck', 'version'])
    expect(overview.lines.filter((line) => line.startsWith(`  ${verb} `))).toHaveLength(1)
  const help = await run(['serve', '--help'], {}, cwd)
  expect(await help.exited).toBe(exitCode.ok)
  expect(help.lines.join('\n')).toContain('FOREMAN_OLLAMA_URL')
  expect(readdirSync(cwd)).toEqual([])
})

test('without any place for its data it says which setting is missing', async () => {
  const serve = await run(['serve'])
  expect(await serve.exited).toBe(exitCode.usage)
  expect(serve.stderr()).toMatch(/^foreman: FOREMAN_DATA_DIR is not set and has no default here: .*\n$/)
})

test('it serves from an empty directory with nothing but its own settings, and writes only its data', async () => {
  const cwd = directory()
  const env = own()
  const serve = await run(['serve'], env, cwd)
  const { url } = await serve.logged('serving')
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  expect(await (await fetch(`${url}/`)).text()).toBe('Ollama is running')
  serve.kill('SIGINT')
  expect(await serve.exited).toBe(exitCode.ok)
  expect(serve.stderr()).toBe('')
  expect(readdirSync(cwd)).toEqual([])
  expect(readdirSync(env.FOREMAN_DATA_DIR).sort()).toEqual(['foreman.db', 'foreman.lock'])
})

test('.env and bunfig.toml of the current directory mean nothing to it', async () => {
  const cwd = directory()
  writeFileSync(join(cwd, '.env'), 'FOREMAN_MAX_QUEUE=none\nFOREMAN_LOG_LEVEL=shout\n')
  writeFileSync(join(cwd, 'bunfig.toml'), 'preload = ["./missing.ts"]\n')
  const about = await run(['version'], {}, cwd)
  expect(await about.exited).toBe(exitCode.ok)
  const serve = await run(['serve'], own(), cwd)
  await serve.logged('serving')
  serve.kill('SIGTERM')
  expect(await serve.exited).toBe(exitCode.ok)
})

test('it checks queries and headers as the source does: minified names once made it take what is out of bounds', async () => {
  const serve = await run(['serve', '--simulate'], own())
  const { url } = await serve.logged('serving')
  const status = async (path: string, init: RequestInit = {}) => (await fetch(`${url}${path}`, init)).status
  for (const query of [
    'limit=0',
    'limit=501',
    'limit=-2',
    'limit=ten',
    'limit=1.5',
    'state=dead',
    'kind=all',
    'after=1',
  ])
    expect([query, await status(`/jobs?${query}`)]).toEqual([query, 422])
  expect(await status('/jobs?limit=500&state=done&kind=sync')).toBe(200)
  const body = JSON.stringify({ model: 'llama3.2:3b', prompt: 'hi' })
  const headers = { 'idempotency-key': 'two words' }
  expect(await status('/jobs', { method: 'POST', body, headers })).toBe(422)
  expect(await status('/jobs/x?wait=soon')).toBe(422)
  serve.kill('SIGTERM')
  expect(await serve.exited).toBe(exitCode.ok)
}, 15_000)

test('serve --simulate answers a chat without an Ollama', async () => {
  const serve = await run(['serve', '--simulate'], own())
  const { url } = await serve.logged('serving')
  const end = await chat(String(url), { ...prompt('llama3.2:3b', '[[n=2]]'), stream: false })
  expect(end).toMatchObject({ kind: 'answered', status: 200 })
  expect(end.kind === 'answered' && end.text).toContain('"done":true')
  serve.kill('SIGTERM')
  expect(await serve.exited).toBe(exitCode.ok)
}, 15_000)

test('simulate is an Ollama of its own and stops at a signal', async () => {
  const simulate = await run(['simulate', '--addr', '127.0.0.1:0', '--load', '0', '--json'])
  const url = await firstLine(simulate).then((line) => JSON.parse(line).url)
  expect(await (await fetch(`${url}/`)).text()).toBe('Ollama is running')
  expect(await chat(String(url), { ...prompt('llama3.2:3b', '[[n=1]]'), stream: false })).toMatchObject({ status: 200 })
  simulate.kill('SIGTERM')
  expect(await simulate.exited).toBe(exitCode.ok)
}, 15_000)

/** Resolves with the first line of stdout; the process may go on. */
const firstLine = async (spawned: Spawned): Promise<string> => {
  while (spawned.lines.length === 0) await new Promise((resolve) => setImmediate(resolve))
  return spawned.lines[0] ?? ''
}

const STARTS = 7

const residentMegabytes = (pid: number): number | null => {
  const path = `/proc/${pid}/status`
  if (!existsSync(path)) return null
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(path, 'utf8'))?.[1]) / 1_000
}

test('it is small and starts fast', async () => {
  const startsMs: number[] = []
  let idleMegabytes: number | null = null
  for (let i = 0; i < STARTS; i++) {
    const serve = await run(['serve'], own())
    const { url } = await serve.logged('serving')
    await (await fetch(`${url}/readyz`, { keepalive: false })).text()
    startsMs.push(performance.now() - serve.spawnedAt)
    idleMegabytes = residentMegabytes(serve.pid)
    serve.kill('SIGTERM')
    await serve.exited
  }
  const sizeMegabytes = Bun.file(await binaryPath()).size / 1e6
  figure('start', `to first answer: ${spread(startsMs)}`)
  if (idleMegabytes !== null) figure('start', `idle memory: ${idleMegabytes.toFixed(0)} MB`)
  figure('start', `executable: ${sizeMegabytes.toFixed(0)} MB`)
  expect(Math.max(...startsMs)).toBeLessThan(1_000)
  expect(idleMegabytes ?? 0).toBeLessThan(150)
  expect(sizeMegabytes).toBeLessThan(150)
})

test('its log is moved by a thread of its own, which does not hold up a stop', async () => {
  const env = own()
  const serve = await run(['serve'], env)
  const { url } = await serve.logged('serving')
  const size = (name: string) => statSync(join(env.FOREMAN_DATA_DIR, name)).size
  const body = JSON.stringify(prompt('m', 'x'.repeat(256 * 1024)))
  // Of 8 MB the event loop itself would move nothing before the log has 16.
  const submits = Array.from({ length: 32 }, () => fetch(`${url}/jobs`, { method: 'POST', body }))
  for (const { status } of await Promise.all(submits)) expect(status).toBe(202)
  await eventually(10_000, 'the thread has moved them', async () => size('foreman.db') > 4 * 1024 ** 2 || null)
  expect(size('foreman.db-wal')).toBeLessThan(16 * 1024 ** 2)
  const stoppedMs = performance.now()
  serve.kill('SIGTERM')
  expect(await serve.exited).toBe(exitCode.ok)
  figure('L1', `stop beside the thread: ${(performance.now() - stoppedMs).toFixed(0)} ms`)
  expect(serve.stderr()).toBe('')
})
