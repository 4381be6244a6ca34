/** Takes the target's URL apart once, at start; it must never be asked again per request. */

/** Where the target listens and how requests to it are addressed. */
export interface Endpoint {
  origin: string
  /** What to dial: no brackets around an IPv6 address. */
  hostname: string
  port: number
  tls: boolean
  /** The Host header: the target's own authority, because Ollama refuses foreign ones. */
  authority: string
  /** A path in front of every request path, without a trailing slash. */
  prefix: string
}

/** An endpoint, or one sentence saying what is wrong with the URL. */
export type ParsedUrl = { kind: 'endpoint'; endpoint: Endpoint } | { kind: 'invalid'; message: string }

/** Reads `http://host:port/prefix`. Credentials, queries and fragments are refused: nothing would use them. */
export const parseTargetUrl = (text: string): ParsedUrl => {
  const url = URL.parse(text)
  if (url === null || url.hostname === '') return invalid('not an absolute URL')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return invalid('the scheme is neither http nor https')
  if (url.username !== '' || url.password !== '') return invalid('credentials in the URL are not used; set a token')
  if (url.search !== '' || url.hash !== '') return invalid('a query or fragment cannot be part of it')
  const tls = url.protocol === 'https:'
  return {
    kind: 'endpoint',
    endpoint: {
      origin: url.origin,
      hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? (tls ? 443 : 80) : Number(url.port),
      tls,
      authority: url.host,
      prefix: url.pathname.replace(/\/+$/, ''),
    },
  }
}

const invalid = (message: string): ParsedUrl => ({ kind: 'invalid', message })
