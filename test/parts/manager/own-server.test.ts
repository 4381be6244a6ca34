/** A server of our own as a real process: started with its declared environment, ended with its runners, never a stranger; and an adopted one gets no signal at all. */
import { afterEach, expect, test } from 'bun:test'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createOutputFile } from '../../../src/parts/manager/output-file.ts'
import { createOwnServer, type OwnServerDeps } from '../../../src/parts/manager/own-server.ts'
import { createProcesses } from '../../../src/parts/manager/processes.ts'
import type { Server } from '../../../src/parts/manager/server.ts'
import { figure } from '../../support/figures.ts'
import { runForeman } from '../../support/foreman.ts'
import { createHastyClock } from '../../support/hasty-clock.ts'
import { createLeftovers } from '../../support/leftovers.ts'
import type { StandInPlan } from '../../support/ollama-stand-in.ts'
import { eventually } from '../../support/patience.ts'
import { createStandIn, freePort, type StandIn, stateOf } from '../../support/stand-in.ts'

const { directory, later } = createLeftovers()
let standIn: StandIn
afterEach(() => standIn.remove())

const never = new AbortController().signal
const environment = { PATH: process.env['PATH'] ?? '' }

const greeting = (port: number) =>
  eventually(20_000, 'it answers', () =>
    fetch(`http://127.0.0.1:${port}/`, { keepalive: false }).then(
      (reply) => reply.text(),
      () => null,
    ),
  )

const made = (
  plan: StandInPlan,
  more: Partial<OwnServerDeps> = {},
): { server: Server; port: number; dataDir: string } => {
  standIn = createStandIn(plan)
  const dataDir = more.dataDir ?? directory()
  const port = more.port ?? freePort()
  const mark = `OLLAMA_MANAGED_BY=foreman ${dataDir}`
  const server = createOwnServer({
    processes: createProcesses(),
    clock: createHastyClock(20),
    dataDir,
    port,
    mark,
    program: () => ({ path: standIn.path }),
    environment: () => ({
      ...environment,
      OLLAMA_HOST: `http://127.0.0.1:${port}`,
      OLLAMA_MANAGED_BY: `foreman ${dataDir}`,
    }),
    output: createOutputFile(dataDir),
    ...more,
  })
  return { server, port, dataDir }
}

/** Another stand-in on this port, that nobody of foreman's started. */
const stranger = async (port: number) => {
  const child = Bun.spawn([standIn.path, 'serve'], {
    env: { ...environment, OLLAMA_HOST: `127.0.0.1:${port}` },
    stdout: 'ignore',
    stderr: 'ignore',
  })
  later(() => {
    child.kill('SIGKILL')
    return child.exited
  })
  await greeting(port)
  return child
}

test('it is started, and ended with the runner that its end leaves over, before it is started anew', async () => {
  const { server, port } = made({ forksRunner: true, losesRunner: true })
  expect(await server.begin(never)).toEqual({ kind: 'begun', how: 'started' })
  await greeting(port)
  await eventually(5_000, 'its runner', async () => (standIn.living().runners.length === 1 ? true : null))
  const [runner = 0] = standIn.living().runners
  const { pid } = server
  expect(server.isAnswering()).toBe(true)
  expect(await server.restart(never)).toEqual({ kind: 'begun', how: 'started' })
  expect(server.pid).not.toBe(pid)
  expect([null, 'Z']).toContain(stateOf(runner))
  expect(standIn.diary().map(({ event }) => event)).toContain('ended')
})

test('one that ignores a TERM gets a KILL, and its whole group with it', async () => {
  const { server, port } = made({ ignoresTerm: true, forksRunner: true })
  await server.begin(never)
  await greeting(port)
  const { pid } = server
  const beganAt = performance.now()
  expect(await server.restart(never)).toMatchObject({ kind: 'begun' })
  // Five seconds of a clock that is twenty times as fast.
  expect(performance.now() - beganAt).toBeGreaterThan(240)
  expect([null, 'Z']).toContain(stateOf(pid ?? 0))
  await greeting(port)
  expect(standIn.living().servers).toEqual([server.pid ?? 0])
})

test('the next one takes up exactly the same process, also without a record', async () => {
  const { server, port, dataDir } = made({})
  await server.begin(never)
  await greeting(port)
  for (const record of ['as it was', '{}']) {
    if (record === '{}') writeFileSync(join(dataDir, 'ollama.json'), record)
    const before = standIn
    const next = made({}, { dataDir, port, program: () => ({ path: before.path }) }).server
    expect(await next.begin(never)).toEqual({ kind: 'begun', how: 'taken up' })
    expect(next.pid).toBe(server.pid)
    standIn.remove()
    standIn = before
  }
})

test('a port that somebody else has is a conflict: named, and not ended', async () => {
  const { server, port } = made({})
  const other = await stranger(port)
  const begun = await server.begin(never)
  expect(begun).toMatchObject({ kind: 'conflict' })
  expect(begun.kind === 'conflict' && begun.words).toContain(`process ${other.pid} (`)
  expect(await server.restart(never)).toMatchObject({ kind: 'conflict' })
  expect(stateOf(other.pid)).not.toBeNull()
  expect(await greeting(port)).toBe('Ollama is running')
})

test('nothing is ended that could not be started again', async () => {
  let words: string | null = null
  const { server, port } = made({}, { program: () => (words === null ? { path: standIn.path } : { words }) })
  await server.begin(never)
  await greeting(port)
  words = 'the program is gone'
  expect(await server.restart(never)).toEqual({ kind: 'missing', words })
  expect(server.hasEnded()).toBe(false)
})

