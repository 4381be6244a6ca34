/** Which headers may cross foreman; it must never let a hop-by-hop header or a client's credentials through. */

/** Names and values in the order they are on the wire, duplicates and case kept. */
export type HeaderPairs = readonly (readonly [string, string])[]

/** The first value under a name, or nothing. */
export const headerOf = (headers: HeaderPairs, name: string): string =>
  headers.find(([key]) => key.toLowerCase() === name)?.[1] ?? ''

// RFC 9110 section 7.6.1, and Proxy-Connection, which browsers of old still send.
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

// Expect: Bun has answered it already. Authorization and Anthropic's X-Api-Key: a client's key opens foreman, not the target.
// Origin: foreman has judged it, by the name it was called; the target is called by another and would judge it wrong.
const requestOnly: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'expect',
  'authorization',
  'x-api-key',
  'origin',
  'access-control-request-method',
  'access-control-request-headers',
  'access-control-request-private-network',
])

const none: ReadonlySet<string> = new Set()
const token = /^[!#$%&'*+.^_`|~0-9a-z-]+$/

/** The request headers that go on to the target; User-Agent among them, because Ollama looks at it. */
export const requestHeaders = (headers: Iterable<readonly [string, string]>): [string, string][] => {
  const kept: [string, string][] = []
  let connection = false
  for (const [name, value] of headers) {
    const key = name.toLowerCase()
    connection ||= key === 'connection'
    if (!hopByHop.has(key) && !requestOnly.has(key)) kept.push([name, value])
  }
  if (!connection) return kept
  const named = namedByConnection(headers)
  return named.size === 0 ? kept : kept.filter(([name]) => !named.has(name.toLowerCase()))
}

/**
 * The reply headers that go on to the client. Content-Length is kept only when no body follows (HEAD, 304): a body is
 * framed anew by whoever sends it on, and two framings of one body are how requests are smuggled.
 */
export const replyHeaders = (headers: HeaderPairs, bodyFollows: boolean): HeaderPairs => {
  const named = namedByConnection(headers)
  return headers.filter(([name]) => {
    const key = name.toLowerCase()
    return !hopByHop.has(key) && !named.has(key) && !(bodyFollows && key === 'content-length')
  })
}

// Only tokens count as names, and framing is never up to Connection: "Connection: content-length" is an old smuggling trick.
const namedByConnection = (pairs: Iterable<readonly [string, string]>): ReadonlySet<string> => {
  let named: Set<string> | undefined
  for (const [name, value] of pairs) {
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue
    for (const part of value.split(',')) {
      const key = part.trim().toLowerCase()
      if (token.test(key) && key !== 'content-length') named = (named ?? new Set()).add(key)
    }
  }
  return named ?? none
}
