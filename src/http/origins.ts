/** Which web pages may use foreman and what browsers are told about it; everything is decided here, nothing by the target. */

export interface OriginRules {
  /** FOREMAN_ORIGINS: more origins, with `*` for any part of one. */
  readonly origins: readonly string[]
  readonly publicUrl: string | null
}

/** `none`: no page asks, or one of this very foreman. `allowed`: a page from elsewhere that may. */
export type OriginJudged = 'none' | 'allowed' | 'foreign'

// Ollama's own defaults (wire document, section 8).
const DEFAULTS = [
  ...['localhost', '127.0.0.1', '0.0.0.0'].flatMap((host) =>
    ['http', 'https'].flatMap((scheme) => [`${scheme}://${host}`, `${scheme}://${host}:*`]),
  ),
  ...['app', 'file', 'tauri', 'vscode-webview', 'vscode-file'].map((scheme) => `${scheme}://*`),
]

// Ollama's list first, then what only foreman takes.
const ALLOWED_HEADERS = [
  'Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta',
  ...'Arch,Async,Custom-Poll-Interval,Helper-Method,Lang,Os,Package-Version,Poll-Helper,Retry-Count,Runtime,Runtime-Version,Timeout'
    .split(',')
    .map((name) => `X-Stainless-${name}`),
  'X-Api-Key,Anthropic-Version,Anthropic-Beta,Anthropic-Dangerous-Direct-Browser-Access',
  'Idempotency-Key,Prefer,Last-Event-ID,Range,If-None-Match,If-Range,X-Foreman-Fallback,X-Foreman-Heartbeat',
].join(',')
const ALLOWED_METHODS = 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS'
const EXPOSED_HEADERS = 'Location,Retry-After,ETag,Content-Range,Idempotency-Replayed,Preference-Applied'
const EXPOSED_OWN = ['Job-Id', 'Queue-Ms', 'Position', 'Eta-Seconds', 'Served-By', 'Model', 'Answered-From']
  .map((name) => `X-Foreman-${name}`)
  .join(',')
const MAX_AGE_S = '43200'

const patternOf = (origin: string): RegExp => {
  const escaped = origin.toLowerCase().replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
  // A port is digits: `http://localhost:*` must not take `http://localhost:1.evil.example`.
  return new RegExp(`^${escaped.replace(/:\*$/, String.raw`:\d{1,5}`).replaceAll('*', '.*')}$`)
}

const isSame = (origin: string, host: string | null | undefined): boolean =>
  !!host && (origin === `http://${host.toLowerCase()}` || origin === `https://${host.toLowerCase()}`)

/** Judges the Origin of a request. Same origin is what the client called foreman, also through a proxy that renamed it. */
export const createOriginCheck = ({ origins, publicUrl }: OriginRules): ((request: Request) => OriginJudged) => {
  const own = publicUrl === null ? [] : [new URL(publicUrl).origin]
  const patterns = [...DEFAULTS, ...own, ...origins].map(patternOf)
  return ({ headers }) => {
    const origin = headers.get('origin')?.toLowerCase() ?? ''
    if (origin === '' || isSame(origin, headers.get('host'))) return 'none'
    if (patterns.some((pattern) => pattern.test(origin))) return 'allowed'
    // No page can set this header for another origin without a preflight, which is judged above.
    return isSame(origin, headers.get('x-forwarded-host')?.split(',')[0]?.trim()) ? 'none' : 'foreign'
  }
}

/** The answer to a preflight of an allowed origin: it asks only for leave, so nobody else is asked. */
export const preflightAnswer = (): Response =>
  new Response(null, {
    status: 204,
    headers: {
      'Access-Control-Allow-Headers': ALLOWED_HEADERS,
      'Access-Control-Allow-Methods': ALLOWED_METHODS,
      'Access-Control-Max-Age': MAX_AGE_S,
      Vary: 'Access-Control-Request-Method, Access-Control-Request-Headers',
    },
  })

/** The answer as a browser lets a page of an allowed origin read it. */
export const readableBy = (request: Request, response: Response): Response => {
  const { headers } = response
  headers.set('Access-Control-Allow-Origin', request.headers.get('origin') ?? '*')
  headers.set('Access-Control-Expose-Headers', `${EXPOSED_HEADERS},${EXPOSED_OWN}`)
  headers.append('Vary', 'Origin')
  return response
}
