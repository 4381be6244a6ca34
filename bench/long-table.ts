/** A foreman on a database with very many finished jobs: a start with nothing of it in memory, lists and looks, then the sweep. */
import { join } from 'node:path'
import { openDatabase } from '../src/store/database.ts'
import { temporaryDirectory } from '../test/support/binary.ts'
import { during, startForeman, startServer } from './children.ts'
import { fillFinished } from './finished.ts'
import { type Amounts, count, ms, promised, type Row } from './row.ts'
import { median } from './statistics.ts'
import { sweepRows } from './sweep.ts'

const ASKED = 20
const paths = (jobId: string): readonly string[] => [
  '/jobs',
  '/jobs?state=done',
  '/jobs?state=failed',
  '/jobs?kind=sync',
  '/jobs?state=failed&kind=sync',
  '/jobs?state=failed&model=bench',
  '/jobs?model=nobody',
  `/jobs?after=${jobId}`,
  `/jobs?state=failed&after=${jobId}`,
  `/jobs/${jobId}`,
  '/healthz',
  '/metrics',
]

const fill = (path: string, jobs: number): void => {
  const opened = openDatabase(path)
  if (opened.kind !== 'opened') throw new Error(opened.message)
  fillFinished(opened.db, jobs)
  opened.db.close()
}

/** Takes a file out of the page cache. */
const forget = async (path: string): Promise<void> => {
  const args = [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']
  await Bun.spawn(['dd', ...args], { stdin: 'ignore', stdout: 'ignore' }).exited
}

const askMs = async (port: number, path: string): Promise<number> => {
  const startedAt = performance.now()
  const reply = await fetch(`http://127.0.0.1:${port}${path}`)
  await reply.arrayBuffer()
  if (reply.status !== 200) throw new Error(`${path} says ${reply.status}`)
  return performance.now() - startedAt
}

const startAndLooks = async (port: number, firstAnswerMs: number, jobs: number): Promise<Row[]> => {
  const looks: { readonly path: string; readonly p50Ms: number; readonly longestMs: number }[] = []
  for (const path of paths(`01BENCH${String(Math.ceil(jobs / 2)).padStart(19, '0')}`)) {
    const tookMs: number[] = []
    for (let i = 0; i < ASKED; i++) tookMs.push(await askMs(port, path))
    looks.push({ path: path.replace(/01BENCH0\d+/, 'ID'), p50Ms: median(tookMs), longestMs: Math.max(...tookMs) })
  }
  const name = `${count(jobs)} finished jobs`
  return [
    promised(`${name}: start to first answer, cold`, ms(firstAnswerMs), '< 1000 ms', firstAnswerMs < 1_000),
    ...looks.map(({ path, p50Ms, longestMs }) =>
      promised(`${name}: ${path}, p50 / longest`, `${ms(p50Ms)} / ${ms(longestMs)}`, 'p50 <= 5 ms', p50Ms <= 5),
    ),
  ]
}

/** One table for all, because filling it takes longer than to look at it. */
export const longTableRows = (amounts: Amounts): Promise<Row[]> =>
  during(async (keep) => {
    const directory = temporaryDirectory()
    keep({ stop: async () => directory.remove() })
    const database = join(directory.path, 'foreman.db')
    fill(database, amounts.many)
    await forget(database)
    const target = keep(await startServer('target.ts'))
    const foreman = await startForeman(target.port, {}, directory.path)
    const looked = await startAndLooks(foreman.port, foreman.firstAnswerMs, amounts.many).finally(foreman.stop)
    return [...looked, ...(await sweepRows(directory.path, amounts))]
  })
