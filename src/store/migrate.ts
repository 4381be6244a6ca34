/** Brings a database from whatever schema was released to today's: the core's tables and those that parts own; all of it or nothing. */
import type { Database } from 'bun:sqlite'
import migration0001 from './migrations/0001.sql' with { type: 'text' }
import migration0002 from './migrations/0002.sql' with { type: 'text' }
import migration0002Older from './migrations/0002-older.sql' with { type: 'text' }
import migration0003 from './migrations/0003.sql' with { type: 'text' }
import migration0004 from './migrations/0004.sql' with { type: 'text' }
import migration0005 from './migrations/0005.sql' with { type: 'text' }
import migration0006 from './migrations/0006.sql' with { type: 'text' }
import migration0007 from './migrations/0007.sql' with { type: 'text' }
import migration0008 from './migrations/0008.sql' with { type: 'text' }
import migration0009 from './migrations/0009.sql' with { type: 'text' }
import migration0010 from './migrations/0010.sql' with { type: 'text' }
import migration0011 from './migrations/0011.sql' with { type: 'text' }

/** The core's, numbered from 1; a released one is never edited. */
export const migrations: readonly string[] = [
  migration0001,
  migration0002 + migration0002Older,
  migration0003,
  migration0004,
  migration0005,
  migration0006,
  migration0007,
  migration0008,
  migration0009,
  migration0010,
  migration0011,
]

/** The tables of a part. Everything that it creates, and every table that it hangs something on, begins with `NAME_`. */
export interface PartSchema {
  readonly name: string
  /** Numbered from 1; a released one is never edited. */
  readonly migrations: readonly string[]
}

interface Step {
  /** What is brought forward, as a person calls it. */
  readonly of: string
  readonly from: number
  readonly migrations: readonly string[]
}

const userVersion = (db: Database): number =>
  db.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version ?? 0

// Since schema 4.
const partVersions = (db: Database): ReadonlyMap<string, number> => {
  if (db.query(`SELECT 1 FROM sqlite_schema WHERE name = 'parts'`).get() === null) return new Map()
  const rows = db.query<{ name: string; schema: number }, []>('SELECT name, schema FROM parts').all()
  return new Map(rows.map(({ name, schema }) => [name, schema]))
}

const schemaOf = (db: Database, parts: readonly PartSchema[]) => {
  const versions = partVersions(db)
  const core: Step = { of: '', from: userVersion(db), migrations }
  const others = parts.map((part) => {
    const step: Step = {
      of: ` of the part ${part.name}`,
      from: versions.get(part.name) ?? 0,
      migrations: part.migrations,
    }
    return { ...step, part }
  })
  return { core, others }
}

/** What a newer foreman left here that this one cannot read, in one sentence; null when there is nothing. It only reads. */
export const newerSchema = (db: Database, path: string, parts: readonly PartSchema[]): string | null => {
  const { core, others } = schemaOf(db, parts)
  const newer = [core, ...others].find(({ from, migrations: known }) => from > known.length)
  if (newer === undefined) return null
  const { of, from, migrations: known } = newer
  return `${path} has schema ${from}${of}, this foreman knows up to ${known.length}: run the newer foreman`
}

/** Whether there is nothing here yet. */
export const isNewFile = (db: Database): boolean => userVersion(db) === 0

/**
 * A rebuilt table may have left rows behind that point at nothing: whoever reads them later would guess. Of a million jobs that takes five
 * seconds, so where only parts were behind, their own tables are looked at: a part makes and changes no other.
 */
const checkReferences = (db: Database, of: 'all' | readonly PartSchema[]): void => {
  const check = (what: string) =>
    db.query<{ table: string; parent: string }, []>(`PRAGMA foreign_key_check${what}`).all()
  const isOwn = (table: string) => of !== 'all' && of.some(({ name }) => table.startsWith(`${name}_`))
  const tables = of === 'all' ? [''] : namesIn(db).flatMap(({ on }) => (isOwn(on) ? [`("${on}")`] : []))
  const [first, ...others] = [...new Set(tables)].flatMap(check)
  if (first === undefined) return
  const count = others.length === 0 ? 'a row' : `${others.length + 1} rows`
  throw new Error(`its migration would leave ${count} without parent, the first in ${first.table} for ${first.parent}`)
}

const namesIn = (db: Database) =>
  db
    .query<{ name: string; on: string }, []>('SELECT name, tbl_name AS "on" FROM sqlite_schema WHERE sql IS NOT NULL')
    .all()

const migratePart = (db: Database, { name, migrations: steps }: PartSchema, from: number): void => {
  const before = new Set(namesIn(db).map((object) => object.name))
  for (const sql of steps.slice(from)) db.run(sql)
  const isForeign = (text: string) => !text.startsWith(`${name}_`)
  const stray = namesIn(db).find(
    (object) => !before.has(object.name) && (isForeign(object.name) || isForeign(object.on)),
  )
  // A rebuild of a core table would drop what hangs on it, and nobody would know.
  if (stray !== undefined) throw new Error(`the part ${name} makes ${stray.name} on ${stray.on}: not its own`)
  db.run('INSERT INTO parts (name, schema) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET schema = excluded.schema', [
    name,
    steps.length,
  ])
}

/**
 * One transaction, so that a file has one schema or the other. Foreign keys are off meanwhile: with them on, dropping a table that is
 * rebuilt deletes its children, and the pragma does nothing inside a transaction. They are left off.
 */
export const migrate = (db: Database, parts: readonly PartSchema[]): void => {
  const { core, others } = schemaOf(db, parts)
  const behind = others.filter(({ from, migrations: known }) => from < known.length)
  if (core.from === migrations.length && behind.length === 0) return
  db.run('PRAGMA foreign_keys = OFF')
  db.transaction(() => {
    for (const sql of migrations.slice(core.from)) db.run(sql)
    for (const { part, from } of behind) migratePart(db, part, from)
    checkReferences(db, core.from < migrations.length ? 'all' : behind.map(({ part }) => part))
    db.run(`PRAGMA user_version = ${migrations.length}`)
  }).immediate()
}
