/** Group commit: writes that come close together share one transaction; nobody is told that a write is safe before it is committed. */
import type { Database } from 'bun:sqlite'
import type { Clock } from '../domain/clock.ts'
import { type LogGate, openGate } from './log.ts'
import { type Durability, Transactor } from './transactor.ts'

export type { Durability } from './transactor.ts'

export interface Ledger {
  /** Runs `op` inside the next transaction. It may run twice, so it must touch nothing but the database. `committed` is called before anybody else is. */
  write<T>(durability: Durability, op: () => T, committed?: (value: T) => void): Promise<T>
  /**
   * Runs `op`, one statement, at once, and gives what it says before it is committed: within 10 ms, or with the next write. It throws when the
   * database refuses the statement; what a refused commit takes back is done again before anything else is written. Not while the log is shut.
   */
  note<T>(op: () => T): T
  /** Nobody may write just now: whatever is written waits. */
  readonly isShut: boolean
  /** No write waits: what the connection reads is as new as it gets. */
  readonly isIdle: boolean
  /** The disk refused a write and has taken none since. */
  readonly isRefused: boolean
  /** Commits what was noted, now. */
  commit(): void
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
// A commit costs three times what a call's two statements cost: as many calls share it as come in this time.
const NOTED_MS = 10
// What a full disk took back is tried again.
const AGAIN_MS = 1_000

const pend = <T>(
  { durability, op, committed }: { durability: Durability; op: () => T; committed: ((value: T) => void) | undefined },
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
      if (outcome === undefined) return
      committed?.(outcome.value)
      resolve(outcome.value)
    },
    reject,
  }
}

/** Called back once however often it was asked meanwhile. */
const createTimer = (clock: Pick<Clock, 'after'> | null, run: () => void) => {
  let isSet = false
  const ring = () => {
    isSet = false
    run()
  }
  return (delayMs: number) => {
    if (isSet) return
    isSet = true
    if (clock === null) setImmediate(ring)
    else clock.after(delayMs, ring)
  }
}

/** The ledger of one open database; without a clock nothing waits longer than a turn of the event loop. */
export const createLedger = (
  db: Database,
  clock: Pick<Clock, 'after'> | null = null,
  isInPlace: () => boolean = () => true,
  log: LogGate = openGate,
): Ledger => {
  const transactor = new Transactor(db, isInPlace, log.committed)
  let waiting: Pending[] = []

  const commitBatch = (batch: readonly Pending[]) => {
    try {
      transactor.transact(batch)
      for (const p of batch) p.resolve()
    } catch (error) {
      // One bad write must not fail its neighbours: each is tried alone.
      const [only] = batch
      if (batch.length === 1) only?.reject(error)
      else for (const p of batch) commitBatch([p])
    }
  }

  const flush = () => {
    if (log.isShut) return
    const batch = waiting.slice(0, BATCH_MAX)
    waiting = waiting.slice(BATCH_MAX)
    if (waiting.length > 0) soon(0)
    if (batch.length > 0) commitBatch(batch)
  }
  const soon = createTimer(null, flush)
  const lazily = createTimer(clock, () => waiting.length > 0 && soon(0))
  const commit = () => {
    // With a clock only: whoever has none would spin.
    if (!transactor.commitNoted() && clock !== null) again(AGAIN_MS)
  }
  const later = createTimer(clock, commit)
  const again = createTimer(clock, commit)

  log.onShut(commit)
  log.onOpen(() => waiting.length > 0 && soon(0))
  return {
    totals: transactor.totals,
    isWritable: () => transactor.isWritable(),
    commit,
    get isShut() {
      return log.isShut
    },
    get isIdle() {
      return waiting.length === 0
    },
    get isRefused() {
      return transactor.isRefused
    },
    write: (durability, op, committed) =>
      new Promise((resolve, reject) => {
        waiting.push(pend({ durability, op, committed }, resolve, reject))
        if (durability === 'lazy' && clock !== null) lazily(LAZY_MS)
        else soon(0)
      }),
    note(op) {
      const value = transactor.note(op)
      later(NOTED_MS)
      return value
    },
  }
}
