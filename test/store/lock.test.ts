/** One foreman per data directory, in this process and in any other. */
import { afterAll, expect, test } from 'bun:test'
import { readFileSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { acquireLock } from '../../src/store/lock.ts'
import { temporaryDirectory } from '../support/store.ts'

const directory = temporaryDirectory()
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const path = join(directory, 'foreman.lock')

const script = (body: string) =>
  `import { acquireLock } from ${JSON.stringify(join(import.meta.dir, '../../src/store/lock.ts'))}
   const lock = acquireLock(${JSON.stringify(path)})
   ${body}`

const run = (body: string) =>
  Bun.spawn([process.execPath, '-e', script(body)], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })

const locked = () => {
  const lock = acquireLock(path)
  if (lock.kind !== 'locked') throw new Error(JSON.stringify(lock))
  return lock
}

test('a second lock in this process is refused and names this process', () => {
  const lock = locked()
  expect(acquireLock(path)).toEqual({ kind: 'held', pid: String(process.pid) })
  lock.release()
  locked().release()
})

test('a lock in another process is refused and names the holder', async () => {
  const lock = locked()
  const other = run('process.stdout.write(JSON.stringify(lock))')
  expect(JSON.parse(await other.stdout.text())).toEqual({ kind: 'held', pid: String(process.pid) })
  lock.release()
})

test('a holder that is killed leaves no lock behind', async () => {
  const holder = run(`process.stdout.write(lock.kind); setInterval(() => {}, 1000)`)
  const reader = holder.stdout.getReader()
  const { value } = await reader.read()
  expect(new TextDecoder().decode(value)).toBe('locked')
  expect(acquireLock(path)).toEqual({ kind: 'held', pid: String(holder.pid) })
  holder.kill('SIGKILL')
  await holder.exited
  const lock = locked()
  expect(readFileSync(path, 'utf8')).toBe(`${process.pid}\n`)
  lock.release()
})

test.each(['ENOLCK', 'EOPNOTSUPP'] as const)(
  'a file system that answers %s has no locks, and nobody is blamed',
  (code) => {
    const errno = constants.errno[code]
    let closed = 0
    const flock = { call: () => errno, close: () => void closed++ }
    expect(acquireLock(path, flock)).toEqual({ kind: 'impossible', code: expect.stringMatching(/^E[A-Z]+$/) })
    expect(closed).toBe(1)
  },
)
