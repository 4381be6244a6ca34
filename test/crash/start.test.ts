/** How the compiled executable starts, and in which words it refuses to. */
import { expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exitCode } from '../../src/cli/command.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { spawnBinary, spawnForeman } from '../support/binary.ts'
import { figure } from '../support/figures.ts'
import { createLeftovers } from '../support/leftovers.ts'
import { asyncJob, inspect, jobId, submitAll, withDatabase } from '../support/lives.ts'

// Port 9 (discard): nothing answers there, and no test here needs that anything does.
const NO_TARGET = 'http://127.0.0.1:9'

const { directory, kept, later } = createLeftovers()

/** `foreman serve` that must end by itself: its exit code and its sentences. */
const refusal = async (env: Record<string, string>): Promise<{ code: number; sentences: string[]; tookMs: number }> => {
  const spawned = kept(await spawnBinary(['serve'], { env, cwd: directory() }))
  const code = await spawned.exited
  const tookMs = performance.now() - spawned.spawnedAt
  return { code, sentences: spawned.stderr().trimEnd().split('\n'), tookMs }
}

const given = (env: Record<string, string> = {}) => ({
  FOREMAN_ADDR: '127.0.0.1:0',
  FOREMAN_OLLAMA_URL: NO_TARGET,
  FOREMAN_DATA_DIR: directory(),
  ...env,
})

const BACKLOG = 10_000

test('10,000 waiting jobs do not delay the start, whether the target refuses or sleeps', async () => {
  const simulator = await startSimulator({ models: [{ name: 'alpha' }] })
  later(() => simulator.stop())
  const dataDir = directory()
  const jobs = Array.from({ length: BACKLOG }, (_, i) => asyncJob(jobId('s', i), 'alpha'))
  await withDatabase(dataDir, (db) => submitAll(db, jobs))
  simulator.sleep()
  for (const target of [NO_TARGET, simulator.url]) {
    const daemon = kept(await spawnForeman(target, dataDir))
    const url = await daemon.ready()
    const tookMs = performance.now() - daemon.spawnedAt
    const manner = target === NO_TARGET ? 'refuses' : 'sleeps'
    figure('D4', `start with ${BACKLOG} waiting jobs, target ${manner}: ${tookMs.toFixed(0)} ms`)
    expect(tookMs).toBeLessThan(1_000)
    const health: unknown = await (await fetch(`${url}/healthz`, { keepalive: false })).json()
    const { queue } = health as { queue: { queued: number; working: number } }
    expect(queue.queued + queue.working).toBe(BACKLOG)
    daemon.kill('SIGKILL')
    await daemon.exited
  }
  const { counts, active } = await withDatabase(dataDir, inspect)
  expect((counts['async/queued'] ?? 0) + active).toBe(BACKLOG)
}, 30_000)

test('a database of a newer foreman is refused in one sentence', async () => {
  const env = given()
  await withDatabase(env.FOREMAN_DATA_DIR, (db) => db.run('PRAGMA user_version = 99'))
  const { code, sentences } = await refusal(env)
  expect(code).toBe(exitCode.no)
  expect(sentences).toHaveLength(1)
  expect(sentences[0]).toMatch(
    /^foreman: .*foreman\.db has schema 99, this foreman knows up to \d+: run the newer foreman$/,
  )
})

test('a file that is no database is refused in one sentence and left as it is', async () => {
  const env = given()
  const path = join(env.FOREMAN_DATA_DIR, 'foreman.db')
  const text = 'notes, not a database; '.repeat(100)
  writeFileSync(path, text)
  const { code, sentences } = await refusal(env)
  expect(code).toBe(exitCode.no)
  expect(sentences).toEqual([`foreman: cannot open ${path}: file is not a database`])
  expect(await Bun.file(path).text()).toBe(text)
})

test('every wrong setting gets one sentence, and the exit code says usage', async () => {
  const { code, sentences, tookMs } = await refusal(
    given({
      FOREMAN_MAX_QUEUE: 'many',
      FOREMAN_POLL_INTERVAL: '1ms',
      FOREMAN_TOKN: 'x',
      FOREMAN_WEBHOOK_POLICY: 'all',
    }),
  )
  expect(code).toBe(exitCode.usage)
  expect(sentences).toHaveLength(4)
  for (const name of ['FOREMAN_MAX_QUEUE', 'FOREMAN_POLL_INTERVAL', 'FOREMAN_TOKN', 'FOREMAN_WEBHOOK_POLICY'])
    expect(sentences.filter((sentence) => sentence.startsWith(`foreman: ${name} is `))).toHaveLength(1)
  expect(tookMs).toBeLessThan(1_000)
})

