/** What the system says of processes and ports (Linux, /proc): who lives, since when, who listens; where the system does not say, the answer is that nobody knows. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

export interface Process {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** The name of its program, cut at 15 characters. */
  readonly name: string
  /** In ticks since the machine started: a pid with the same start is the same process. */
  readonly startTicks: number
  /** Processor time so far, in ticks of 10 ms. */
  readonly cpuTicks: number
}

export interface Processes {
  /** Null when it has ended, also where nobody has asked yet how. */
  of(pid: number): Process | null
  all(): readonly Process[]
  /** Its words, the program first; empty when it may not be seen. */
  words(pid: number): readonly string[]
  /** Whether it was started with `NAME=value` in its environment. */
  hasVariable(pid: number, entry: string): boolean
  /** Who listens on a port of this machine; null = nobody, pid null = somebody who may not be seen. */
  listener(port: number): { readonly pid: number | null } | null
  /** The start of this machine; a record of another one is of other processes. */
  bootId(): string
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // It has ended, or is somebody else's.
    return ''
  }
}

/** A line of /proc/PID/stat; the program's name may hold anything, brackets too. Null for one that has ended. */
export const parseStat = (stat: string): Process | null => {
  const open = stat.indexOf('(')
  const close = stat.lastIndexOf(')')
  if (open < 0 || close < open) return null
  const fields = stat.slice(close + 2).split(' ')
  const [state = 'X', parent, group] = fields
  if (/^[ZXx]/.test(state)) return null
  return {
    pid: Number(stat.slice(0, open)),
    parent: Number(parent),
    group: Number(group),
    name: stat.slice(open + 1, close),
    startTicks: Number(fields[19]),
    cpuTicks: Number(fields[11]) + Number(fields[12]),
  }
}

// Every address, 127.0.0.0/8 and ::1, as the tables write them: who listens on another one is in nobody's way.
const NEAR = /^(0{8}|[0-9A-F]{6}7F|0{32}|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F)$/

/** The inodes of sockets that listen on `port` of this machine, from /proc/net/tcp and tcp6. */
export const listeningInodes = (table: string, port: number): readonly string[] => {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return table.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/)
    const address = fields[1]?.endsWith(suffix) ? fields[1].slice(0, -suffix.length) : ''
    return fields[3] === '0A' && NEAR.test(address) ? [fields[9] ?? ''] : []
  })
}

const namesIn = (path: string): readonly string[] => {
  try {
    return readdirSync(path)
  } catch {
    // As above.
    return []
  }
}

const holdsSocket = (folder: string, links: ReadonlySet<string>): boolean =>
  namesIn(folder).some((name) => {
    try {
      return links.has(readlinkSync(join(folder, name)))
    } catch {
      // Closed while it was looked at.
      return false
    }
  })

/** The processes of this machine. */
export const createProcesses = (root = '/proc'): Processes => {
  const of = (pid: number) => parseStat(textOf(join(root, String(pid), 'stat')))
  const pids = () => namesIn(root).flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
  return {
    of,
    all: () => pids().flatMap((pid) => of(pid) ?? []),
    words: (pid) =>
      textOf(join(root, String(pid), 'cmdline'))
        .split('\0')
        .slice(0, -1),
    hasVariable: (pid, entry) =>
      textOf(join(root, String(pid), 'environ'))
        .split('\0')
        .includes(entry),
    listener(port) {
      const tables = ['tcp', 'tcp6'].map((name) => textOf(join(root, 'net', name)))
      const inodes = tables.flatMap((table) => listeningInodes(table, port))
      if (inodes.length === 0) return null
      const links = new Set(inodes.map((inode) => `socket:[${inode}]`))
      return { pid: pids().find((pid) => holdsSocket(join(root, String(pid), 'fd'), links)) ?? null }
    },
    bootId: () => textOf(join(root, 'sys/kernel/random/boot_id')).trim(),
  }
}
