/** D2: 202 means on disk. The executable's own system calls are watched, and a log that is cut anywhere still holds a prefix. */
import { afterAll, expect, test } from 'bun:test'
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import { noUsage } from '../../src/domain/job/job.ts'
import { createLedger } from '../../src/store/ledger.ts'
import { createOutbox } from '../../src/store/outbox.ts'
import { createQueue } from '../../src/store/queue.ts'
import { binaryPath, temporaryDirectory } from '../support/binary.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { prompt } from '../support/lives.ts'
import { dueNow } from '../support/owed.ts'
import { eventually } from '../support/patience.ts'
import { temporaryDirectory as fastDirectory, newJob, opened, plainClaim } from '../support/store.ts'

const strace = Bun.which('strace')
const CALLS = 'fsync,fdatasync,write,writev,sendto,sendmsg'
const ONE_BY_ONE = 100
const CONNECTIONS = 64
const EACH = 10

/** What the kernel was asked for: a sync of the log or of the database, or an answer 202. */
const events = (trace: string): ('sync' | '202')[] =>
  trace.split('\n').flatMap((line) => {
    if (/\b(fsync|fdatasync)\(\d+<[^>]*foreman\.db/.test(line)) return ['sync' as const]
    return [...line.matchAll(/HTTP\/1\.1 202 /g)].map(() => '202' as const)
  })

const submit = async (url: string, text: string): Promise<void> => {
  const answer = await fetch(`${url}/jobs`, { method: 'POST', body: JSON.stringify(prompt('m', text)) })
  expect(answer.status).toBe(202)
  await answer.arrayBuffer()
}

test.if(strace !== null)(
  'each 202 goes out after an fsync, and 64 submitters share theirs',
  async () => {
    const directory = temporaryDirectory()
    const trace = join(directory.path, 'trace')
    const env = {
      FOREMAN_ADDR: '127.0.0.1:0',
      FOREMAN_OLLAMA_URL: 'http://127.0.0.1:9',
      FOREMAN_DATA_DIR: join(directory.path, 'data'),
    }
    const command = [String(strace), '-f', '-y', '-s', '32', '-e', `trace=${CALLS}`, '-o', trace]
    const traced = Bun.spawn([...command, await binaryPath(), 'serve'], {
      env,
      cwd: tmpdir(),
      stdout: Bun.file(join(directory.path, 'log')),
      stderr: 'ignore',
    })
    try {
      const url = await eventually(20_000, 'it serves', async () => {
        const log = readFileSync(join(directory.path, 'log'), 'utf8')
        return /"event":"serving".*?"url":"([^"]+)"/.exec(log)?.[1] ?? null
      })
      for (let i = 0; i < ONE_BY_ONE; i++) await submit(url, `alone ${i} ${'x'.repeat(2_000)}`)
      const alone = events(readFileSync(trace, 'utf8'))
      await Promise.all(
        Array.from({ length: CONNECTIONS }, async (_, lane) => {
          for (let i = 0; i < EACH; i++) await submit(url, `together ${lane} ${i} ${'x'.repeat(2_000)}`)
        }),
      )
      const together = events(readFileSync(trace, 'utf8')).slice(alone.length)
      // One by one: between two answers there is a sync of its own.
      let synced = 0
      let uncovered = 0
      for (const event of alone) {
        if (event === 'sync') synced++
        else if (synced === 0) uncovered++
        else synced = 0
      }
      const count = (all: readonly string[], what: string) => all.filter((event) => event === what).length
      expect(count(alone, '202')).toBe(ONE_BY_ONE)
      expect(uncovered).toBe(0)
      expect(count(together, '202')).toBe(CONNECTIONS * EACH)
      expect(count(together, 'sync')).toBeGreaterThan(0)
      figure('D2', `${ONE_BY_ONE} one by one: ${count(alone, 'sync')} fsyncs, each 202 after one of its own`)
      figure('D2', `${CONNECTIONS * EACH} from ${CONNECTIONS} connections: ${count(together, 'sync')} fsyncs`)
    } finally {
      // strace keeps a signal to itself: the one that it watches is told.
      const children = readFileSync(`/proc/${traced.pid}/task/${traced.pid}/children`, 'utf8').trim()
      for (const pid of children.split(' ')) process.kill(Number(pid), 'SIGTERM')
      await traced.exited
      directory.remove()
    }
  },
  60_000,
)

