/** The path a client asked for, taken from the raw URL; never from `context.path`, which is wrong for short Host headers. */

/** Path and query as Bun gives them; the URL is relative when the Host header is missing or not valid. */
export const pathAndQuery = ({ url }: Request): string => {
  if (url.charCodeAt(0) === 0x2f) return url
  const start = url.indexOf('/', url.indexOf('://') + 3)
  return start < 0 ? '/' : url.slice(start)
}

/** The path alone. */
export const pathOf = (request: Request): string => {
  const full = pathAndQuery(request)
  const query = full.indexOf('?')
  return query < 0 ? full : full.slice(0, query)
}

// Nothing in it means anything to anybody but the characters themselves.
const PLAIN = /^(?:\/(?!\.{0,2}(?:\/|$))[\w.~:@!$&'()*+,=-]+)*\/?$/
// What a proxy in front of the target might read as the end of a segment or of the path, or decode once more.
const AMBIGUOUS = /[\\#?;\u0000-\u001f\u007f]|\/\.{1,2}(?:\/|$)|%[0-9a-f]{2}/i

const decoded = (path: string): string | null => {
  try {
    return decodeURIComponent(path)
  } catch (error) {
    if (error instanceof URIError) return null
    throw error
  }
}

/** A path in the one spelling that is judged and sent on; null for one that could be read in two ways. */
export const canonicalPath = (raw: string): string | null => {
  if (PLAIN.test(raw)) return raw
  const path = decoded(raw)
  if (path === null || /%2f/i.test(raw) || AMBIGUOUS.test(path)) return null
  return encodeURI(path)
}

/** The path as Ollama matches it, percent-encoding undone. Of a canonical path only. */
export const decodedPath = (path: string): string => decoded(path) ?? path
