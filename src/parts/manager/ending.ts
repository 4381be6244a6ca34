/** Ends a server and its runners: TERM to its group, 5 s, KILL, and waits until nothing of it is left; each process is looked at again before it is signalled. */
import type { Clock } from '../../domain/clock.ts'
import { pause } from '../../loop/pause.ts'
import { type FamilyDeps, familyOf, holderOf } from './family.ts'
import type { Process } from './processes.ts'

export interface EndingDeps extends FamilyDeps {
  readonly port: number
  readonly clock: Clock
  /** Negative: a whole group. Harmless when it has ended. */
  readonly signal: (pid: number, signal: 'SIGTERM' | 'SIGKILL') => void
}

// An Ollama needs about 1.7 s for its end (wire document, 5.6).
const TERM_MS = 5_000
const GONE_MS = 15_000
const LOOK_MS = 50

/** `null` = nothing is left; else what is, in words. */
export const endFamily = async (deps: EndingDeps, until: AbortSignal): Promise<string | null> => {
  const { clock, processes, port, signal } = deps
  /** One that leads a group is signalled with it: its runners are in it. */
  const tell = (one: Process, what: 'SIGTERM' | 'SIGKILL') => {
    if (processes.of(one.pid)?.startTicks !== one.startTicks) return
    signal(one.group === one.pid ? -one.pid : one.pid, what)
  }
  const holds = async (limitMs: number, isSo: () => boolean): Promise<boolean> => {
    const endMs = clock.monotonicMs() + limitMs
    while (!until.aborted) {
      if (isSo()) return true
      if (clock.monotonicMs() >= endMs) return false
      await pause(clock, LOOK_MS, until)
    }
    return false
  }
  const { servers } = familyOf(deps)
  for (const one of servers) tell(one, 'SIGTERM')
  if (servers.length > 0) await holds(TERM_MS, () => familyOf(deps).servers.length === 0)
  if (until.aborted) return 'foreman stops'
  // Also after an end in good order: a runner may have survived its parent, and holds the memory.
  const kill = () => {
    const family = familyOf(deps)
    const left = [...family.servers, ...family.others]
    for (const one of left) tell(one, 'SIGKILL')
    return left
  }
  let left = kill()
  const isGone = await holds(GONE_MS, () => {
    left = kill()
    return left.length === 0 && holderOf(deps, port).kind !== 'ours'
  })
  if (isGone) return null
  return `${left.map(({ pid, name }) => `${name} (${pid})`).join(', ') || `port ${port}`} is still there ${GONE_MS / 1_000} s after a KILL`
}
