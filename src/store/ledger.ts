/** Group commit: every write of one turn of the event loop shares one transaction; a write is told only what is committed. */
import { type Database, SQLiteError } from 'bun:sqlite'
import type { Clock } from '../domain/clock.ts'
import { type LogGate, openGate } from './log.ts'

/**
 * `promised` is a durable one of which somebody will be told that it is safe: it is refused when the file it would go to is no longer there.
 * `durable` waits for an fsync; `quick` survives kill -9 but not a power cut; `lazy` is a quick one that waits up to 2 ms for a transaction
 * that is begun anyway (ADR 0004).
 */
export type Durability = 'promised' | 'durable' | 'quick' | 'lazy'

export interface Ledger {
  /** Runs `op` inside the next transaction. It may run twice, so it must touch nothing but the database. */
  write<T>(durability: Durability, op: () => T): Promise<T>
  /** False while the file is gone, and from a write that the disk refused until one that it took; a full disk is asked again by each call. */
  isWritable(): boolean
  /** Transactions and the writes in them so far. */
  readonly totals: { readonly transactions: number; readonly writes: number }
}

interface Pending {
  readonly durability: Durability
  run(): void
  resolve(): void
  reject(error: unknown): void
}

// 100 rows hold the event loop about 1.5 ms; a longer queue of writes is cut into several transactions.
const BATCH_MAX = 100
const LAZY_MS = 2

const pend = <T>(
  durability: Durability,
  op: () => T,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): Pending => {
  let outcome: { value: T } | undefined
  return {
    durability,
    run() {
      outcome = { value: op() }
    },
    resolve() {
      if (outcome) resolve(outcome.value)
    },
    reject,
  }
}

/** Full, failing or read-only: not a fault of the statement. */
const isDiskFault = (error: unknown): boolean =>
  error instanceof SQLiteError && /^SQLITE_(FULL|IOERR|READONLY|CANTOPEN|BUSY|CORRUPT)/.test(error.code ?? '')

/** Begins and commits on one connection; what it runs is there as a whole or not at all. */
const createTransactor = (db: Database, isInPlace: () => boolean) => {
  const begin = db.query('BEGIN IMMEDIATE')
  const commit = db.query('COMMIT')
  const totals = { transactions: 0, writes: 0 }
  let synchronous: 'FULL' | 'NORMAL' = 'FULL'
  let refused = false

  const setSynchronous = (wanted: 'FULL' | 'NORMAL') => {
    if (wanted === synchronous) return
    db.run(`PRAGMA synchronous = ${wanted}`)
    synchronous = wanted
  }

  /** Rewrites one number in the file's head: the smallest write that needs the disk. */
  const tryWrite = (): boolean => {
    try {
      db.run(
        `PRAGMA user_version = ${db.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version}`,
      )
      return true
    } catch (error) {
      if (isDiskFault(error)) return false
      throw error
    }
  }

  return {
    totals,
    transact(batch: readonly Pending[]) {
      if (batch.some((p) => p.durability === 'promised') && !isInPlace()) throw new Error('the database file is gone')
      setSynchronous(batch.some((p) => p.durability === 'durable' || p.durability === 'promised') ? 'FULL' : 'NORMAL')
      try {
        begin.run()
        for (const p of batch) p.run()
        commit.run()
      } catch (error) {
        // A full disk may already have rolled the transaction back.
        if (db.inTransaction) db.run('ROLLBACK')
        refused ||= isDiskFault(error)
        throw error
      }
      refused = false
      totals.transactions++
      totals.writes += batch.length
    },
    isWritable() {
      if (refused && tryWrite()) refused = false
      return !refused && isInPlace()
    },
  }
}

/** The ledger of one open database; without a clock nothing is lazy. */
export const createLedger = (
  db: Database,
  clock: Pick<Clock, 'after'> | null = null,
  isInPlace: () => boolean = () => true,
  log: LogGate = openGate,
): Ledger => {
  const { totals, transact, isWritable } = createTransactor(db, isInPlace)
  let waiting: Pending[] = []
  let isScheduled = false
  let lazyIsTimed = false

  const commitBatch = (batch: readonly Pending[]) => {
    try {
      transact(batch)
      log.committed()
      for (const p of batch) p.resolve()
    } catch (error) {
      // One bad write must not fail its neighbours: each is tried alone.
      const [only] = batch
      if (batch.length === 1) only?.reject(error)
      else for (const p of batch) commitBatch([p])
    }
  }

  const schedule = () => {
    if (isScheduled || log.isShut || waiting.length === 0) return
    isScheduled = true
    setImmediate(flush)
  }

  const flush = () => {
    isScheduled = false
    if (log.isShut) return
    const batch = waiting.slice(0, BATCH_MAX)
    waiting = waiting.slice(BATCH_MAX)
    schedule()
    commitBatch(batch)
  }

  /** One timer for all: it may find that they have gone with another transaction. */
  const scheduleLazily = ({ after }: Pick<Clock, 'after'>) => {
    if (lazyIsTimed) return
    lazyIsTimed = true
    after(LAZY_MS, () => {
      lazyIsTimed = false
      schedule()
    })
  }

  log.onOpen(schedule)
  return {
    totals,
    isWritable,
    write: (durability, op) =>
      new Promise((resolve, reject) => {
        waiting.push(pend(durability, op, resolve, reject))
        if (durability === 'lazy' && clock !== null) scheduleLazily(clock)
        else schedule()
      }),
  }
}
