/** What the processes of a bench cost, as Linux counts it; NaN where /proc does not exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // A thread or a process that ended meanwhile.
    return ''
  }
}

const threads = (pid: number): string[] => {
  const tasks = `/proc/${pid}/task`
  return existsSync(tasks) ? readdirSync(tasks).map((id) => `${tasks}/${id}`) : []
}

/** Milliseconds of processor of all threads of a process and of its children (nginx works in those). */
export const processorMs = (pid: number): number => {
  const own = threads(pid)
  if (own.length === 0) return Number.NaN
  return own.reduce((sum, thread) => {
    const children = read(`${thread}/children`).split(' ').filter(Boolean)
    const theirsMs = children.reduce((total, child) => total + processorMs(Number(child)), 0)
    return sum + theirsMs + Number(read(`${thread}/schedstat`).split(' ')[0]) / 1e6
  }, 0)
}

/** How often its threads went to sleep of themselves, which is how often they were woken. */
export const wakeUps = (pid: number): number =>
  threads(pid).reduce((sum, thread) => {
    const switches = /^voluntary_ctxt_switches:\s+(\d+)/m.exec(read(`${thread}/status`))?.[1]
    return sum + Number(switches ?? 0)
  }, 0)

/** Resident memory in bytes. */
export const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? Number.NaN) * 1024
