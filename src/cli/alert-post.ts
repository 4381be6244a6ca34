/** Posts what a desk has to say for a command; a receiver that does not take it is said on stderr and asked again at the next round. */

import type { AlertDesk } from '../domain/alert/desk.ts'
import { type AlertFormat, shapeAlert } from '../domain/alert/shape.ts'
import { withoutCredentials } from '../domain/credentials.ts'
import type { Io } from './command.ts'

export interface AlertTarget {
  readonly url: string
  readonly format: AlertFormat
  /** Never to be printed, and neither is the URL. */
  readonly token: string | null
}

const TIMEOUT_MS = 10_000

/** Everything that is due, until one is not taken. */
export const postAlerts = async (io: Io, desk: AlertDesk, { url, format, token }: AlertTarget): Promise<void> => {
  const { url: to, headers: credentials } = withoutCredentials(url)
  for (;;) {
    const now = io.clock.now()
    const next = desk.next(now)
    if (next.kind === 'wait') return
    const { alert } = next
    const { headers, body } = shapeAlert(format, alert, { host: io.host, now, wallAt: (ms) => ms })
    const auth: [string, string][] = token === null ? [] : [['Authorization', `Bearer ${token}`]]
    const giveUp = new AbortController()
    const cancel = io.clock.after(TIMEOUT_MS, () => giveUp.abort())
    desk.sent(alert, now)
    try {
      const sent = [...headers, ...credentials, ...auth].map(([name, value]): [string, string] => [name, value])
      const { status } = await io.fetch(to.href, {
        method: 'POST',
        headers: sent,
        body,
        redirect: 'manual',
        signal: giveUp.signal,
      })
      if (status >= 200 && status < 300) {
        desk.delivered(alert, now)
        continue
      }
      desk.refused(alert)
      io.stderr.write(`foreman: the alert was not taken: FOREMAN_ALERT_URL answered ${status}\n`)
    } catch {
      io.stderr.write('foreman: the alert was not taken: FOREMAN_ALERT_URL cannot be reached\n')
    } finally {
      cancel()
    }
    return
  }
}
