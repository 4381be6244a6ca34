/** What the manager's settings lead to in a real foreman: a conflict, a missing program, a file that cannot be read, a command that restarts. */
import { afterEach, expect, test } from 'bun:test'
import { join } from 'node:path'
import { type RunningForeman, runForeman } from '../../support/foreman.ts'
import { createHastyClock } from '../../support/hasty-clock.ts'
import { createLeftovers } from '../../support/leftovers.ts'
import { eventually } from '../../support/patience.ts'
import { createStandIn, freePort, type StandIn, stateOf } from '../../support/stand-in.ts'

const { directory, later } = createLeftovers()
const plan = { simulator: { models: [{ name: 'm-a' }] } }
let standIn: StandIn
afterEach(() => standIn.remove())

/** Somebody else's, until the test is over. */
const startElsewhere = async (port: number): Promise<number> => {
  const env = { PATH: process.env['PATH'] ?? '', OLLAMA_HOST: `127.0.0.1:${port}` }
  const child = Bun.spawn([standIn.path, 'serve'], { env, stdout: 'ignore', stderr: 'ignore' })
  later(() => {
    child.kill('SIGKILL')
    return child.exited
  })
  await eventually(20_000, 'it answers', () =>
    fetch(`http://127.0.0.1:${port}/`, { keepalive: false }).then(
      ({ ok }) => (ok ? true : null),
      () => null,
    ),
  )
  return child.pid
}

const foremanOn = async (port: number, env: Record<string, string>, factor = 1): Promise<RunningForeman> => {
  const clock = createHastyClock(factor)
  const dataDir = directory()
  const foreman = await runForeman(`http://127.0.0.1:${port}`, { FOREMAN_DATA_DIR: dataDir, ...env }, { clock })
  later(foreman.stop)
  return foreman
}

const generate = async ({ url }: RunningForeman): Promise<number> => {
  const body = JSON.stringify({ model: 'm-a', prompt: 'hi', stream: false })
  return (await fetch(`${url}/api/generate`, { method: 'POST', body })).status
}

test('own: a server that somebody else started is named, worked with, and left alone', async () => {
  standIn = createStandIn(plan)
  const port = freePort()
  const pid = await startElsewhere(port)
  const foreman = await foremanOn(port, { FOREMAN_MANAGE: 'own', FOREMAN_OLLAMA_BIN: standIn.path })
  const { message } = await foreman.logged('ollama_conflict')
  expect(String(message)).toContain(`port ${port} is taken by process ${pid} (`)
  expect(await generate(foreman)).toBe(200)
  await foreman.stop()
  expect(stateOf(pid)).toBe('S')
})

test.each([
  ['FOREMAN_OLLAMA_BIN', '/nowhere/ollama', 'there is no program at /nowhere/ollama: install it with'],
  ['FOREMAN_OLLAMA_ENV_FILE', '/nowhere/ollama.env', 'FOREMAN_OLLAMA_ENV_FILE cannot be read'],
])('own: %s that is not there is one sentence, and foreman serves', async (variable, value, words) => {
  standIn = createStandIn(plan)
  const env = { FOREMAN_MANAGE: 'own', FOREMAN_OLLAMA_BIN: standIn.path, [variable]: value }
  const foreman = await foremanOn(freePort(), env)
  expect(String((await foreman.logged('ollama_missing'))['message'])).toContain(words)
  expect((await fetch(`${foreman.url}/readyz`)).status).toBe(200)
  expect(standIn.diary()).toEqual([])
})

test("adopt: the owner's command restarts it, and what the command leaves running is not foreman's", async () => {
  standIn = createStandIn(plan)
  const port = freePort()
  const pid = await startElsewhere(port)
  const command = `OLLAMA_HOST=127.0.0.1:${port} ${standIn.path} serve & echo restarted`
  const env = { FOREMAN_MANAGE: 'adopt', FOREMAN_OLLAMA_RESTART_COMMAND: command }
  const foreman = await foremanOn(port, env, 60)
  expect(await generate(foreman)).toBe(200)
  process.kill(pid, 'SIGKILL')
  expect(await foreman.logged('ollama_restarted')).toMatchObject({ cause: 'hung', attempt: 1 })
  expect(await generate(foreman)).toBe(200)
  expect(await Bun.file(join(foreman.dataDir, 'ollama-restart.log')).text()).toContain('restarted')
  await foreman.stop()
  expect(standIn.living().servers.length).toBe(1)
})
