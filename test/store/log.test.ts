/** The log is moved by a thread and stays short, whatever becomes of the thread; who writes is held up and never refused for it. */
import { afterEach, expect, test } from 'bun:test'
import { renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import type { Answer, Order } from '../../src/store/checkpoint-thread.ts'
import { watchPlace } from '../../src/store/in-place.ts'
import { createLedger } from '../../src/store/ledger.ts'
import { createLog } from '../../src/store/log.ts'
import type { LogThread } from '../../src/store/log-thread.ts'
import { eventually } from '../support/patience.ts'
import { opened, temporaryDirectory } from '../support/store.ts'

const MB = 1024 ** 2
const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const createRig = (start?: (gone: () => void) => LogThread) => {
  const directory = temporaryDirectory(true)
  const path = join(directory, 'foreman.db')
  const db = opened(path)
  const log = createLog({
    db,
    path,
    clock: systemClock,
    isInPlace: watchPlace(path),
    ...(start !== undefined && { start }),
  })
  const ledger = createLedger(db, null, undefined, log)
  db.run('CREATE TABLE filling (bytes BLOB)')
  const insert = db.query('INSERT INTO filling VALUES (zeroblob(131072))')
  cleanups.push(() => {
    log.close()
    db.close()
    rmSync(directory, { recursive: true, force: true })
  })
  const number = (pragma: string) => Number(Object.values(db.query<Record<string, number>, []>(pragma).get() ?? {})[0])
  return {
    db,
    path,
    log,
    /** Eighths of a megabyte, each in a transaction of its own. */
    async write(eighths: number) {
      for (let i = 0; i < eighths; i++) await ledger.write('quick', () => insert.run())
    },
    logBytes: () => statSync(`${path}-wal`).size,
    ownBytes: () => number('PRAGMA wal_autocheckpoint') * number('PRAGMA page_size'),
  }
}

/** A thread that does nothing until it is told what to say. */
const createPuppet = () => {
  const orders: Order[] = []
  let answer: ((answer: Answer | null) => void) | null = null
  let die = () => {}
  let ends = 0
  const start = (gone: () => void): LogThread => {
    die = () => {
      answer?.(null)
      gone()
    }
    return {
      order: (order) => {
        orders.push(order)
        return new Promise((resolve) => {
          answer = resolve
        })
      },
      end: () => void ends++,
    }
  }
  return { start, orders, answer: (given: Answer) => answer?.(given), die: () => die(), ends: () => ends }
}

test('beside a writer that does not pause the log is moved by the thread and begun anew', async () => {
  const { write, logBytes, ownBytes, path, db } = createRig()
  await write(480)
  // Without a thread and without being begun anew it would have 60 MB; the event loop's own checkpoint would leave 16.
  expect(ownBytes()).toBe(48 * MB)
  expect(logBytes()).toBeLessThan(48 * MB)
  await eventually(5_000, 'what was written is in the database', async () => statSync(path).size > 40 * MB || null)
  expect(db.query('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
  expect(db.query('SELECT count(*) AS n FROM filling').get()).toEqual({ n: 480 })
})

test('at rest the log is emptied, and the next rest lets the thread go', async () => {
  const { write, log, logBytes, ownBytes } = createRig()
  await write(10)
  expect(logBytes()).toBeGreaterThan(MB)
  await log.rest()
  expect([logBytes(), ownBytes()]).toEqual([0, 48 * MB])
  await write(1)
  await log.rest()
  expect(ownBytes()).toBe(16 * MB)
  // Little is not worth a thread.
  expect(logBytes()).toBeGreaterThan(0)
})

test('writers wait for a thread that does not keep up, and go on when it has', async () => {
  const puppet = createPuppet()
  const { write, db, log } = createRig(puppet.start)
  const written = write(400)
  const bytes = () => (db.query<{ n: number }, []>('SELECT count(*) AS n FROM filling').get()?.n ?? 0) * (MB / 8)
  await eventually(5_000, 'the log is shut', async () => log.isShut || null)
  const held = bytes()
  expect(held).toBeGreaterThan(28 * MB)
  expect(held).toBeLessThan(36 * MB)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  expect([bytes(), puppet.orders.length]).toEqual([held, 1])
  db.run('PRAGMA wal_checkpoint(PASSIVE)')
  puppet.answer({ problem: null })
  await written
  expect(bytes()).toBe(50 * MB)
})

test('a thread that dies holds nobody up; the event loop moves the log itself, and no other is begun at once', async () => {
  const puppet = createPuppet()
  const { write, log, ownBytes, logBytes } = createRig(puppet.start)
  const written = write(600)
  await eventually(5_000, 'the log is shut', async () => log.isShut || null)
  expect(ownBytes()).toBe(48 * MB)
  puppet.die()
  await written
  expect([ownBytes(), puppet.orders.length]).toEqual([16 * MB, 1])
  expect(logBytes()).toBeLessThan(50 * MB)
})

test('what a full disk does not take is tried again after a second', async () => {
  const puppet = createPuppet()
  const { write } = createRig(puppet.start)
  await write(40)
  puppet.answer({ problem: 'database or disk is full' })
  await write(40)
  expect(puppet.orders.length).toBe(1)
})

test('no thread is sent to a file that took the place of the database', async () => {
  const puppet = createPuppet()
  const { write, path } = createRig(puppet.start)
  renameSync(path, `${path}.away`)
  await write(80)
  expect(puppet.orders).toEqual([])
  renameSync(`${path}.away`, path)
})

test('a close in the middle of its work ends the thread, and the database is whole', async () => {
  const rig = createRig()
  await rig.write(100)
  rig.log.close()
  rig.db.close()
  const again = opened(rig.path)
  expect(again.query('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
  expect(again.query('SELECT count(*) AS n FROM filling').get()).toEqual({ n: 100 })
  again.close()
})
