/** How many wait before a job, by residency key: rows are counted once and kept, so that 64 submitters do not each count the queue. It never writes. */
import type { Database } from 'bun:sqlite'
import type { Ahead, LineReader } from '../domain/job/reading.ts'
import type { Calls } from './calls.ts'

/** What the queue tells when a ready row goes or comes. */
export interface LineNews {
  /** A new job stands at the end, or nearly. */
  appended(seq: number, residencyKey: string): void
  left(seq: number, residencyKey: string): void
  /** A job is back at its old place. */
  joined(seq: number, residencyKey: string): void
  /** Something changed that is not known in detail: count again. */
  stirred(): void
}

export interface Line extends LineNews, LineReader {}

// 10,000 rows are counted in 3 ms.
const COUNT_MAX = 50_000
// A line that was too long is looked at again after so many have left it.
const LOOK_AGAIN = 1_000
const TAIL_MAX = 1_000

/** What is known of the jobs below `seq`. */
interface Counted {
  readonly seq: number
  readonly total: number
  readonly byKey: Map<string, number>
}

/** Counts the part of the tail that is below `seq`, and takes it out. */
const fold = (from: Counted, tail: Map<number, string>, seq: number): Counted => {
  const { byKey } = from
  let { total } = from
  for (const [tailSeq, residencyKey] of tail) {
    if (tailSeq >= seq) break
    byKey.set(residencyKey, (byKey.get(residencyKey) ?? 0) + 1)
    total++
    tail.delete(tailSeq)
  }
  return { seq, total, byKey }
}

/** Counts in the database: from the beginning, or on from what is known. */
const createCount = (db: Database) => {
  const between = db.query<{ residencyKey: string; jobs: number }, [number, number]>(
    `SELECT residency_key AS residencyKey, count(*) AS jobs FROM (
       SELECT residency_key FROM jobs INDEXED BY jobs_ready
       WHERE state = 'queued' AND not_before IS NULL AND seq >= +?1 AND seq < +?2 LIMIT ${COUNT_MAX + 1})
     GROUP BY residency_key`,
  )
  return (from: Counted | null, seq: number): Counted => {
    const byKey = from?.byKey ?? new Map<string, number>()
    let total = from?.total ?? 0
    for (const { residencyKey, jobs } of between.all(from?.seq ?? 0, seq)) {
      byKey.set(residencyKey, (byKey.get(residencyKey) ?? 0) + jobs)
      total += jobs
    }
    return { seq, total, byKey }
  }
}

/** One more or less of a key; null when that cannot be. */
const shifted = (counted: Counted, residencyKey: string, by: 1 | -1): Counted | null => {
  const jobs = (counted.byKey.get(residencyKey) ?? 0) + by
  if (jobs < 0) return null
  if (jobs === 0) counted.byKey.delete(residencyKey)
  else counted.byKey.set(residencyKey, jobs)
  return { ...counted, total: counted.total + by }
}

/** Rows and calls together. */
const together = (rows: Ahead, calls: Ahead): Ahead => {
  const byKey = new Map(rows.byKey)
  for (const [key, jobs] of calls.byKey) byKey.set(key, (byKey.get(key) ?? 0) + jobs)
  return { total: rows.total + calls.total, byKey }
}

/** The line of one database and of the calls beside it. */
export const createLine = (db: Database, calls: Pick<Calls, 'below' | 'size'>): Line => {
  const count = createCount(db)
  let known: Counted | null = null
  let tooLong: { readonly seq: number; left: number } | null = null
  // Every ready job from `known.seq` on, in order, or null when that is not known: a submitter asks for its own place at once,
  // and what came since the last one need not be counted in the database.
  let tail: Map<number, string> | null = null
  let newest: { readonly seq: number; readonly residencyKey: string } | null = null

  const stirred = () => {
    known = null
    tooLong = null
    tail = null
    newest = null
  }
  const countTo = (seq: number): Counted => {
    if (known === null || seq < known.seq) {
      tail = null
      return count(null, seq)
    }
    return tail === null ? count(known, seq) : fold(known, tail, seq)
  }
  const moved = (seq: number, residencyKey: string, by: 1 | -1) => {
    if (tooLong !== null && ++tooLong.left > LOOK_AGAIN) stirred()
    if (known === null || seq >= known.seq) {
      if (by === -1) tail?.delete(seq)
      else tail = null
      return
    }
    known = shifted(known, residencyKey, by)
    if (known === null) stirred()
  }

  return {
    stirred,
    appended(seq, residencyKey) {
      // One that was numbered later has been counted before it.
      if (known !== null && seq < known.seq) return moved(seq, residencyKey, 1)
      newest = { seq, residencyKey }
      tail?.set(seq, residencyKey)
      if (known !== null && tail !== null && tail.size > TAIL_MAX) known = fold(known, tail, seq)
    },
    left(seq, residencyKey) {
      if (newest?.seq === seq) newest = null
      moved(seq, residencyKey, -1)
    },
    joined: (seq, residencyKey) => moved(seq, residencyKey, 1),
    ahead(seq) {
      if (tooLong !== null && seq >= tooLong.seq) return null
      known = countTo(seq)
      if (known.total > COUNT_MAX) {
        stirred()
        tooLong = { seq, left: 0 }
        return null
      }
      if (tail === null && newest?.seq === seq) tail = new Map([[seq, newest.residencyKey]])
      return calls.size === 0 ? known : together(known, calls.below(seq))
    },
  }
}
