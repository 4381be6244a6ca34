/** Whether the files of an open database are still where they were: SQLite itself goes on writing into a file that somebody deleted. */
import { statSync } from 'node:fs'

/** Device and number of a file, which a file that takes its place has not. */
const identityOf = (path: string): string | null => {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`
}

/** Looks at the database at `path` as it is now, and says of each later moment whether it is still that one: two stats, 4 us. */
export const watchPlace = (path: string): (() => boolean) => {
  // A checkpoint empties the log and leaves it there as long as the database is open. One that is not there yet is learned when it is.
  const files = [path, `${path}-wal`].map((file) => ({ file, identity: identityOf(file) }))
  return () =>
    files.every((known) => {
      const identity = identityOf(known.file)
      known.identity ??= identity
      return identity === known.identity
    })
}

/** Whether only the log of a database is left: SQLite would begin an empty database and delete it. */
export const isOnlyLog = (path: string): boolean => {
  const bytesOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0
  return bytesOf(path) === 0 && bytesOf(`${path}-wal`) > 0
}
