/** Opens the one database file, checks its promises and brings its schema up to date; it must never repair by guessing. */
import { Database } from 'bun:sqlite'
import { isOnlyLog } from './in-place.ts'
import { isNewFile, migrate, newerSchema, type PartSchema } from './migrate.ts'

export type Opened =
  | { readonly kind: 'opened'; readonly db: Database }
  | { readonly kind: 'refused'; readonly message: string }

const SQLITE_MIN = [3, 51, 3] as const

const pragma = (db: Database, name: string): unknown => {
  const row = db.query<Record<string, unknown>, []>(`PRAGMA ${name}`).get()
  return row === null ? null : Object.values(row)[0]
}

/** Older versions can lose a commit when a WAL is reset at the wrong moment. */
const isTooOld = (version: string): boolean => {
  const parts = version.split('.').map(Number)
  for (const [i, wanted] of SQLITE_MIN.entries()) {
    const part = parts[i] ?? 0
    if (part !== wanted) return part < wanted
  }
  return false
}

const prepare = (db: Database, path: string, parts: readonly PartSchema[]): Opened => {
  const version = String(db.query<{ v: string }, []>('SELECT sqlite_version() AS v').get()?.v)
  if (isTooOld(version))
    return { kind: 'refused', message: `SQLite ${version} is too old: ${SQLITE_MIN.join('.')} is needed` }
  const newer = newerSchema(db, path, parts)
  if (newer !== null) return { kind: 'refused', message: newer }
  // Both must be set before the first table. A job dirties about seven pages per commit: with 2 KiB ones a commit takes
  // 27 us instead of 45, and a 256 KiB artifact 1.5 ms instead of 1.35. auto_vacuum lets the janitor give space back.
  if (isNewFile(db)) {
    db.run('PRAGMA page_size = 2048')
    db.run('PRAGMA auto_vacuum = INCREMENTAL')
  }
  db.run('PRAGMA journal_mode = WAL')
  db.run('PRAGMA synchronous = FULL')
  db.run('PRAGMA busy_timeout = 100')
  db.run('PRAGMA cache_size = -16384')
  // 8000 pages, 16 MB, for as long as no thread moves the log (log.ts).
  db.run('PRAGMA wal_autocheckpoint = 8000')
  if (pragma(db, 'journal_mode') !== 'wal' || pragma(db, 'synchronous') !== 2)
    return {
      kind: 'refused',
      message: `${path} does not take WAL with synchronous=FULL: is it on a network file system?`,
    }
  migrate(db, parts)
  db.run('PRAGMA foreign_keys = ON')
  return { kind: 'opened', db }
}

/** Opens or creates `path`. A file that is no database, or is newer than this binary or one of its parts, is refused in one sentence. */
export const openDatabase = (path: string, parts: readonly PartSchema[] = []): Opened => {
  let db: Database | undefined
  try {
    if (isOnlyLog(path))
      return {
        kind: 'refused',
        message: `${path} is missing beside its -wal, which may hold accepted jobs: put it back, or remove the -wal to begin empty`,
      }
    db = new Database(path, { create: true, readwrite: true, strict: true })
    const opened = prepare(db, path, parts)
    if (opened.kind === 'refused') db.close()
    return opened
  } catch (error) {
    db?.close()
    return {
      kind: 'refused',
      message: `cannot open ${path}: ${error instanceof Error ? error.message : String(error)}`,
    }
  }
}
