/** Tells systemd that foreman is ready, that it stops, and, as long as its loops come round, that it lives; it must never feed the watchdog for a loop that is stuck. */
import type { Part, PartPorts } from '../../engine/part.ts'
import { createLoop } from '../../loop/loop.ts'
import { openNotify } from './notify.ts'

const idle: Part = { start: () => undefined, stop: async () => undefined }

/** Half the time that systemd waits, as its manual says; null = there is no watchdog, or it is another process's. */
const feedEveryMs = (environment: Readonly<Record<string, string | undefined>>): number | null => {
  const microseconds = Number(environment['WATCHDOG_USEC'] ?? 0)
  const pid = environment['WATCHDOG_PID']
  if (!(microseconds > 0) || (pid !== undefined && pid !== String(process.pid))) return null
  return microseconds / 2_000
}

/** The part; without systemd's socket it is nothing. */
export const createSystemd = ({ environment, stuckMs, clock, notice }: PartPorts<object>): Part => {
  const path = environment['NOTIFY_SOCKET']
  if (path === undefined || path === '') return idle
  const opened = openNotify(path)
  if (opened.kind === 'impossible') {
    notice('warn', 'systemd_not_told', { message: opened.message })
    return idle
  }
  const everyMs = feedEveryMs(environment)
  const { tell, close } = opened
  // The last meal comes at most so long after a loop got stuck: with WatchdogSec=30 systemd hears nothing more after 20 s.
  const patienceMs = everyMs === null ? 0 : (everyMs * 4) / 3
  const feed = async () => {
    if (everyMs === null) return null
    if (stuckMs() < patienceMs) tell('WATCHDOG=1')
    return everyMs
  }
  const failed = (error: unknown) => notice('error', 'systemd_failed', { message: String(error) })
  const loop = createLoop({ name: 'systemd', clock, body: feed, failed })
  const end = async () => {
    tell('STOPPING=1')
    await loop.stop()
    close()
  }
  // A socket that is closed twice may be somebody else's the second time.
  let stopped: Promise<void> | null = null
  return {
    start() {
      tell('READY=1\nSTATUS=serving')
      if (everyMs !== null) loop.start()
    },
    stop() {
      stopped ??= end()
      return stopped
    },
  }
}
