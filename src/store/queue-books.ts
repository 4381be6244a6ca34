/** What the queue keeps beside its table, made anew for each process: who waits, in which order, and how a change is told; it must never decide anything. */
import type { Database } from 'bun:sqlite'
import type { ActiveJob } from '../domain/job/job.ts'
import type { Bodies } from './bodies.ts'
import type { Calls } from './calls.ts'
import { createClaims } from './claims.ts'
import type { Durability, Ledger } from './ledger.ts'
import type { LineNews } from './line.ts'
import { queueWrites } from './queue-writes.ts'
import { createWaitingRows } from './waiting.ts'

export interface QueueDeps {
  readonly db: Database
  readonly ledger: Ledger
  /** Bound of the waiting jobs. */
  readonly maxQueue: number
  /** Called after each change of a job; `mayOwe`: somebody may have to be told of it. */
  readonly changed?: (jobId: string, mayOwe: boolean) => void
  /** Hears of ready rows that go and come. */
  readonly line?: LineNews
  /** Where the calls wait; whoever reads the line reads it too. */
  readonly calls?: Calls
  readonly bodies?: Bodies
}

export const nobodyCounts: LineNews = {
  appended: () => undefined,
  left: () => undefined,
  joined: () => undefined,
  stirred: () => undefined,
}

export const nothing = () => undefined

export type Resolved = Required<QueueDeps>

/** What the queue knows beside the table, made anew for each process. */
export const createBooks = (deps: Resolved) => {
  const { ledger, calls, line, changed } = deps
  const writes = queueWrites(deps.db)
  const rows = createWaitingRows()
  const recount = () => rows.recount({ queued: writes.queued(), nextDueAt: writes.nextDueAt() })
  recount()
  let lastSeq = writes.lastSeq()
  return {
    writes,
    rows,
    recount,
    /** One order for rows and calls: its numbers are handed out here, and some are never used. */
    nextSeq: () => ++lastSeq,
    claim: createClaims({
      ledger,
      writes,
      rows,
      calls,
      ripened: line.stirred,
      left(job, wasCall) {
        if (!wasCall) {
          rows.went()
          line.left(job.seq, job.residencyKey)
        }
        changed(job.id, job.hasWebhook)
      },
    }),
  }
}

export type Books = ReturnType<typeof createBooks>

/** Only what somebody was promised pays for an fsync or is waited for: nothing of a sync call outlives its client. `done` is called before anything else happens. */
export const createTell =
  ({ ledger }: Resolved) =>
  async <T>(
    kind: ActiveJob['kind'],
    durability: Durability,
    op: () => T,
    done: (value: T) => void = nothing,
  ): Promise<T> => {
    if (kind === 'async') return ledger.write(durability, op, done)
    if (ledger.isShut) return ledger.write('quick', op, done)
    const value = ledger.note(op)
    done(value)
    return value
  }
