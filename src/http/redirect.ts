/** Redirects as Go's server words them, for Ollama's paths and for foreman's own: one slash too many is no other place. */
import { pathAndQuery, pathOf } from './request-path.ts'

const page = (status: number, location: string): Response => {
  const text = status === 301 ? 'Moved Permanently' : 'Temporary Redirect'
  const headers = { 'Content-Type': 'text/html; charset=utf-8', Location: location }
  return new Response(`<a href="${location.replaceAll('"', '%22')}">${text}</a>.\n\n`, { status, headers })
}

/** A page for GET, nothing for the others; the query goes along. */
export const redirect = (request: Request, status: 301 | 307, path: string): Response => {
  const location = path + pathAndQuery(request).slice(pathOf(request).length)
  if (request.method === 'GET') return page(status, location)
  return new Response(null, { status, headers: { Location: location } })
}

// Of this server: neither another's address nor one that says whose it is.
const OWN_PATH = /^\/(?!\/)/

/** The same answer for somebody whose paths all begin with `prefix`: wherever it leads, it leads there with it. */
export const below = (prefix: string, response: Response): Response => {
  const location = response.headers.get('location') ?? ''
  if (!OWN_PATH.test(location)) return response
  const { status } = response
  if ((status === 301 || status === 307) && response.body !== null) return page(status, prefix + location)
  response.headers.set('Location', prefix + location)
  return response
}

interface KnownRoute {
  readonly method: string
  readonly path: string
}

/** Says where a path with a slash too many leads: to the route of the same method without it, or null. */
export const createSlashRedirect = (routes: readonly KnownRoute[]) => {
  const known = routes
    .filter(({ path }) => path !== '/*')
    .map(({ method, path }) => ({ method, pattern: new RegExp(`^${path.replaceAll(/:\w+/g, '[^/]+')}$`) }))
  return (request: Request): Response | null => {
    const path = pathOf(request)
    if (path === '/' || !path.endsWith('/')) return null
    const shorter = path.slice(0, -1)
    const method = request.method === 'HEAD' ? 'GET' : request.method
    if (!known.some((route) => route.method === method && route.pattern.test(shorter))) return null
    return redirect(request, method === 'GET' ? 301 : 307, shorter)
  }
}
