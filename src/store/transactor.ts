/** Begins, commits and takes back on one connection: what a transaction holds is there as a whole or not at all. */
import { type Database, SQLiteError, type Statement } from 'bun:sqlite'

/**
 * `promised` is a durable one of which somebody will be told that it is safe: it is refused when the file it would go to is no longer there.
 * `durable` waits for an fsync; `quick` survives kill -9 but not a power cut; `lazy` is a quick one that waits up to 2 ms for a transaction
 * that is begun anyway (ADR 0004).
 */
export type Durability = 'promised' | 'durable' | 'quick' | 'lazy'

interface Write {
  readonly durability: Durability
  run(): void
}

/** Full, failing or read-only: not a fault of the statement. */
export const isDiskFault = (error: unknown): boolean =>
  error instanceof SQLiteError && /^SQLITE_(FULL|IOERR|READONLY|CANTOPEN|BUSY|CORRUPT)/.test(error.code ?? '')

const isDurable = ({ durability }: Write) => durability === 'durable' || durability === 'promised'

/** The transactions of one connection. */
export class Transactor {
  readonly totals = { transactions: 0, writes: 0 }
  readonly #db: Database
  readonly #isInPlace: () => boolean
  readonly #committed: () => void
  readonly #begin: Statement
  readonly #commit: Statement
  #synchronous: 'FULL' | 'NORMAL' = 'FULL'
  #isRefused = false
  #isOpen = false
  /** What was noted in the transaction that is open. */
  #noted: (() => unknown)[] = []
  /** What was noted, and taken back because the disk refused. */
  #undone: (() => unknown)[] = []

  /** `committed` is called after each transaction. */
  constructor(db: Database, isInPlace: () => boolean, committed: () => void) {
    this.#db = db
    this.#isInPlace = isInPlace
    this.#committed = committed
    this.#begin = db.query('BEGIN IMMEDIATE')
    this.#commit = db.query('COMMIT')
  }

  /** The disk refused a write and has taken none since. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /** Runs all of these and commits them, with what was noted. */
  transact(batch: readonly Write[]): void {
    if (batch.some(({ durability }) => durability === 'promised') && !this.#isInPlace())
      throw new Error('the database file is gone')
    const mustSync = batch.some(isDurable)
    // How a transaction is synced is said before it begins.
    if (this.#isOpen && mustSync) this.commitNoted()
    this.#whole(() => {
      if (!this.#isOpen) this.#open(mustSync ? 'FULL' : 'NORMAL')
      for (const write of batch) write.run()
      this.#close(batch.length)
    })
  }

  /** Runs one statement in a transaction that stays open; on a disk that has refused before, in one of its own. */
  note<T>(op: () => T): T {
    if (this.#isRefused) return this.#alone(op)
    try {
      if (!this.#isOpen) this.#open('NORMAL')
      const value = op()
      this.#noted.push(op)
      return value
    } catch (error) {
      // A rule that forbids this statement leaves the others where they are.
      if (isDiskFault(error)) this.#takeBack(error)
      throw error
    }
  }

  /** False when the disk does not take what was noted. */
  commitNoted(): boolean {
    try {
      this.#whole(() => {
        if (!this.#isOpen && this.#undone.length > 0) this.#open('NORMAL')
        if (this.#isOpen) this.#close(0)
      })
      return true
    } catch {
      return false
    }
  }

  isWritable(): boolean {
    if (!this.#isRefused) return this.#isInPlace()
    try {
      // Rewrites one number in the file's head: the smallest write that needs the disk.
      const version = this.#db.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version
      this.#alone(() => this.#db.run(`PRAGMA user_version = ${version}`))
    } catch (error) {
      if (!isDiskFault(error)) throw error
    }
    return !this.#isRefused && this.#isInPlace()
  }

  #alone<T>(op: () => T): T {
    return this.#whole(() => {
      this.#open('NORMAL')
      const value = op()
      this.#close(1)
      return value
    })
  }

  #whole<T>(run: () => T): T {
    try {
      return run()
    } catch (error) {
      this.#takeBack(error)
      throw error
    }
  }

  #open(synchronous: 'FULL' | 'NORMAL'): void {
    if (synchronous !== this.#synchronous) this.#db.run(`PRAGMA synchronous = ${synchronous}`)
    this.#synchronous = synchronous
    this.#begin.run()
    this.#isOpen = true
    for (const op of this.#undone) {
      try {
        op()
      } catch (error) {
        if (isDiskFault(error)) throw error
        // The rules of the database forbid it by now: it is history that nobody was promised.
      }
    }
  }

  #close(writes: number): void {
    this.#commit.run()
    this.#isOpen = false
    this.#isRefused = false
    this.totals.transactions++
    this.totals.writes += writes + this.#noted.length
    this.#noted = []
    this.#undone = []
    this.#committed()
  }

  #takeBack(error: unknown): void {
    // A full disk may already have rolled the transaction back.
    if (this.#db.inTransaction) this.#db.run('ROLLBACK')
    this.#isOpen = false
    this.#undone.push(...this.#noted)
    this.#noted = []
    this.#isRefused ||= isDiskFault(error)
  }
}
