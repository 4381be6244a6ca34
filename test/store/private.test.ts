/** Prompts are private: whatever the umask, and in a directory that was there before foreman. */
import { afterEach, expect, test } from 'bun:test'
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { createLeftovers } from '../support/leftovers.ts'

const { directory } = createLeftovers()
const usualMask = process.umask()
afterEach(() => void process.umask(usualMask))

const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8)
const modesIn = (path: string) => Object.fromEntries(readdirSync(path).map((name) => [name, modeOf(join(path, name))]))

const opened = (path: string) => {
  const data = openDataDirectory(path)
  if (data.kind === 'refused') throw new Error(data.message)
  return data
}

const existing = (mode: number): string => {
  const path = join(directory(), 'state')
  mkdirSync(path)
  chmodSync(path, mode)
  return path
}

const allPrivate = { 'foreman.db': '600', 'foreman.db-shm': '600', 'foreman.db-wal': '600', 'foreman.lock': '600' }

test.each([0o000, 0o022, 0o077])('every file is private from its first byte with the umask %o', (mask) => {
  process.umask(mask)
  const path = join(directory(), 'new')
  const { warnings, close } = opened(path)
  expect([modeOf(path), modesIn(path), warnings]).toEqual(['700', allPrivate, []])
  close()
})

test("systemd's 0755 state directory with the files of an older foreman is made private", () => {
  process.umask(0o022)
  const path = existing(0o755)
  opened(path).close()
  for (const name of readdirSync(path)) chmodSync(join(path, name), 0o644)
  chmodSync(path, 0o755)
  const { warnings, close } = opened(path)
  expect([modeOf(path), modesIn(path), warnings]).toEqual(['700', allPrivate, []])
  close()
})

test('a directory that others use too keeps its mode; the files are private all the same', () => {
  const path = existing(0o755)
  writeFileSync(join(path, 'notes.txt'), '')
  const { warnings, close } = opened(path)
  expect([modeOf(path), modesIn(path), warnings]).toEqual([
    '755',
    { ...allPrivate, 'notes.txt': expect.any(String) },
    [],
  ])
  close()
})

test('a directory that everybody may write to is warned about', () => {
  const path = existing(0o777)
  writeFileSync(join(path, 'notes.txt'), '')
  const { warnings, close } = opened(path)
  expect(warnings).toEqual([expect.stringMatching(/^other users can write to .* \(mode 0777\)/)])
  close()
  chmodSync(path, 0o1777)
  const sticky = opened(path)
  expect(sticky.warnings).toEqual([])
  sticky.close()
})

test('a log without its database is refused, and no empty database is put beside it', () => {
  const path = join(directory(), 'state')
  mkdirSync(path)
  writeFileSync(join(path, 'foreman.db-wal'), 'what is left')
  const refused = openDataDirectory(path)
  expect(refused).toMatchObject({ kind: 'refused', message: expect.stringContaining('is missing beside its -wal') })
  expect(readdirSync(path).sort()).toEqual(['foreman.db-wal', 'foreman.lock'])
})
