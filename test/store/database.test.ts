/** Opening the database: its promises are read back, and a file that is not ours is refused in one sentence. */
import { Database } from 'bun:sqlite'
import { afterAll, expect, test } from 'bun:test'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDatabase } from '../../src/store/database.ts'
import { migrations } from '../../src/store/migrate.ts'
import { opened, temporaryDirectory } from '../support/store.ts'

const directory = temporaryDirectory()
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const pathOf = (name: string) => join(directory, `${name}.db`)
const pragma = (db: Database, name: string): unknown =>
  Object.values(db.query<Record<string, unknown>, []>(`PRAGMA ${name}`).get() ?? {})[0]

const refusalOf = (path: string): string => {
  const result = openDatabase(path)
  if (result.kind === 'opened') {
    result.db.close()
    throw new Error(`${path} was opened`)
  }
  return result.message
}

test('every pragma that the promises rest on reads back', () => {
  const db = opened(pathOf('pragmas'))
  const read = Object.fromEntries(
    ['journal_mode', 'synchronous', 'foreign_keys', 'busy_timeout', 'auto_vacuum'].map((name) => [
      name,
      pragma(db, name),
    ]),
  )
  expect(read).toEqual({
    journal_mode: 'wal',
    synchronous: 2,
    foreign_keys: 1,
    busy_timeout: 100,
    auto_vacuum: 2,
  })
  // What a burst may leave in the log before it is moved into the database: far below the 64 MB promised.
  const logBytes = Number(pragma(db, 'wal_autocheckpoint')) * Number(pragma(db, 'page_size'))
  expect(logBytes).toBeLessThanOrEqual(32 * 1024 * 1024)
  expect(logBytes).toBeGreaterThan(0)
  db.close()
})

test('the pragmas read back when the file is opened again', () => {
  opened(pathOf('again')).close()
  const db = opened(pathOf('again'))
  expect([pragma(db, 'synchronous'), pragma(db, 'foreign_keys'), pragma(db, 'auto_vacuum')]).toEqual([2, 1, 2])
  db.close()
})

test('migrating twice changes nothing', () => {
  const dump = (db: Database) => db.query('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all()
  const first = opened(pathOf('twice'))
  const schema = dump(first)
  expect(pragma(first, 'user_version')).toBe(migrations.length)
  first.close()
  const second = opened(pathOf('twice'))
  expect(dump(second)).toEqual(schema)
  expect(pragma(second, 'user_version')).toBe(migrations.length)
  second.close()
})

test('every table is strict', () => {
  const db = opened(pathOf('strict'))
  const loose = db.query(`SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0`).values().flat()
  expect(loose.filter((name) => !String(name).startsWith('sqlite_'))).toEqual([])
  db.close()
})

test('a newer schema is refused in one sentence, and its file is left as it was', () => {
  const path = pathOf('newer')
  const newer = new Database(path)
  newer.run('CREATE TABLE future (x)')
  newer.run(`PRAGMA user_version = ${migrations.length + 1}`)
  newer.close()
  const before = readFileSync(path)
  expect(refusalOf(path)).toBe(
    `${path} has schema ${migrations.length + 1}, this foreman knows up to ${migrations.length}: run the newer foreman`,
  )
  expect(readFileSync(path).equals(before)).toBe(true)
})

test('a file that is no database is refused in one sentence and not overwritten', () => {
  const path = pathOf('garbage')
  writeFileSync(path, 'my precious notes\n'.repeat(100))
  const message = refusalOf(path)
  expect(message).toStartWith(`cannot open ${path}: `)
  expect(message).not.toContain('\n')
  expect(readFileSync(path, 'utf8')).toStartWith('my precious notes')
})

test('a directory in the place of the file is refused in one sentence', () => {
  const path = pathOf('directory')
  mkdirSync(path)
  expect(refusalOf(path)).toStartWith(`cannot open ${path}: `)
})

test('a migration that breaks in the middle leaves the schema before it', () => {
  const path = pathOf('half')
  const half = new Database(path)
  half.run('CREATE TABLE artifacts (in_the_way INTEGER)')
  half.close()
  expect(refusalOf(path)).toContain('artifacts')
  const after = new Database(path)
  expect(pragma(after, 'user_version')).toBe(0)
  expect(after.query(`SELECT name FROM sqlite_schema WHERE type = 'table'`).values().flat()).toEqual(['artifacts'])
  after.close()
})
