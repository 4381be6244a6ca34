/** From every schema that was ever released to today's: nothing is lost, what is wrong is refused and left as it was, parts own tables. */
import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, test } from 'bun:test'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openDatabase } from '../../src/store/database.ts'
import { createLedger } from '../../src/store/ledger.ts'
import { migrations, type PartSchema } from '../../src/store/migrate.ts'
import { createQueue } from '../../src/store/queue.ts'
import { createOldDatabase, keptRows, oldSchemas, owedRows } from '../support/old-database.ts'
import { opened, plainClaim, temporaryDirectory } from '../support/store.ts'

const directory = temporaryDirectory(true)
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let files = 0
const newPath = () => join(directory, `${++files}.db`)

const looking = <T>(path: string, look: (db: Database) => T): T => {
  const db = new Database(path, { readonly: true })
  try {
    return look(db)
  } finally {
    db.close()
  }
}

const refusalOf = (path: string, parts: readonly PartSchema[] = []): string => {
  const result = openDatabase(path, parts)
  if (result.kind === 'refused') return result.message
  result.db.close()
  throw new Error(`${path} was opened`)
}

const schemaOf = (db: Database) => db.query('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all()
const count = (db: Database, table: string) =>
  db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n
const versionOf = (db: Database) => db.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version

const cases = oldSchemas.flatMap((schema) => (['loading', 'working'] as const).map((active) => ({ schema, active })))

describe.each(cases)('a database of schema $schema with a job that is $active', ({ schema, active }) => {
  const old = () => {
    const path = newPath()
    createOldDatabase(path, schema, active)
    return path
  }

  test('keeps every row and what is owed, and has the schema of a new one', () => {
    const path = old()
    const before = looking(path, keptRows)
    const owed = looking(path, owedRows)
    const db = opened(path)
    expect(keptRows(db)).toMatchObject(before)
    expect(owedRows(db)).toEqual(owed)
    const behind = db.query('SELECT count(*) AS jobs FROM webhooks WHERE due_at IS NOT NULL').get()
    expect(db.query('SELECT jobs FROM webhooks_owed').get()).toEqual(behind)
    const slots = db.query(`SELECT id, slot FROM jobs WHERE state IN ('loading', 'working') OR slot IS NOT NULL`).all()
    expect(slots).toEqual([{ id: 'active', slot: 0 }])
    expect(db.query('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    expect(db.query('PRAGMA foreign_key_check').all()).toEqual([])
    expect(db.query('PRAGMA foreign_keys').get()).toEqual({ foreign_keys: 1 })
    const fresh = opened(newPath())
    expect(schemaOf(db)).toEqual(schemaOf(fresh))
    fresh.close()
    db.close()
  })

  test('goes on where it was: recovered, claimed in order, told of', async () => {
    const db = opened(old())
    const queue = createQueue({ db, ledger: createLedger(db), maxQueue: 100 })
    expect(queue.recover(5_000, 1)).toEqual({ requeued: 1, abandoned: 2, exhausted: 0 })
    const ids: string[] = []
    for (let claimed = await queue.claim(plainClaim(10_000)); claimed.kind === 'job'; ) {
      ids.push(claimed.job.id)
      expect(await queue.requestBody(claimed.job.seq)).toEqual(new TextEncoder().encode(`{"id":"${claimed.job.id}"}`))
      await queue.settle(claimed.job, { to: 'cancelled' }, 10_000)
      claimed = await queue.claim(plainClaim(10_000))
    }
    expect(ids).toEqual(['waits-0', 'waits-quietly-0', 'backs-off-0', 'active'])
    const untold = db.query(`SELECT id FROM jobs JOIN webhooks ON job_seq = seq WHERE due_at IS NULL AND sequence <=
      (SELECT max(sequence) FROM transitions t WHERE t.job_seq = seq)`)
    expect(untold.all()).toEqual([])
    db.close()
  })
})

describe('a table that is rebuilt', () => {
  test('takes its children with it where foreign keys are on, as they once were, and keeps them here', () => {
    const [once, here] = [newPath(), newPath()]
    for (const path of [once, here]) createOldDatabase(path, 3, 'working')
    const children = ['requests', 'artifacts', 'transitions', 'webhooks', 'idempotency_keys']
    const before = looking(here, (db) => children.map((table) => count(db, table)))
    const db = new Database(once, { strict: true })
    db.run('PRAGMA foreign_keys = ON')
    db.transaction(() => db.run(migrations[3] ?? '')).immediate()
    expect(children.map((table) => count(db, table))).toEqual([0, 0, 0, 0, 0])
    db.close()
    const now = opened(here)
    expect(children.map((table) => count(now, table))).toEqual(before)
    expect(before.every((rows) => (rows ?? 0) > 0)).toBe(true)
    now.close()
  })

  test('is refused in one sentence when a child would point at nothing, and the file is as it was', () => {
    const path = newPath()
    createOldDatabase(path, 3, 'loading')
    const db = new Database(path)
    db.run(`INSERT INTO artifacts VALUES (99999, 'completion', 'text/plain', x'01'), (99998, 'x', 'text/plain', x'02')`)
    db.close()
    const before = readFileSync(path)
    const why = 'its migration would leave 2 rows without parent, the first in artifacts for jobs'
    expect(refusalOf(path)).toBe(`cannot open ${path}: ${why}`)
    expect(readFileSync(path).equals(before)).toBe(true)
    expect(looking(path, versionOf)).toBe(3)
  })
})

const notes = (...more: string[]): PartSchema => ({
  name: 'notes',
  migrations: [
    `CREATE TABLE notes_pages (page INTEGER PRIMARY KEY, job_seq INTEGER REFERENCES jobs (seq) ON DELETE CASCADE) STRICT;
     CREATE INDEX notes_pages_job ON notes_pages (job_seq)`,
    ...more,
  ],
})

const withParts = (path: string, parts: readonly PartSchema[]): Database => {
  const result = openDatabase(path, parts)
  if (result.kind === 'refused') throw new Error(result.message)
  return result.db
}

describe('a part', () => {
  test('owns tables, which come once and are brought forward by its own numbers', () => {
    const path = newPath()
    createOldDatabase(path, 2, 'working')
    const db = withParts(path, [notes()])
    db.run('INSERT INTO notes_pages (job_seq) SELECT seq FROM jobs')
    const pages = count(db, 'notes_pages')
    db.close()
    withParts(path, [notes()]).close()
    const later = withParts(path, [notes('ALTER TABLE notes_pages ADD COLUMN text TEXT')])
    expect(later.query('SELECT name, schema FROM parts').all()).toEqual([{ name: 'notes', schema: 2 }])
    expect(later.query('SELECT count(*) AS n, count(text) AS texts FROM notes_pages').get()).toEqual({
      n: pages,
      texts: 0,
    })
    later.run('DELETE FROM jobs')
    expect(count(later, 'notes_pages')).toBe(0)
    later.close()
  })

  test('that is not there keeps its tables, its rows and its number', () => {
    const path = newPath()
    const db = withParts(path, [notes()])
    db.run('INSERT INTO notes_pages (page) VALUES (7)')
    db.close()
    opened(path).close()
    const other = withParts(path, [{ name: 'other', migrations: ['CREATE TABLE other_things (x TEXT) STRICT'] }])
    expect(other.query('SELECT page FROM notes_pages').values()).toEqual([[7]])
    expect(other.query('SELECT name, schema FROM parts ORDER BY name').values()).toEqual([
      ['notes', 1],
      ['other', 1],
    ])
    other.close()
  })

  test('of a newer foreman is refused in one sentence, and the file is as it was', () => {
    const path = newPath()
    withParts(path, [notes('CREATE TABLE notes_more (x TEXT) STRICT')]).close()
    const before = readFileSync(path)
    expect(refusalOf(path, [notes()])).toBe(
      `${path} has schema 2 of the part notes, this foreman knows up to 1: run the newer foreman`,
    )
    expect(readFileSync(path).equals(before)).toBe(true)
    opened(path).close()
  })

  test('whose migration fails stops the start, and neither its tables nor those of the core have moved', () => {
    const path = newPath()
    createOldDatabase(path, 3, 'working')
    const before = looking(path, schemaOf)
    expect(refusalOf(path, [notes('CREATE TABLE notes_pages (twice TEXT) STRICT')])).toContain(
      'notes_pages already exists',
    )
    expect(looking(path, schemaOf)).toEqual(before)
  })

  test.each([
    ['a table of another name', 'CREATE TABLE pages (x TEXT) STRICT', 'pages on pages'],
    ['an index on a table of the core', 'CREATE INDEX notes_models ON jobs (model)', 'notes_models on jobs'],
    [
      'a trigger on a table of the core',
      'CREATE TRIGGER notes_watch AFTER DELETE ON jobs BEGIN SELECT 1; END',
      'notes_watch on jobs',
    ],
  ])('may not make %s: a rebuild would drop it', (_, sql, stray) => {
    expect(refusalOf(newPath(), [notes(sql)])).toContain(`the part notes makes ${stray}: not its own`)
  })
})
