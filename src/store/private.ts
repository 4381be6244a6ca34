/** Keeps what people said to their models private to foreman's user, whatever the umask is; it must never narrow a directory that others use too. */
import { chmodSync, closeSync, existsSync, openSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const OTHERS = 0o077
const OTHERS_WRITE = 0o022
const STICKY = 0o1000

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0')
const isOurFile = (name: string): boolean => name.startsWith('foreman.')

/** Windows knows no such modes: there the profile's directory is private by itself. */
const hasModes = process.getuid !== undefined

/** Takes a mode away from everybody else; a file system or an owner may not let it. */
const narrow = (path: string, mode: number): void => {
  try {
    chmodSync(path, mode)
  } catch {
    // What could not be done is read back and told.
    return
  }
}

const problemOfDirectory = (path: string): string | null => {
  const { mode, uid } = statSync(path)
  // systemd makes a StateDirectory 0755. One that holds more than foreman's files is shared, and narrowing it would lock others out.
  if (uid === process.getuid?.() && (mode & OTHERS) !== 0 && readdirSync(path).every(isOurFile)) narrow(path, 0o700)
  const now = statSync(path).mode
  return (now & OTHERS_WRITE) === 0 || (now & STICKY) !== 0
    ? null
    : `other users can write to ${path} (mode ${octal(now)}), so they can take its database away: chmod 0700 it`
}

const problemOfFile = (path: string): string | null => {
  if ((statSync(path).mode & OTHERS) !== 0) narrow(path, 0o600)
  const { mode, uid } = statSync(path)
  if ((mode & OTHERS) !== 0)
    return `other users can read ${path} (mode ${octal(mode)}), which holds prompts and answers: chmod 0600 it`
  return uid === process.getuid?.() || process.getuid?.() === 0
    ? null
    : `${path} belongs to another user, who can read the prompts and answers in it`
}

/** Makes the directory and the files in it private, creating `database` so; what stays open to others comes back as warnings. */
export const makePrivate = (directory: string, database: string): string[] => {
  if (!hasModes) return []
  // SQLite gives its -wal and -shm the mode of the database, so a private empty file makes all of them private from the first byte.
  // Beside a -wal that is all there is, an empty one would only hide that the database is missing.
  if (!existsSync(`${database}-wal`)) closeSync(openSync(database, 'a', 0o600))
  const files = readdirSync(directory).filter(isOurFile)
  return [problemOfDirectory(directory), ...files.map((name) => problemOfFile(join(directory, name)))].filter(
    (problem) => problem !== null,
  )
}
