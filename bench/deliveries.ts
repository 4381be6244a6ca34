/** What webhooks cost: a drain with a receiver that takes everything beside one without, and a receiver that is down and is owed much. */
import { Database } from 'bun:sqlite'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startForeman, startServer } from './children.ts'
import { submit } from './events.ts'
import type { Subjects } from './paths.ts'
import { MODEL } from './requests.ts'
import { promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'

const SUBMITTED_AT_ONCE = 16
// Streams of a second each: the queue fills behind them.
const HOLDING = 6
const TRANSITIONS = 4
const PERMISSIVE = { FOREMAN_WEBHOOK_POLICY: 'any', FOREMAN_MAX_QUEUE: '1000000' }
// Linux counts processor time in hundredths of a second.
const TICK_MS = 10

const cpuMs = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

const bodyOf = (content: string, hook: string | null) =>
  JSON.stringify({ model: MODEL, messages: [{ role: 'user', content }], state_webhook_url: hook })

const receivedBy = async (port: number): Promise<number> =>
  Number(await (await fetch(`http://127.0.0.1:${port}/`)).text())

const isDone = async (port: number, jobId: string): Promise<void> => {
  const reply = await fetch(`http://127.0.0.1:${port}/jobs/${jobId}?wait=10m`)
  if (!(await reply.text()).includes('"state":"done"')) throw new Error(`job ${jobId} is not done`)
}

interface Drained {
  readonly jobsPerSecond: number
  readonly cpuMsPerJob: number
}

/** From the first job to the last: of all jobs done, and with a receiver of every webhook taken. */
const drain = async (
  foreman: { readonly pid: number; readonly port: number },
  jobs: number,
  receiver: { readonly port: number } | null,
): Promise<Drained> => {
  const hook = receiver === null ? null : `http://127.0.0.1:${receiver.port}/hook`
  const before = receiver === null ? 0 : await receivedBy(receiver.port)
  const holding = await Promise.all(Array.from({ length: HOLDING }, () => submit(foreman.port, bodyOf('hold', null))))
  let sent = 0
  let last = ''
  const submitter = async () => {
    while (sent < jobs) {
      sent++
      last = (await submit(foreman.port, bodyOf('[[now]]', hook))).job_id
    }
  }
  await Promise.all(Array.from({ length: SUBMITTED_AT_ONCE }, submitter))
  await isDone(foreman.port, holding.at(-1)?.job_id ?? '')
  const cpuBefore = cpuMs(foreman.pid)
  const startedAt = performance.now()
  await isDone(foreman.port, last)
  while (receiver !== null && (await receivedBy(receiver.port)) < before + TRANSITIONS * jobs) await Bun.sleep(5)
  const elapsedS = (performance.now() - startedAt) / 1_000
  return { jobsPerSecond: jobs / elapsedS, cpuMsPerJob: (cpuMs(foreman.pid) - cpuBefore) / jobs }
}

const drainRows = async ({ target, amounts }: Subjects): Promise<Row[]> => {
  const receiver = await startServer('receiver.ts')
  const without = await startForeman(target.port, PERMISSIVE)
  const hooked = await startForeman(target.port, PERMISSIVE)
  try {
    const rounds: { readonly without: Drained; readonly hooked: Drained }[] = []
    for (let round = 0; round < amounts.rounds; round++)
      rounds.push({
        without: await drain(without, amounts.hooked, null),
        hooked: await drain(hooked, amounts.hooked, receiver),
      })
    const shown = (of: (round: (typeof rounds)[number]) => Drained) =>
      `${Math.round(median(rounds.map((round) => of(round).jobsPerSecond))).toLocaleString('en-US')} jobs/s, ${median(
        rounds.map((round) => of(round).cpuMsPerJob),
      ).toFixed(2)} ms of processor each`
    const ratio = median(rounds.map((round) => round.hooked.jobsPerSecond / round.without.jobsPerSecond))
    const name = 'a receiver that takes everything'
    return [
      told(
        `${name}: drain without webhooks`,
        shown((round) => round.without),
      ),
      told(
        `${name}: drain with theirs, all told`,
        shown((round) => round.hooked),
      ),
      promised(`${name}: jobs/s beside none`, times(ratio), '>= 0.60x', ratio >= 0.6),
    ]
  } finally {
    await hooked.stop()
    await without.stop()
    await receiver.stop()
  }
}

/** Cancelled jobs that owe two webhooks each, written as the database itself would. */
const owe = (path: string, jobs: number, url: string): void => {
  const db = new Database(path)
  // foreman writes beside it.
  db.run('PRAGMA busy_timeout = 10000')
  const now = Date.now()
  const insert = db.query(`INSERT INTO jobs
    (id, kind, endpoint, model, residency_key, max_attempts, webhook_url, created_at, updated_at)
    VALUES (?1, 'async', '/api/chat', ?2, ?2, 3, ?3, ?4, ?4)`)
  db.transaction(() => {
    for (let i = 0; i < jobs; i++) insert.run(`01BENCH${String(i).padStart(19, '0')}`, MODEL, url, now)
    db.run(`UPDATE jobs SET state = 'cancelled', completed_at = ${now}, updated_at = ${now}`)
  }).immediate()
  db.close()
}

/** The share of a core while nothing else happens, after the first minute. */
const downRow = async ({ target, amounts }: Subjects): Promise<Row> => {
  const foreman = await startForeman(target.port, PERMISSIVE)
  try {
    owe(join(foreman.directory, 'foreman.db'), amounts.owed, 'http://127.0.0.1:1/hook')
    // A submit makes the courier look; from here on it is on its own.
    await isDone(foreman.port, (await submit(foreman.port, bodyOf('[[now]]', 'http://127.0.0.1:1/hook'))).job_id)
    await Bun.sleep(amounts.settlingMs)
    const before = cpuMs(foreman.pid)
    await Bun.sleep(amounts.settlingMs)
    const share = ((cpuMs(foreman.pid) - before) / amounts.settlingMs) * 100
    const name = `${amounts.owed.toLocaleString('en-US')} owed to a receiver that is down: of a core after the first minute`
    return promised(name, `${share.toFixed(1)} %`, '<= 3 %', share <= 3)
  } finally {
    await foreman.stop()
  }
}

/** Drains of two foremen in turn, then one that is left alone with what it owes. */
export const deliveryRows = async (subjects: Subjects): Promise<Row[]> => [
  ...(await drainRows(subjects)),
  await downRow(subjects),
]
