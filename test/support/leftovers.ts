/** What a test file has started or made, undone after each test, the last first; it must leave nothing behind whatever the test did. */
import { afterEach } from 'bun:test'
import { type Spawned, temporaryDirectory } from './binary.ts'

export interface Leftovers {
  /** A directory of its own. */
  directory(): string
  /** A process that is killed when the test is over. */
  kept<T extends Spawned>(spawned: T): T
  /** Anything else to undo. */
  later(undo: () => unknown): void
}

/** For one test file; to be made at its top. */
export const createLeftovers = (): Leftovers => {
  let undone: (() => unknown)[] = []
  afterEach(async () => {
    const last = undone.reverse()
    undone = []
    for (const undo of last) await undo()
  })
  const later = (undo: () => unknown) => void undone.push(undo)
  return {
    later,
    directory() {
      const { path, remove } = temporaryDirectory()
      later(remove)
      return path
    },
    kept(spawned) {
      later(() => {
        spawned.kill('SIGKILL')
        return spawned.exited
      })
      return spawned
    },
  }
}
