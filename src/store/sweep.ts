/** Deletes what is older than its time to live and gives the space back, in steps that never hold the event loop. */
import type { Database } from 'bun:sqlite'

export interface Sweep {
  /** Deletes up to 200 finished jobs completed at or before `completedBefore` (wall ms); the number deleted. */
  deleteFinished(completedBefore: number): number
  /** Gives up to 50 free pages back to the file system: about 2 ms. False when there was nothing to give. */
  shrink(): boolean
  /** Moves the WAL into the database and truncates it. */
  checkpoint(): void
}

// 200 jobs with four transitions, a request and an artifact each take 3 ms, 500 take 7 ms.
const BATCH = 200
const PAGES = 50

/** The sweep of one database. */
export const createSweep = (db: Database): Sweep => {
  const remove = db.query(`DELETE FROM jobs WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_finished
    WHERE completed_at IS NOT NULL AND completed_at <= +?1 ORDER BY completed_at LIMIT ${BATCH})`)
  const freePages = db.query<{ freelist_count: number }, []>('PRAGMA freelist_count')
  // After every step, 1 ms: left to themselves the pages of many steps are checkpointed by one commit, which takes 60 ms.
  const settle = () => db.run('PRAGMA wal_checkpoint(PASSIVE)')
  return {
    deleteFinished(completedBefore) {
      const { changes } = remove.run(completedBefore)
      if (changes > 0) settle()
      return changes
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
