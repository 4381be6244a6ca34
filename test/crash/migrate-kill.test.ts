/** kill -9 of a process in the middle of a migration: the file is of the old schema or of the new one, and nothing is lost. */
import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { copyFileSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { migrations } from '../../src/store/migrate.ts'
import { createDice, type Dice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createOldDatabase, keptRows, type OldSchema, oldSchemas, owedRows } from '../support/old-database.ts'
import { opened, temporaryDirectory } from '../support/store.ts'

const KILLS = Number(process.env['FOREMAN_TEST_KILLS'] ?? 100)
const ROUNDS = 400
const child = join(import.meta.dir, '../support/migrating.ts')

const looking = <T>(path: string, look: (db: Database) => T): T => {
  const db = new Database(path, { readwrite: true })
  try {
    return look(db)
  } finally {
    db.close()
  }
}

/** Runs a migration in a process of its own and kills it so long after it began; how long it took when it was let to end. */
const migrateAndKill = async (path: string, afterMs: number): Promise<number> => {
  const process_ = Bun.spawn([process.execPath, child, path], { stdout: 'pipe', stderr: 'inherit' })
  const words = process_.stdout.getReader()
  await words.read()
  const began = performance.now()
  const opening = words.read().then(() => performance.now() - began)
  const killing = new Promise<void>((resolve) => setTimeout(resolve, afterMs))
  const took = await Promise.race([opening, killing.then(() => Number.POSITIVE_INFINITY)])
  process_.kill('SIGKILL')
  await process_.exited
  return took
}

interface Base {
  readonly schema: OldSchema
  readonly path: string
  /** With the last commits of whoever had it before still in the log, as its own kill -9 leaves them. */
  readonly hasLog: boolean
  readonly kept: Record<string, unknown[]>
  readonly owed: unknown[][]
  /** What a migration takes. */
  readonly tookMs: number
}

const copy = (base: Base, to: string) => {
  rmSync(`${to}-shm`, { force: true })
  rmSync(`${to}-wal`, { force: true })
  copyFileSync(base.path, to)
  if (base.hasLog) copyFileSync(`${base.path}-wal`, `${to}-wal`)
}

const prepare = async (directory: string, schema: OldSchema, dice: Dice): Promise<Base> => {
  const path = join(directory, `base-${schema}.db`)
  createOldDatabase(path, schema, dice.pick(['loading', 'working']), ROUNDS)
  const found = looking(path, (db) => ({ kept: keptRows(db), owed: owedRows(db) }))
  const base = { schema, path, hasLog: false, ...found, tookMs: 0 }
  const trial = join(directory, 'trial.db')
  copy(base, trial)
  const tookMs = await migrateAndKill(trial, 60_000)
  return { ...base, tookMs }
}

/** Leaves an open connection behind with a change in its log, and keeps the two files as they are then. */
const withLog = (base: Base): Base => {
  const path = `${base.path}.log`
  copyFileSync(base.path, path)
  const db = new Database(path, { readwrite: true, strict: true })
  db.run('PRAGMA wal_autocheckpoint = 0')
  db.run(`UPDATE jobs SET model = 'in the log' WHERE seq % 5 = 0`)
  const found = { kept: keptRows(db), owed: owedRows(db) }
  const kept: Base = { ...base, ...found, path: `${path}.kept`, hasLog: true }
  copyFileSync(path, kept.path)
  copyFileSync(`${path}-wal`, `${kept.path}-wal`)
  db.close()
  return kept
}

test(`${KILLS} migrations killed at random moments`, async () => {
  const dice = createDice(seedOf('migrate-kill'))
  const directory = temporaryDirectory(true)
  const bases: Base[] = []
  for (const schema of oldSchemas) {
    const base = await prepare(directory, schema, dice)
    bases.push(base, withLog(base))
  }
  const path = join(directory, 'foreman.db')
  let before = 0
  let after = 0
  let torn = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const base = dice.pick(bases)
    copy(base, path)
    await migrateAndKill(path, dice.random() * base.tookMs * 1.1)
    if (existsSync(`${path}-wal`)) torn++
    const version = looking(
      path,
      (db) => db.query<{ v: number }, []>('SELECT user_version AS v FROM pragma_user_version').get()?.v,
    )
    expect([base.schema, migrations.length]).toContain(version ?? -1)
    if (version === base.schema) before++
    else after++
    const db = opened(path)
    expect(db.query('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    expect(db.query('PRAGMA foreign_key_check').all()).toEqual([])
    expect(keptRows(db)).toMatchObject(base.kept)
    expect(owedRows(db)).toEqual(base.owed)
    db.close()
  }
  const rows = bases[0]?.kept['jobs']?.length ?? 0
  figure(
    'M1',
    `${KILLS} kills of migrations of ${rows} jobs: ${before} before the commit, ${after} after, ${torn} with a log; 0 lost`,
  )
  expect(before).toBeGreaterThan(0)
  rmSync(directory, { recursive: true, force: true })
}, 300_000)
