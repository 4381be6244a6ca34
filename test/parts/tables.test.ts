/** A part that owns tables: they come with it, outlive it, and its statements share the transactions of the core. */
import { afterEach, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { definePart, type PartPlan, type PartTables } from '../../src/engine/part.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { temporaryDirectory } from '../support/store.ts'

const directory = temporaryDirectory()
let foreman: RunningForeman | undefined
afterEach(async () => {
  await foreman?.stop()
  foreman = undefined
  rmSync(directory, { recursive: true, force: true })
})

const diaryStore = ({ statement, write }: PartTables) => {
  const add = statement<unknown>('INSERT INTO diary_days (text) VALUES (?1)')
  const texts = statement<{ text: string }>('SELECT text FROM diary_days ORDER BY day')
  return {
    add: (text: string) => write('quick', () => void add.run(text)),
    texts: () => texts.all().map(({ text }) => text),
  }
}

const diary = (text: string, ...more: string[]): PartPlan =>
  definePart({
    name: 'diary',
    settings: {},
    tables: ['CREATE TABLE diary_days (day INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT', ...more],
    create: async ({ tables }) => {
      const store = diaryStore(tables)
      await store.add(text)
      return { start: () => undefined, stop: async () => undefined, status: store.texts }
    },
  })

const start = async (plans: readonly PartPlan[]) => {
  await foreman?.stop()
  foreman = undefined
  foreman = await runForeman('http://127.0.0.1:9', { FOREMAN_DATA_DIR: directory }, { plans })
  return ((await (await fetch(`${foreman.url}/healthz`)).json()) as { parts?: Record<string, unknown> }).parts
}

test('its tables and rows stay through starts without it, grow with it, and are refused when they are newer', async () => {
  expect(await start([diary('first')])).toEqual({ diary: ['first'] })
  expect(await start([])).toBeUndefined()
  const grown = `ALTER TABLE diary_days ADD COLUMN mood TEXT`
  expect(await start([diary('second', grown)])).toEqual({ diary: ['first', 'second'] })
  await expect(start([diary('third')])).rejects.toThrow(
    'has schema 2 of the part diary, this foreman knows up to 1: run the newer foreman',
  )
})
