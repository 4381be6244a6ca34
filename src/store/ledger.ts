/** Group commit: every write of one turn of the event loop shares one transaction; a write is told only what is committed. */
import type { Database } from 'bun:sqlite'

/** `durable` waits for an fsync (an acknowledged async job); `quick` survives kill -9 but not a power cut (ADR 0004). */
export type Durability = 'durable' | 'quick'

export interface Ledger {
  /** Runs `op` inside the next transaction. It may run twice, so it must touch nothing but the database. */
  write<T>(durability: Durability, op: () => T): Promise<T>
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

/** The ledger of one open database. */
export const createLedger = (db: Database): Ledger => {
  const begin = db.query('BEGIN IMMEDIATE')
  const commit = db.query('COMMIT')
  const totals = { transactions: 0, writes: 0 }
  let waiting: Pending[] = []
  let synchronous: 'FULL' | 'NORMAL' = 'FULL'

  const setSynchronous = (wanted: 'FULL' | 'NORMAL') => {
    if (wanted === synchronous) return
    db.run(`PRAGMA synchronous = ${wanted}`)
    synchronous = wanted
  }

  const transact = (batch: readonly Pending[]) => {
    setSynchronous(batch.some((p) => p.durability === 'durable') ? 'FULL' : 'NORMAL')
    begin.run()
    try {
      for (const p of batch) p.run()
      commit.run()
    } catch (error) {
      // A full disk may already have rolled the transaction back.
      if (db.inTransaction) db.run('ROLLBACK')
      throw error
    }
    totals.transactions++
    totals.writes += batch.length
  }

  const commitBatch = (batch: readonly Pending[]) => {
    try {
      transact(batch)
      for (const p of batch) p.resolve()
    } catch (error) {
      // One bad write must not fail its neighbours: each is tried alone.
      const [only] = batch
      if (batch.length === 1) only?.reject(error)
      else for (const p of batch) commitBatch([p])
    }
  }

  const flush = () => {
    const batch = waiting.slice(0, BATCH_MAX)
    waiting = waiting.slice(BATCH_MAX)
    if (waiting.length > 0) setImmediate(flush)
    commitBatch(batch)
  }

  return {
    totals,
    write: (durability, op) =>
      new Promise((resolve, reject) => {
        waiting.push(pend(durability, op, resolve, reject))
        if (waiting.length === 1) setImmediate(flush)
      }),
  }
}
