/** A real database in a directory of its own, with ledger, queue and sweep on it; it must leave nothing behind. */
import { Database } from 'bun:sqlite'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import type { ClaimQuery } from '../../src/domain/job/claim.ts'
import type { JobState, NewJob } from '../../src/domain/job/job.ts'
import { createCalls } from '../../src/store/calls.ts'
import { openDatabase } from '../../src/store/database.ts'
import { createLedger, type Ledger } from '../../src/store/ledger.ts'
import { createQueue, type Queue } from '../../src/store/queue.ts'
import { createSweep, type Sweep } from '../../src/store/sweep.ts'

/** The columns that tests compare. */
export interface JobRow {
  readonly seq: number
  readonly id: string
  readonly kind: string
  readonly model: string
  readonly residency_key: string
  readonly state: JobState
  readonly slot: number | null
  readonly attempt: number
  readonly deferrals: number
  readonly not_before: number | null
  readonly error_code: string | null
  readonly error_message: string | null
  readonly created_at: number
  readonly started_at: number | null
  readonly completed_at: number | null
  readonly updated_at: number
}

export interface TestStore {
  readonly path: string
  readonly db: Database
  readonly ledger: Ledger
  readonly queue: Queue
  readonly sweep: Sweep
  row(id: string): JobRow | null
  /** Where a call waits that has no row yet. */
  place(id: string): number | null
  rows(): JobRow[]
  /** Ledger and queue as a new process on the same file would make them; `reopenFile` opens the file anew as well. */
  restart(reopenFile?: boolean): void
  /** Empties every table, then restarts: cheaper than a new file for the next of many cases. */
  clear(): void
  close(): void
}

interface StoreOptions {
  readonly maxQueue?: number
  /** Memory-backed where the system has it: for many cases that do not measure the disk. */
  readonly fast?: boolean
}

/** A directory under the system's temporary one, or in shared memory when `fast`. */
export const temporaryDirectory = (fast = false): string =>
  mkdtempSync(join(fast && existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'foreman-test-'))

/** Opens a database that must open. */
export const opened = (path: string): Database => {
  const result = openDatabase(path)
  if (result.kind === 'refused') throw new Error(result.message)
  return result.db
}

/** A fresh store. */
export const createTestStore = ({ maxQueue = 1_000_000, fast = false }: StoreOptions = {}): TestStore => {
  // bun keeps 20 statements of a connection: each restart would prepare the others anew, which takes longer than most cases.
  if (fast) Database.MAX_QUERY_CACHE_SIZE = 200
  const directory = temporaryDirectory(fast)
  const path = join(directory, 'foreman.db')
  const parts = (db: Database) => {
    // A ledger takes a connection as openDatabase leaves it.
    db.run('PRAGMA synchronous = FULL')
    const ledger = createLedger(db)
    const calls = createCalls()
    return {
      db,
      ledger,
      calls,
      queue: createQueue({ db, ledger, maxQueue, calls }),
      sweep: createSweep({ db, ledger, clock: systemClock }),
    }
  }
  let now = parts(opened(path))
  return {
    path,
    get db() {
      return now.db
    },
    get ledger() {
      return now.ledger
    },
    get queue() {
      return now.queue
    },
    get sweep() {
      return now.sweep
    },
    row: (id) => now.db.query<JobRow, [string]>('SELECT * FROM jobs WHERE id = ?1').get(id),
    place: (id) => now.calls.find(id)?.seq ?? null,
    rows: () => now.db.query<JobRow, []>('SELECT * FROM jobs ORDER BY seq').all(),
    restart(reopenFile = false) {
      now.ledger.commit()
      if (reopenFile) now.db.close()
      now = parts(reopenFile ? opened(path) : now.db)
    },
    clear() {
      now.ledger.commit()
      now.db.run('DELETE FROM jobs')
      now = parts(now.db)
    },
    close() {
      now.ledger.commit()
      now.db.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** A job as somebody submits it, an async chat unless `over` says otherwise. */
export const newJob = (id: string, over: Partial<NewJob> = {}): NewJob => ({
  id,
  kind: 'async',
  endpoint: '/api/chat',
  model: 'm-a',
  residencyKey: 'm-a',
  maxAttempts: 3,
  request: null,
  webhookUrl: null,
  ...over,
})

/** A claim for the first slot that knows of nothing loaded, nothing that runs and no age bound. */
export const plainClaim = (now: number): ClaimQuery => ({
  now,
  slot: 0,
  activeKey: null,
  residentKeys: [],
  loadedKeys: [],
  agedBefore: null,
})
