/** Signs of life for those who watch foreman: a file and a dead man's switch; they must stop when the loops no longer come round. */
import { writeFileSync } from 'node:fs'
import { STUCK_MS } from '../../engine/pulse.ts'
import { createLoop, type Loop } from '../../loop/loop.ts'
import type { AlertPorts } from './ports.ts'

const FILE_EVERY_MS = 30_000
const URL_EVERY_MS = 60_000

/** One loop for each that is asked for. */
export const createHeartbeats = (
  { clock, stuckMs, notice, post }: AlertPorts,
  file: string | null,
  url: string | null,
): readonly Pick<Loop, 'start' | 'stop'>[] => {
  /** Told when it begins to fail and when it works again, not at each beat. */
  const teller = (what: string) => {
    let isFailing = false
    return (problem: string | null) => {
      if (problem !== null && !isFailing) notice('warn', 'heartbeat_failed', { what, message: problem })
      if (problem === null && isFailing) notice('info', 'heartbeat_works', { what })
      isFailing = problem !== null
    }
  }

  const beat = (what: 'file' | 'url', everyMs: number, once: (signal: AbortSignal) => Promise<string | null>) => {
    const tell = teller(what)
    const body = async (signal: AbortSignal) => {
      const problem = stuckMs() <= STUCK_MS ? await once(signal) : 'the loops do not come round'
      if (!signal.aborted) tell(problem)
      return everyMs
    }
    const failed = (error: unknown) => tell(error instanceof Error ? error.message : String(error))
    return createLoop({ name: `heartbeat ${what}`, clock, body, failed, pauseMs: everyMs })
  }

  const touch = (path: string) => async () => {
    writeFileSync(path, `${new Date(clock.wallAt?.(clock.now()) ?? clock.now()).toISOString()}\n`)
    return null
  }
  const call = (to: string) => async (signal: AbortSignal) => {
    const posted = await post({ method: 'GET', url: to, signal })
    if (posted.kind === 'failed') return posted.message
    const isTaken = posted.kind === 'aborted' || (posted.status >= 200 && posted.status < 300)
    return isTaken ? null : `it answered ${posted.status}`
  }
  return [
    ...(file === null ? [] : [beat('file', FILE_EVERY_MS, touch(file))]),
    ...(url === null ? [] : [beat('url', URL_EVERY_MS, call(url))]),
  ]
}
