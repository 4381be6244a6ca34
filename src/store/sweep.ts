/** Deletes what is older than its time to live and gives the space back, in steps that never hold the event loop. */
import type { Database } from 'bun:sqlite'

export interface Sweep {
  /**
   * Deletes up to 200 finished jobs completed at or before `completedBefore` (wall ms); the number deleted. A job that still owes
   * a webhook stays until it is told or given up.
   */
  deleteFinished(completedBefore: number): number
  /** Gives up to 50 free pages back to the file system: about 2 ms. False when there was nothing to give. */
  shrink(): boolean
  /** Moves the WAL into the database and truncates it. */
  checkpoint(): void
}

// 200 jobs with four transitions, a request and an artifact each take 3 ms, 500 take 7 ms.
const BATCH = 200
// A receiver that hangs may owe jobs by the thousand: so many batches of them are passed over in one step, 2 ms.
const BATCHES_OWED_MAX = 10
const PAGES = 50

interface Finished {
  readonly seq: number
  readonly completedAt: number
  readonly owes: 0 | 1
}

const beginning = { seq: 0, completedAt: -1 }

/** The sweep of one database. */
export const createSweep = (db: Database): Sweep => {
  const finished = db.query<Finished, [number, number, number]>(`SELECT seq, completed_at AS completedAt,
      EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_owed WHERE job_seq = jobs.seq AND state = 'owed') AS owes
    FROM jobs INDEXED BY jobs_finished
    WHERE completed_at IS NOT NULL AND completed_at <= +?1 AND completed_at >= +?2 AND (completed_at > +?2 OR seq > ?3)
    ORDER BY completed_at, seq LIMIT ${BATCH}`)
  const remove = db.query<unknown, [string]>('DELETE FROM jobs WHERE seq IN (SELECT value FROM json_each(?1))')
  const freePages = db.query<{ freelist_count: number }, []>('PRAGMA freelist_count')
  // After every step, 1 ms: left to themselves the pages of many steps are checkpointed by one commit, which takes 60 ms.
  const settle = () => db.run('PRAGMA wal_checkpoint(PASSIVE)')
  // Where the last batch ended, so that those that owe are not looked at again by each step.
  let after: Pick<Finished, 'seq' | 'completedAt'> = beginning

  const nextBatch = (completedBefore: number): { readonly seqs: readonly number[]; readonly isLast: boolean } => {
    const rows = finished.all(completedBefore, after.completedAt, after.seq)
    const isLast = rows.length < BATCH
    after = isLast ? beginning : (rows.at(-1) ?? beginning)
    return { seqs: rows.filter(({ owes }) => owes === 0).map(({ seq }) => seq), isLast }
  }

  return {
    deleteFinished(completedBefore) {
      for (let i = 0; i < BATCHES_OWED_MAX; i++) {
        const { seqs, isLast } = nextBatch(completedBefore)
        if (seqs.length > 0) {
          remove.run(JSON.stringify(seqs))
          settle()
          return seqs.length
        }
        if (isLast) break
      }
      return 0
    },
    shrink() {
      if ((freePages.get()?.freelist_count ?? 0) === 0) return false
      db.run(`PRAGMA incremental_vacuum(${PAGES})`)
      settle()
      return true
    },
    checkpoint: () => db.run('PRAGMA wal_checkpoint(TRUNCATE)'),
  }
}
