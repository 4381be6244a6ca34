/** What a foreman costs that has nothing to do: one that is idle, and one that owes very many webhooks to a receiver that is down. */
import { join } from 'node:path'
import { openDatabase } from '../src/store/database.ts'
import { temporaryDirectory } from '../test/support/binary.ts'
import { MODEL } from './calls.ts'
import { during, type Listening, startForeman, startServer } from './children.ts'
import { isDone, submit } from './events.ts'
import { processorMs, wakeUps } from './processor.ts'
import { type Amounts, count, promised, type Row } from './row.ts'

const DOWN = 'http://127.0.0.1:1/hook'

/** Cancelled jobs that owe two webhooks each, written as foreman's own triggers do it; before it starts, so that nobody writes beside it. */
const owe = (path: string, jobs: number, url: string): void => {
  const opened = openDatabase(path)
  if (opened.kind !== 'opened') throw new Error(opened.message)
  const { db } = opened
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

interface Rest {
  readonly processorMs: number
  readonly wakeUps: number
}

/** What processes do in `restingMs`. */
const watch = async (children: readonly Listening[], restingMs: number): Promise<readonly Rest[]> => {
  const now = () => children.map(({ pid }) => ({ processorMs: processorMs(pid), wakeUps: wakeUps(pid) }))
  const before = now()
  await Bun.sleep(restingMs)
  return now().map((rest, i) => ({
    processorMs: rest.processorMs - (before[i]?.processorMs ?? Number.NaN),
    wakeUps: rest.wakeUps - (before[i]?.wakeUps ?? Number.NaN),
  }))
}

/** Both rest in the same minutes; each is counted for itself. */
export const restingRows = ({ owed, settlingMs, restingMs }: Amounts): Promise<Row[]> =>
  during(async (keep) => {
    const target = keep(await startServer('target.ts'))
    const idle = keep(await startForeman(target.port))
    const directory = temporaryDirectory()
    keep({ stop: async () => directory.remove() })
    owe(join(directory.path, 'foreman.db'), owed, DOWN)
    const owing = keep(await startForeman(target.port, { FOREMAN_WEBHOOK_POLICY: 'any' }, directory.path))
    // A submit makes the courier look; from here on it is on its own.
    const body = { model: MODEL, messages: [{ role: 'user', content: '[[now]]' }], state_webhook_url: DOWN }
    await isDone(owing.port, (await submit(owing.port, body)).job_id)
    await Bun.sleep(settlingMs)
    const [idly, owingly] = await watch([idle, owing], restingMs)
    const wakeUpsPerSecond = ((idly?.wakeUps ?? Number.NaN) / restingMs) * 1_000
    const msPerMinute = ((idly?.processorMs ?? Number.NaN) / restingMs) * 60_000
    const share = ((owingly?.processorMs ?? Number.NaN) / restingMs) * 100
    return [
      promised('idle: wake-ups', `${wakeUpsPerSecond.toFixed(1)}/s`, '< 2/s', wakeUpsPerSecond < 2),
      promised('idle: processor', `${msPerMinute.toFixed(0)} ms a minute`, '< 20 ms', msPerMinute < 20),
      promised(
        `${count(owed)} webhooks owed to a receiver that is down: of a core after the first minute`,
        `${share.toFixed(1)} %`,
        '<= 3 %',
        share <= 3,
      ),
    ]
  })