test('how it ended and its last words are known, those of an earlier one are not', async () => {
  const { server, port } = made({ refuses: 'no space left on device' })
  await server.begin(never)
  await eventually(10_000, 'its end', async () => (server.lastWords().startsWith('it ended') ? true : null))
  expect(server.lastWords()).toBe('it ended with code 1; its last words: Error: no space left on device')
  standIn.plan({})
  await server.restart(never)
  await greeting(port)
  process.kill(server.pid ?? 0, 'SIGKILL')
  await eventually(10_000, 'its end', async () => (server.lastWords() === '' ? null : true))
  expect(server.lastWords()).toBe('it was ended by SIGKILL')
})

test('foreman starts it late or not, with what its file declares and without its own secrets', async () => {
  standIn = createStandIn({ firstAnswerAfterMs: 400 })
  const dataDir = directory()
  mkdirSync(dataDir, { recursive: true })
  const file = join(dataDir, 'ollama.env')
  writeFileSync(file, 'OLLAMA_MAX_LOADED_MODELS=2\nOLLAMA_HOST=elsewhere\n')
  const foreman = await runForeman(`http://127.0.0.1:${freePort()}`, {
    FOREMAN_MANAGE: 'own',
    FOREMAN_OLLAMA_BIN: standIn.path,
    FOREMAN_OLLAMA_ENV_FILE: file,
    FOREMAN_DATA_DIR: dataDir,
    FOREMAN_TOKEN: 'a-secret',
  })
  later(foreman.stop)
  const { pid } = await foreman.logged('ollama_started')
  const env = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
  expect(env).toContain('OLLAMA_MAX_LOADED_MODELS=2')
  expect(env).not.toContain('OLLAMA_HOST=elsewhere')
  expect(env.filter((entry) => entry.startsWith('FOREMAN_'))).toEqual([])
  await foreman.logged('target_reached')
})

test('switched off it starts nothing, asks nothing, and says nothing', async () => {
  standIn = createStandIn({ simulator: { models: [{ name: 'm-a' }] } })
  const port = freePort()
  await stranger(port)
  const foreman = await runForeman(`http://127.0.0.1:${port}`, {}, { clock: createHastyClock(60) })
  later(foreman.stop)
  const ask = { method: 'POST', body: JSON.stringify({ model: 'm-a', prompt: 'hi', stream: false }) }
  expect((await fetch(`${foreman.url}/api/generate`, ask)).status).toBe(200)
  const look = async () =>
    (await (await fetch(`${foreman.url}/healthz`)).json()) as { last_poll: string; parts?: Record<string, unknown> }
  // Five polls are two minutes of its clock: four questions, if there were any.
  const polls = new Set<string>()
  while (polls.size < 5) polls.add((await look()).last_poll)
  const health = await look()
  expect(health.parts?.['manager']).toBeUndefined()
  expect(standIn.living().servers.length).toBe(1)
  expect(foreman.lines.filter((line) => line.includes('ollama_'))).toEqual([])
})

const strace = Bun.which('strace')

/** Lines of a trace that tell of a signal to a process that is not traced; the runtime stops its own threads to collect garbage, and signal 0 is none. */
const signalsToOthers = (trace: string, self: number): readonly string[] => {
  const own = new Set([String(self), ...[...trace.matchAll(/^(\d+) /gm)].map(([, pid]) => pid)])
  return trace.split('\n').filter((line) => {
    const aim = /\b(?:kill|tkill|tgkill|pidfd_send_signal|rt_t?g?sigqueueinfo)\((-?\d+)/.exec(line)?.[1]
    return aim !== undefined && !own.has(aim) && !/, 0\)/.test(line)
  })
}

test('a signal to somebody else would be seen in a trace', () => {
  const own = '10 tgkill(10, 12, SIGPWR) = 0\n12 kill(11, 0) = 0\n'
  expect(signalsToOthers(own, 10)).toEqual([])
  const foreign = '10 kill(-4711, SIGTERM) = 0'
  expect(signalsToOthers(`${own}${foreign}\n`, 10)).toEqual([foreign])
})

test.if(strace !== null)(
  'adopted without a command: down is seen and told, and no signal is ever sent',
  async () => {
    standIn = createStandIn({ hangs: true, simulator: { models: [{ name: 'm-a' }] } })
    const port = freePort()
    const other = await stranger(port)
    const place = directory()
    const trace = join(place, 'trace')
    const calls = 'trace=kill,tkill,tgkill,pidfd_send_signal,rt_sigqueueinfo,rt_tgsigqueueinfo'
    const script = join(import.meta.dir, '../../support/adopt-run.ts')
    const command = [String(strace), '-f', '-e', calls, '-o', trace, process.execPath, script]
    const foreman = Bun.spawn([...command, `http://127.0.0.1:${port}`, join(place, 'data')], {
      env: environment,
      stdout: 'pipe',
      stderr: 'ignore',
    })
    // strace ends with what it began; killed, it would leave that running.
    later(() => {
      const begun = readFileSync(`/proc/${foreman.pid}/task/${foreman.pid}/children`, 'utf8').split(' ').filter(Boolean)
      for (const pid of begun) process.kill(Number(pid), 'SIGKILL')
      return foreman.exited
    })
    const url = new TextDecoder().decode((await foreman.stdout.getReader().read()).value).trim()
    // It ends: refused connections are failed judgements of a machine that is there.
    other.kill('SIGKILL')
    await eventually(30_000, 'it is seen to be down', async () => {
      const { parts } = (await (await fetch(`${url}/healthz`)).json()) as { parts: { manager: { state: string } } }
      return parts.manager.state === 'down' ? true : null
    })
    const foreign = signalsToOthers(readFileSync(trace, 'utf8'), foreman.pid)
    expect(foreign).toEqual([])
    figure('T9', 'adopt without a restart command, from healthy to down, signals sent to others (strace): 0')
  },
  60_000,
)