const CUTS = Number(process.env['FOREMAN_TEST_CUTS'] ?? 1_000)
const JOBS = 120

const place = fastDirectory(true)
afterAll(() => rmSync(place, { recursive: true, force: true }))

interface Written {
  readonly id: string
  /** Bytes of the log when the submit was acknowledged. */
  readonly walBytes: number
}

/** Submits, work and webhooks as a foreman writes them; the files as they are before any checkpoint. */
const writeLog = async (path: string): Promise<Written[]> => {
  const db = opened(path)
  db.run('PRAGMA wal_autocheckpoint = 0')
  const ledger = createLedger(db)
  const queue = createQueue({ db, ledger, maxQueue: 1_000_000 })
  const outbox = createOutbox({ db, ledger, clock: systemClock })
  const written: Written[] = []
  for (let i = 0; i < JOBS; i++) {
    const id = `job-${String(i).padStart(4, '0')}`
    const job = newJob(id, { request: new Uint8Array(i * 17), webhookUrl: 'http://127.0.0.1:9/' })
    await queue.submit(job, i)
    written.push({ id, walBytes: statSync(`${path}-wal`).size })
    if (i % 2 === 0) continue
    const claimed = await queue.claim({ ...plainClaim(i), loadedKeys: ['m-a'] })
    if (claimed.kind !== 'job') throw new Error('nothing to claim')
    const artifact = { name: 'completion', contentType: 'application/json', body: new Uint8Array(500) }
    await queue.settle(claimed.job, { to: 'done', usage: noUsage }, i, [artifact])
    for (const owed of dueNow(outbox, i, 3)) await outbox.accepted(owed)
  }
  copyFileSync(path, `${path}.kept`)
  copyFileSync(`${path}-wal`, `${path}-wal.kept`)
  db.close()
  return written
}

test(`a log cut at ${CUTS} random offsets is never corrupt, and what survives is a prefix with everything acknowledged by then`, async () => {
  const dice = createDice(seedOf('wal-cut'))
  const path = join(place, 'foreman.db')
  const written = await writeLog(path)
  const total = statSync(`${path}-wal.kept`).size
  const survivors: number[] = []
  for (let cut = 0; cut < CUTS; cut++) {
    const folder = join(place, 'cut')
    mkdirSync(folder)
    const offset = dice.between(0, total)
    copyFileSync(`${path}.kept`, join(folder, 'foreman.db'))
    copyFileSync(`${path}-wal.kept`, join(folder, 'foreman.db-wal'))
    truncateSync(join(folder, 'foreman.db-wal'), offset)
    const db = opened(join(folder, 'foreman.db'))
    const ids = db.query<{ id: string }, []>('SELECT id FROM jobs ORDER BY seq').all()
    const halves = db
      .query(
        `SELECT id FROM jobs WHERE (SELECT count(*) FROM requests WHERE job_seq = seq) <> 1
           OR (SELECT count(*) FROM webhooks w WHERE w.job_seq = jobs.seq AND (w.due_at IS NULL) =
           (w.sequence > (SELECT max(t.sequence) FROM transitions t WHERE t.job_seq = jobs.seq))) <> 1
           OR (SELECT count(*) FROM artifacts WHERE job_seq = seq) <> (state = 'done')`,
      )
      .all()
    const integrity = db.query('PRAGMA integrity_check').get()
    db.close()
    rmSync(folder, { recursive: true })
    expect({ offset, integrity, halves }).toEqual({ offset, integrity: { integrity_check: 'ok' }, halves: [] })
    expect(ids.map(({ id }) => id)).toEqual(written.slice(0, ids.length).map(({ id }) => id))
    expect(ids.length).toBeGreaterThanOrEqual(written.filter(({ walBytes }) => walBytes <= offset).length)
    survivors.push(ids.length)
  }
  figure(
    'D2',
    `log of ${total} bytes cut at ${CUTS} offsets: 0 corrupt, survivors always a prefix (${Math.min(...survivors)} to ${Math.max(...survivors)} of ${JOBS})`,
  )
}, 120_000)
