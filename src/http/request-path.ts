/** The path a client asked for, taken from the raw URL; never from `context.path`, which is wrong for short Host headers. */

/** Path and query exactly as sent. Bun gives a relative URL when the Host header is missing or not valid. */
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

/** The path with percent-encoding undone; as it is when the encoding is broken. */
export const decodedPath = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch (error) {
    if (error instanceof URIError) return path
    throw error
  }
}
