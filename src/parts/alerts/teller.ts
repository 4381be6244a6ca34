/** Posts what the desk says, one after the other; a receiver that is down must neither lose a "resolved" nor be flooded when it is back. */
import { type Alert, AlertDesk } from '../../domain/alert/desk.ts'
import { shapeAlert } from '../../domain/alert/shape.ts'
import { createLoop } from '../../loop/loop.ts'
import type { AlertPorts } from './ports.ts'
import { createToldStore } from './store.ts'

const AGAIN_FIRST_MS = 5_000
const AGAIN_MOST_MS = 300_000

/** A loop over one desk. `host` is the machine's name. */
export const createTeller = (ports: AlertPorts, url: string, host: string) => {
  const { bus, clock, post, settings, alarms, notice } = ports
  const store = createToldStore(ports.tables)
  const desk = new AlertDesk(store.load(), clock.now())
  const wallAt = (ms: number) => clock.wallAt?.(ms) ?? ms
  let failures = 0
  let againAtMs = Number.NEGATIVE_INFINITY
  let unsubscribe = () => {}

  const tell = async (alert: Alert, signal: AbortSignal): Promise<void> => {
    const { headers, body } = shapeAlert(settings.alertFormat, alert, { host, now: clock.now(), wallAt })
    const token = settings.alertToken
    const auth: [string, string][] = token === null ? [] : [['Authorization', `Bearer ${token}`]]
    desk.sent(alert, clock.now())
    const posted = await post({ url, headers: [...headers, ...auth], body, signal })
    // Cut off by the stop: the next life owes its end all the same.
    if (posted.kind === 'aborted') return store.save(desk.told())
    if (posted.kind === 'answered' && posted.status >= 200 && posted.status < 300) {
      failures = 0
      desk.delivered(alert, clock.now())
      await store.save(desk.told())
      return
    }
    if (posted.kind === 'answered' || !posted.mayHaveArrived) desk.refused(alert)
    failures++
    const waitMs = Math.min(AGAIN_MOST_MS, AGAIN_FIRST_MS * 2 ** (failures - 1))
    againAtMs = clock.monotonicMs() + waitMs
    const message = posted.kind === 'answered' ? `it answered ${posted.status}` : posted.message
    notice('warn', 'alert_not_taken', { alarm: alert.name, message, retry_in_ms: waitMs })
  }

  const body = async (signal: AbortSignal): Promise<number | null> => {
    const leftMs = againAtMs - clock.monotonicMs()
    if (leftMs > 0) return leftMs
    const next = desk.next(clock.now())
    if (next.kind === 'wait') return next.until === null ? null : Math.max(1, next.until - clock.now())
    await tell(next.alert, signal)
    return 0
  }

  const failed = (error: unknown) => notice('error', 'alert_failed', { message: String(error) })
  const loop = createLoop({ name: 'alerts', clock, body, failed })
  return {
    start() {
      for (const alarm of alarms()) desk.raised(alarm, alarm.since)
      unsubscribe = bus.on('alarm', 'alerts', ({ part, name, words, state }) => {
        const subject = { part, name, words }
        if (state === 'raised') desk.raised(subject, clock.now())
        else if (state === 'resolved') desk.resolved(subject, clock.now())
        else desk.happened(subject, clock.now())
        loop.nudge()
      })
      loop.start()
    },
    async stop() {
      unsubscribe()
      await loop.stop()
    },
  }
}
