/** Where alerts go and how they are written: rows that foreman and `foreman watch` share. */
import { oneOf, optional, readHttpUrl, readToken } from '../readers.ts'
import type { SettingRows } from '../setting.ts'
import { alertFormats } from './shape.ts'

export const alertSettings = {
  alertUrl: {
    variable: 'FOREMAN_ALERT_URL',
    fallback: '',
    meaning: 'where alerts are posted',
    allowed: 'a URL such as https://ntfy.sh/my-topic',
    secret: true,
    parse: optional(readHttpUrl),
  },
  alertFormat: {
    variable: 'FOREMAN_ALERT_FORMAT',
    fallback: 'json',
    meaning: 'how alerts are written: json, slack (also Mattermost, Discord with /slack) or ntfy',
    allowed: 'json, slack or ntfy',
    parse: oneOf(alertFormats),
  },
  alertToken: {
    variable: 'FOREMAN_ALERT_TOKEN',
    fallback: '',
    meaning: 'bearer token sent with alerts',
    allowed: 'up to 4096 printable ASCII characters without blanks',
    secret: true,
    parse: readToken,
  },
} satisfies SettingRows
