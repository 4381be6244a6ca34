/** Deletes what is older than its time to live and gives the space back, in steps that never hold the event loop. */
import type { Database } from 'bun:sqlite'
import type { Clock } from '../domain/clock.ts'
import type { Bodies } from './bodies.ts'
import type { Ledger } from './ledger.ts'
import type { Log } from './log.ts'

export interface Sweep {
  /**
   * Deletes up to 200 finished jobs completed at or before `completedBefore`, fewer when they are large; the number
   * deleted. A job that still owes a webhook stays until it is told or given up.
   */
  deleteFinished(completedBefore: number): Promise<number>
  /** Deletes a piece of a large body that nobody has, or gives up to 100 free pages back to the file system. False when there was nothing of either. */
  shrink(): Promise<boolean>
  /** There is nothing else to do. */
  rest(): Promise<void>
}

export interface SweepDeps {
  readonly db: Database
  readonly ledger: Ledger
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly log?: Pick<Log, 'rest'>
  readonly bodies?: Pick<Bodies, 'sweep'>
}

// 200 jobs with four transitions, a request and an artifact each take 3 ms; with artifacts of 64 KiB they would take 40.
const BATCH = 200
// A disk that is busy adds to it: 10 to 20 ms now and then.
const STEP_MS = 2
// A receiver that hangs may owe jobs by the ten thousand: so many batches of them are passed over, each in a turn of its own, 0.3 ms.
const BATCHES_OWED_MAX = 100
const PAGES_MAX = 100

interface Finished {
  readonly seq: number
  readonly completedAt: number
  readonly owes: 0 | 1
}

type Place = Pick<Finished, 'seq' | 'completedAt'>

interface Step {
  readonly deleted: number
  /** Where the next step begins. */
  readonly after: Place
  /** Nothing was left behind the batch. */
  readonly isLast: boolean
}

const beginning: Place = { seq: 0, completedAt: -1 }

/** The sweep of one database. Its writes are quick: what a power cut brings back is swept again. */
export const createSweep = ({ db, ledger, clock, log, bodies }: SweepDeps): Sweep => {
  const finished = db.query<Finished, [number, number, number]>(`SELECT seq, completed_at AS completedAt,
      EXISTS (SELECT 1 FROM webhooks WHERE job_seq = jobs.seq AND due_at IS NOT NULL) AS owes
    FROM jobs INDEXED BY jobs_finished
    WHERE completed_at IS NOT NULL AND completed_at <= +?1 AND completed_at >= +?2 AND (completed_at > +?2 OR seq > ?3)
    ORDER BY completed_at, seq LIMIT ${BATCH}`)
  const remove = db.query<unknown, [number]>('DELETE FROM jobs WHERE seq = ?1')
  const freePages = db.query<{ freelist_count: number }, []>('PRAGMA freelist_count')
  // Where the last step ended, so that those that owe are not looked at again by each step.
  let place = beginning

  const deleteSome = (completedBefore: number): Step => {
    const until = clock.monotonicMs() + STEP_MS
    const batch = finished.all(completedBefore, place.completedAt, place.seq)
    let after = place
    let deleted = 0
    for (const row of batch) {
      if (row.owes === 0) {
        remove.run(row.seq)
        deleted++
      }
      after = row
      if (clock.monotonicMs() > until) return { deleted, after, isLast: false }
    }
    return { deleted, after, isLast: batch.length < BATCH }
  }

  const shrinkSome = () => {
    const until = clock.monotonicMs() + STEP_MS
    // One by one: the last page of the file is looked for among the free ones, 0.1 ms, but 2 when a million of them are free.
    for (let pages = 0; pages < PAGES_MAX && clock.monotonicMs() <= until; pages++)
      db.run('PRAGMA incremental_vacuum(1)')
  }

  return {
    async deleteFinished(completedBefore) {
      for (let i = 0; i < BATCHES_OWED_MAX; i++) {
        const { deleted, after, isLast } = await ledger.write('quick', () => deleteSome(completedBefore))
        place = isLast ? beginning : after
        if (deleted > 0) return deleted
        if (isLast) break
      }
      return 0
    },
    async shrink() {
      if (await bodies?.sweep()) return true
      if ((freePages.get()?.freelist_count ?? 0) === 0) return false
      await ledger.write('quick', shrinkSome)
      return true
    },
    rest: async () => log?.rest(),
  }
}