test('an address that is taken is refused in one sentence, and the data directory is free again', async () => {
  const taken = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } })
  later(() => taken.stop(true))
  const env = given({ FOREMAN_ADDR: `127.0.0.1:${taken.port}` })
  const { code, sentences } = await refusal(env)
  expect(code).toBe(exitCode.no)
  expect(sentences).toHaveLength(1)
  expect(sentences[0]).toStartWith(`foreman: FOREMAN_ADDR 127.0.0.1:${taken.port} cannot be listened on: `)
  const daemon = kept(await spawnForeman(NO_TARGET, env.FOREMAN_DATA_DIR))
  await daemon.ready()
})

test('two foremen with an address in common: the second is refused, and every call goes to the first', async () => {
  const port = freePort()
  const first = kept(await spawnForeman(NO_TARGET, directory(), { FOREMAN_ADDR: `127.0.0.1:${port}` }))
  const url = await first.ready()
  const instance = async (): Promise<unknown> => (await fetch(`${url}/livez`, { keepalive: false })).json()
  const known = await instance()
  for (const addr of [`127.0.0.1:${port}`, `:${port}`, `0.0.0.0:${port}`]) {
    const { code, sentences } = await refusal(given({ FOREMAN_ADDR: addr }))
    expect({ addr, code, sentences }).toEqual({
      addr,
      code: exitCode.no,
      sentences: [expect.stringMatching(/^foreman: FOREMAN_ADDR .* cannot be listened on: /)],
    })
    expect(await instance()).toMatchObject({ instance: (known as { instance: string }).instance })
  }
})

test('an address is free again the moment its foreman is gone', async () => {
  const port = freePort()
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const daemon = kept(await spawnForeman(NO_TARGET, directory(), { FOREMAN_ADDR: `:${port}` }))
    const url = await daemon.ready()
    // Kept-alive connections that the kernel still remembers must not keep the port from the next one.
    await Promise.all(Array.from({ length: 8 }, () => fetch(`${url}/livez`).then((answer) => answer.text())))
    daemon.kill(signal)
    await daemon.exited
  }
})

test('an address without a host listens on IPv4 and IPv6', async () => {
  const port = freePort()
  const daemon = kept(await spawnForeman(NO_TARGET, directory(), { FOREMAN_ADDR: `:${port}` }))
  expect(await daemon.ready()).toBe(`http://127.0.0.1:${port}`)
  for (const host of ['127.0.0.1', '[::1]']) expect((await fetch(`http://${host}:${port}/livez`)).status).toBe(200)
})

test('a target that is this foreman is refused by its address', async () => {
  const { code, sentences } = await refusal(
    given({ FOREMAN_ADDR: '127.0.0.1:18080', FOREMAN_OLLAMA_URL: 'http://localhost:18080' }),
  )
  expect(code).toBe(exitCode.usage)
  expect(sentences).toHaveLength(1)
  expect(sentences[0]).toContain("that is this foreman's own address")
})

test('a target that is this foreman behind a forwarded port is refused by what it answers', async () => {
  const port = freePort()
  const relay = Bun.listen<{ other: import('bun').Socket<undefined> | null; early: Buffer[] }>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open(client) {
        client.data = { other: null, early: [] }
        Bun.connect({
          hostname: '127.0.0.1',
          port,
          socket: {
            open(other) {
              client.data.other = other
              for (const bytes of client.data.early) other.write(bytes)
            },
            data: (_, bytes) => void client.write(bytes),
            close: () => void client.end(),
          },
        }).catch(() => client.end())
      },
      data(client, bytes) {
        if (client.data.other === null) client.data.early.push(bytes)
        else client.data.other.write(bytes)
      },
      close: (client) => void client.data.other?.end(),
    },
  })
  later(() => relay.stop(true))
  const { code, sentences } = await refusal(
    given({ FOREMAN_ADDR: `127.0.0.1:${port}`, FOREMAN_OLLAMA_URL: `http://127.0.0.1:${relay.port}` }),
  )
  expect(code).toBe(exitCode.no)
  expect(sentences).toHaveLength(1)
  expect(sentences[0]).toContain('is this foreman itself')
})

const freePort = (): number => {
  const probe = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } })
  const { port } = probe
  probe.stop(true)
  return port
}

test('a data directory that cannot be made or written is refused in one sentence', async () => {
  const file = join(directory(), 'file')
  writeFileSync(file, '')
  // Below a file, and where the kernel lets nobody write, not even root.
  for (const dataDir of [join(file, 'data'), '/proc/foreman', '/proc']) {
    const { code, sentences } = await refusal(given({ FOREMAN_DATA_DIR: dataDir }))
    expect({ dataDir, code }).toEqual({ dataDir, code: exitCode.no })
    expect(sentences).toHaveLength(1)
    expect(sentences[0]).toStartWith(`foreman: FOREMAN_DATA_DIR ${dataDir} cannot be used: `)
  }
})
