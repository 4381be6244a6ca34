/** The bench runs and prints every row; how fast anything is here is not this test's business. */
import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { binaryPath } from '../support/binary.ts'

const rows = [
  'streamed chat: added to the first token',
  'stream of 2,000 chunks without a gap: speed beside bare proxy',
  'answer of 20 MB: time beside bare proxy',
  '/api/tags: idle',
  '/api/tags: while a 1 s chat runs',
  'bypass /api/embed, 1 client: added p50 beside bare proxy',
  'bypass /api/embed, 1 client: req/s beside bare proxy',
  'bypass /api/embed, 16 clients: added p50 beside bare proxy',
  'bypass /api/embed, 16 clients: req/s beside bare proxy',
  'queued /api/chat, 1 client: p50 on top of bare proxy',
  'queued /api/chat, 16 clients: req/s',
  'POST /jobs, 2 KB, 64 clients: req/s beside bare route',
  'POST /jobs, 2 KB, 1 client: p50 beside an insert per request',
  'POST /jobs, 2 KB, 1 client: p50 beside all rows of a job per request',
  'events of a job: first chunk after the target sent it',
  'two models in turns, one loaded at a time: error beside the real time',
  'receivers that hang: jobs/s beside none',
  'waiting clients: failures',
  'waiting clients: all answered once the target is free after',
  'claim: long backlog beside short',
  'start to first answer',
  'size of the executable',
]

test('bun run bench --quick prints every row and leaves no process behind', async () => {
  await binaryPath()
  const bench = Bun.spawn([process.execPath, join(import.meta.dir, '../../bench/main.ts'), '--quick'], {
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [table, progress] = await Promise.all([
    new Response(bench.stdout).text(),
    // It ends only when every child that shares it has ended.
    new Response(bench.stderr).text(),
  ])
  expect({ code: await bench.exited, progress }).toMatchObject({ code: 0 })
  for (const row of rows) expect(table).toContain(row)
  expect(table).toMatch(/waiting clients: failures +0 +0 +kept/)
}, 60_000)
