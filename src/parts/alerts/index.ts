/** The part that tells a person: its rows in the table of settings, its table, and how it is made. */
import { alertSettings } from '../../domain/alert/settings.ts'
import { durationBetween, optional, readHttpUrl, readPath } from '../../domain/readers.ts'
import type { SettingRows } from '../../domain/setting.ts'
import { definePart } from '../../engine/part.ts'
import { tables } from './store.ts'

const MINUTE_MS = 60_000
const DAY_MS = 1_440 * MINUTE_MS

const settings = {
  ...alertSettings,
  alertQueueAgeMs: {
    variable: 'FOREMAN_ALERT_QUEUE_AGE',
    fallback: '0',
    fallbackShown: '0 (none)',
    meaning: 'alert when the oldest waiting job is older',
    allowed: 'a duration such as 30m (a bare number is seconds) from 1m to 720h, or 0',
    parse: durationBetween(MINUTE_MS, 30 * DAY_MS, 'zero'),
  },
  heartbeatFile: {
    variable: 'FOREMAN_HEARTBEAT_FILE',
    fallback: '',
    meaning: 'a file touched every 30 s while the loops come round, for a watchdog on this machine',
    allowed: 'a path such as /run/foreman/heartbeat (~ is not expanded here)',
    parse: optional(readPath),
  },
  heartbeatUrl: {
    variable: 'FOREMAN_HEARTBEAT_URL',
    fallback: '',
    meaning: "a dead man's switch that is called every minute while the loops come round",
    allowed: 'a URL such as https://hc-ping.com/ID',
    secret: true,
    parse: optional(readHttpUrl),
  },
} satisfies SettingRows

export const alerts = definePart({
  name: 'alerts',
  settings,
  tables,
  create: async (ports) => (await import('./part.ts')).createAlerts(ports),
})
