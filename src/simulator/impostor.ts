/** Servers that answer at Ollama's address and are none: proxies, logins, other services; it must never say what only Ollama says. */
import type { Exchange } from './exchange.ts'
import type { Header } from './framing.ts'
import type { Pulse } from './pulse.ts'

/** How an impostor answers, whatever it is asked. */
export interface Impostor {
  readonly status: number
  readonly contentType?: string
  /** Of the body as it is given. */
  readonly encoding?: string
  readonly location?: string
  readonly body?: string
  /** `whole` (default) answers at once; `endless` repeats the body until the client leaves; `drip` sends a byte a second; `banner` speaks no HTTP. */
  readonly manner?: 'whole' | 'endless' | 'drip' | 'banner'
}

const HTML = 'text/html; charset=utf-8'
const JSON_TYPE = 'application/json'
const NDJSON = 'application/x-ndjson'
const TEXT = 'text/plain; charset=utf-8'

const page = (title: string, server = 'nginx'): string =>
  `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n<hr><center>${server}</center>\r\n</body>\r\n</html>\r\n`

const loginPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head>
<body><form method="post" action="/login"><input name="user"><input name="password" type="password"></form></body></html>
`

// Brotli's frame around text that stays text.
const brotli = (text: string): string => {
  const length = text.length - 1
  const head = [(length & 0xf) << 4, (length >> 4) & 0xff, (length >> 12) | 0x10]
  return `${String.fromCharCode(...head)}${text}\u0003`
}

/** Twenty-four that stood in front of somebody's Ollama, by name. */
export const impostors = {
  'bearer-proxy': { status: 401, contentType: TEXT, body: 'Unauthorized\n' },
  'basic-auth': { status: 401, contentType: HTML, body: page('401 Authorization Required') },
  'not-found-text': { status: 404, contentType: TEXT, body: '404 page not found\n' },
  'not-found-page': { status: 404, contentType: HTML, body: page('404 Not Found') },
  'forbidden-page': { status: 403, contentType: HTML, body: page('403 Forbidden') },
  'login-redirect': { status: 302, contentType: HTML, location: '/login', body: '<a href="/login">Found</a>.\n' },
  'login-page': { status: 200, contentType: HTML, body: loginPage },
  'other-json': { status: 200, contentType: JSON_TYPE, body: '{"status":"ok","service":"gateway"}' },
  'lm-studio': {
    status: 200,
    contentType: 'application/json; charset=utf-8',
    body: '{"error":"Unexpected endpoint or method. (POST /api/chat)"}',
  },
  'fastapi-404': { status: 404, contentType: JSON_TYPE, body: '{"detail":"Not Found"}' },
  'error-page': { status: 500, contentType: HTML, body: page('500 Internal Server Error') },
  'bad-gateway-page': { status: 502, contentType: HTML, body: page('502 Bad Gateway') },
  'unavailable-page': {
    status: 503,
    contentType: 'text/html',
    body: '<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n',
  },
  'gateway-timeout-page': { status: 504, contentType: HTML, body: page('504 Gateway Time-out') },
  'cloudflare-522': {
    status: 522,
    contentType: HTML,
    body: page('522: Connection timed out', 'cloudflare'),
  },
  'captive-portal': { status: 511, contentType: HTML, body: page('511 Network Authentication Required', 'portal') },
  empty: { status: 200 },
  compressed: { status: 200, contentType: JSON_TYPE, encoding: 'br', body: brotli('{"status":"down"}') },
  unfinished: { status: 200, contentType: NDJSON, body: '{"done":false}\n' },
  'starting-lines': { status: 200, contentType: NDJSON, body: '{"message":"starting"}\n' },
  'event-pings': { status: 200, contentType: 'text/event-stream', body: 'event: ping\ndata: {}\n\n' },
  endless: { status: 200, contentType: NDJSON, body: '{"tick":1}\n', manner: 'endless' },
  drip: { status: 200, contentType: JSON_TYPE, body: '{"service":"gateway","status":"starting"}', manner: 'drip' },
  banner: { status: 0, body: 'SSH-2.0-OpenSSH_9.6\r\n', manner: 'banner' },
} as const satisfies Readonly<Record<string, Impostor>>

export type ImpostorName = keyof typeof impostors

/** All of them, in the order of the list. */
export const impostorNames = Object.keys(impostors) as ImpostorName[]

const DRIP_MS = 1000
const ENDLESS_CHUNK_BYTES = 1 << 16

const pourEndlessly = async (exchange: Exchange, pulse: Pulse, body: string): Promise<void> => {
  const chunk = body.repeat(Math.ceil(ENDLESS_CHUNK_BYTES / Math.max(1, body.length)))
  while (!exchange.gone) {
    await exchange.chunk(chunk)
    await pulse.breathe()
  }
}

const drip = async (exchange: Exchange, pulse: Pulse, body: string): Promise<void> => {
  for (const byte of body) {
    if (!(await pulse.delay(DRIP_MS, exchange))) return
    exchange.chunk(byte)
  }
  exchange.end()
}

/** Answers one exchange as the impostor does. */
export const impersonate = async (exchange: Exchange, pulse: Pulse, impostor: Impostor): Promise<void> => {
  const { status, contentType, encoding, location, body = '', manner = 'whole' } = impostor
  const headers: Header[] = []
  if (contentType !== undefined) headers.push(['Content-Type', contentType])
  if (encoding !== undefined) headers.push(['Content-Encoding', encoding])
  if (location !== undefined) headers.push(['Location', location])
  if (manner === 'banner') return exchange.blurt(body)
  if (manner === 'whole' || exchange.request.method === 'HEAD') return exchange.send(status, headers, body)
  exchange.begin(status, headers)
  await (manner === 'endless' ? pourEndlessly(exchange, pulse, body) : drip(exchange, pulse, body))
}
