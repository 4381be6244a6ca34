/** A control group with a memory limit, where the machine lets a test have one; it must never outlive its test. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface MemoryGroup {
  /** A process that writes its id there is limited. */
  readonly procs: string
  /** The most that was ever used. */
  peakBytes(): number
  remove(): void
}

const versions = [
  { root: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' },
  { root: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak' },
] as const

const tryGroup = ({ root, limit, peak }: (typeof versions)[number], limitBytes: number): MemoryGroup | null => {
  const path = join(root, `foreman-test-${process.pid}`)
  try {
    mkdirSync(path)
    if (!existsSync(join(path, limit))) throw new Error('no memory controller')
    writeFileSync(join(path, limit), String(limitBytes))
  } catch {
    if (existsSync(path)) rmdirSync(path)
    return null
  }
  return {
    procs: join(path, 'cgroup.procs'),
    peakBytes: () => Number(readFileSync(join(path, peak), 'latin1')),
    remove: () => rmdirSync(path),
  }
}

/** A new group; null where none can be made (another system, no right to). */
export const createMemoryGroup = (limitBytes: number): MemoryGroup | null => {
  for (const version of versions) {
    const group = existsSync(version.root) ? tryGroup(version, limitBytes) : null
    if (group !== null) return group
  }
  return null
}
