/** How much memory this process may use, and the defaults that follow from it; it must never be asked while serving. */
import { totalmem } from 'node:os'

const MiB = 1024 ** 2
const EACH_MAX_BYTES = 128 * MiB
const TOGETHER_MAX_BYTES = 1024 * MiB

/** The control group's limit (a container's, a unit's), else the machine's. */
export const memoryBytes = (): number => {
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

/** A body is in memory up to three times while it is read, changed and sent: an eighth for all leaves room for the rest. */
export const bodyDefaults = (memory: number) => ({
  each: String(Math.min(EACH_MAX_BYTES, Math.floor(memory / 16))),
  together: String(Math.min(TOGETHER_MAX_BYTES, Math.floor(memory / 8))),
})
