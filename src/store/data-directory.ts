/** Takes a data directory for this process alone and opens its database; whatever is wrong with it comes back as one sentence. */
import type { Database } from 'bun:sqlite'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openDatabase } from './database.ts'
import { watchPlace } from './in-place.ts'
import { acquireLock, type Lock } from './lock.ts'
import type { PartSchema } from './migrate.ts'
import { makePrivate } from './private.ts'

export type DataDirectory =
  | {
      readonly kind: 'opened'
      readonly db: Database
      /** The database file. */
      readonly path: string
      /** What is not as it should be and no reason to refuse. */
      readonly warnings: readonly string[]
      /** False once somebody has deleted, moved or replaced the files that are open. */
      isInPlace(): boolean
      close(): void
    }
  | { readonly kind: 'refused'; readonly message: string }

/** Locks and opens `path`, creating it when it is not there, with the tables of these parts. */
export const openDataDirectory = (path: string, parts: readonly PartSchema[] = []): DataDirectory => {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const lock = acquireLock(join(path, 'foreman.lock'))
    if (lock.kind === 'held')
      return {
        kind: 'refused',
        message: `another foreman (pid ${lock.pid}) already runs on ${path}: one per data directory`,
      }
    if (lock.kind === 'impossible')
      return {
        kind: 'refused',
        message: `the file system of ${path} has no locks (${lock.code}): FOREMAN_DATA_DIR needs a local disk`,
      }
    try {
      return openLocked(path, lock, parts)
    } catch (error) {
      lock.release()
      throw error
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { kind: 'refused', message: `FOREMAN_DATA_DIR ${path} cannot be used: ${why}` }
  }
}

const openLocked = (
  path: string,
  lock: Extract<Lock, { kind: 'locked' }>,
  parts: readonly PartSchema[],
): DataDirectory => {
  const file = join(path, 'foreman.db')
  const warnings = makePrivate(path, file)
  const opened = openDatabase(file, parts)
  if (opened.kind === 'refused') {
    lock.release()
    return opened
  }
  const { db } = opened
  const close = () => {
    db.close()
    lock.release()
  }
  return { kind: 'opened', db, path: file, warnings, isInPlace: watchPlace(file), close }
}
