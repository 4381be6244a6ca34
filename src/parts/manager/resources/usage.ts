/** What processes use, as Linux says it: memory and processor time of a tree, and the limits of its cgroup; elsewhere nobody knows. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Process, Processes } from '../processes.ts'

export interface Usage {
  /** Of the server and everything below it. */
  readonly treeBytes: number
  readonly serverBytes: number
  /** Processor time of all of them so far. */
  readonly cpuTicks: number
  readonly uptimeSeconds: number
  /** Of its cgroup; null = none, or no limit. */
  readonly limitBytes: number | null
  /** Times the kernel ended something in that cgroup for want of memory. */
  readonly oomKills: number
}

const TICKS_PER_SECOND = 100

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // It has ended, or the system has no such file.
    return ''
  }
}

/** Memory of its own and of files that it has mapped, in bytes: what the kernel would have to find room for. */
const residentBytes = (root: string, pid: number): number => {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(textOf(join(root, String(pid), 'status')))?.[1]
  return Number(kilobytes ?? 0) * 1024
}

/** A process and all that it started. */
export const treeOf = (all: readonly Process[], pid: number): readonly Process[] => {
  const tree = all.filter((one) => one.pid === pid)
  for (let at = 0; at < tree.length; at++) tree.push(...all.filter((one) => one.parent === tree[at]?.pid))
  return tree
}

const cgroupOf = (root: string, pid: number): string | null => {
  const path = /^0::(\/.*)$/m.exec(textOf(join(root, String(pid), 'cgroup')))?.[1]
  return path === undefined ? null : path
}

/** The smallest limit from its cgroup up. */
const limitOf = (cgroupRoot: string, path: string): number | null => {
  let limit: number | null = null
  for (let at = path; ; at = at.slice(0, at.lastIndexOf('/'))) {
    const said = textOf(join(cgroupRoot, at, 'memory.max')).trim()
    if (/^\d+$/.test(said)) limit = Math.min(limit ?? Number.POSITIVE_INFINITY, Number(said))
    if (at === '' || at === '/') return limit
  }
}

/** What the tree of `pid` uses now; null when it is not there. */
export const usageOf = (
  processes: Pick<Processes, 'all'>,
  pid: number,
  root = '/proc',
  cgroupRoot = '/sys/fs/cgroup',
): Usage | null => {
  const tree = treeOf(processes.all(), pid)
  const [server] = tree
  if (server === undefined) return null
  const sizes = tree.map((one) => residentBytes(root, one.pid))
  const upSeconds = Number(textOf(join(root, 'uptime')).split(' ')[0] ?? 0)
  const cgroup = cgroupOf(root, pid)
  const events = cgroup === null ? '' : textOf(join(cgroupRoot, cgroup, 'memory.events'))
  return {
    treeBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    serverBytes: sizes[0] ?? 0,
    cpuTicks: tree.reduce((sum, one) => sum + one.cpuTicks, 0),
    uptimeSeconds: Math.max(0, Math.round(upSeconds - server.startTicks / TICKS_PER_SECOND)),
    limitBytes: cgroup === null ? null : limitOf(cgroupRoot, cgroup),
    oomKills: Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0),
  }
}
