/** The bench runs and prints every row; how fast anything is here is not this test's business. */
import { expect, test } from 'bun:test'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binaryPath } from '../support/binary.ts'

const hasWrk = Bun.which('wrk') !== null
const peers = ['nginx', 'haproxy'].filter((name) => Bun.which(name, { PATH: `${process.env['PATH']}:/usr/sbin` }))

const loaded = [
  'queued JSON, 1 client: p50 on top of direct',
  'queued JSON, 1 client: p99',
  'queued JSON, 16 clients: calls/s beside bare proxy',
  'queued JSON, 64 clients: foreman',
  'queued NDJSON, 16 clients: calls/s beside bare proxy',
  'bypass, 1 client: foreman',
  'bypass, 16 clients: calls/s beside bare proxy',
  'bypass, 64 clients: calls/s beside bare proxy',
  'queued stream of 2,000 chunks without a gap: calls/s beside bare proxy',
  'queued answer of 20 MB: p50 beside bare proxy',
  'POST /jobs, 2 KB, 1 client: p50 beside group commit alone',
  'POST /jobs, 2 KB, 64 clients: calls/s beside group commit alone',
  'longest wait for a small look: foreman',
  ...peers.map((name) => `queued JSON, 16 clients: ${name}, p50 / p99`),
]
const rows = [
  ...(hasWrk ? loaded : loaded.map((name) => name.replace(/:.*/, ''))),
  'streamed chat: added to the first token',
  '/api/tags: idle',
  '/api/tags: while a 1 s chat runs',
  'events of a job: first chunk after the target sent it',
  'two models in turns, one loaded at a time: error beside the real time',
  'receivers that hang: jobs/s beside none',
  'a receiver that takes everything: jobs/s beside none',
  'idle: wake-ups',
  'idle: processor',
  'webhooks owed to a receiver that is down: of a core after the first minute',
  'waiting clients: failures',
  'waiting clients: all answered once the target is free after',
  'claim: long backlog beside short',
  'start to first answer',
  'size of the executable',
  'finished jobs: start to first answer, cold',
  'finished jobs: /jobs?state=failed, p50 / longest',
  'finished jobs: /metrics, p50 / longest',
  'longest stall of the event loop',
]

const bench = async (args: readonly string[], env: Record<string, string | undefined> = process.env) => {
  await binaryPath()
  const child = Bun.spawn([process.execPath, join(import.meta.dir, '../../bench/main.ts'), ...args], {
    env,
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [table, progress] = await Promise.all([
    new Response(child.stdout).text(),
    // It ends only when every child that shares it has ended.
    new Response(child.stderr).text(),
  ])
  return { code: await child.exited, table, progress }
}

test('bun run bench --quick prints every row and leaves no process behind', async () => {
  const { code, table, progress } = await bench(['--quick'])
  expect({ code, progress }).toMatchObject({ code: 0 })
  for (const row of rows) expect(table).toContain(row)
  expect(table).toMatch(/waiting clients: failures +0 +0 +kept/)
}, 120_000)

test('a load generator that is not installed is said in its rows', async () => {
  const bin = await mkdtemp(join(tmpdir(), 'foreman-bench-'))
  await symlink(process.execPath, join(bin, 'bun'))
  const { code, table } = await bench(['--quick', '--row', 'queued JSON, 16 clients', '--row', 'traffic'], {
    PATH: bin,
  })
  expect([code, table.match(/not measured: wrk is not installed/g)?.length]).toEqual([0, 2])
  await rm(bin, { recursive: true })
})

test('a row that does not exist, rounds that are none and a document of some rows are refused', async () => {
  for (const args of [
    ['--row', 'nothing'],
    ['--rounds', '0'],
    ['--write', '--quick'],
  ])
    expect([args, (await bench(args)).code]).toEqual([args, 2])
})
