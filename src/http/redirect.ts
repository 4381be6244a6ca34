/** Redirects as Go's server words them, for Ollama's paths and for foreman's own: one slash too many is no other place. */
import { pathAndQuery, pathOf } from './request-path.ts'

/** A page for GET, nothing for the others; the query goes along. */
export const redirect = (request: Request, status: 301 | 307, path: string): Response => {
  const location = path + pathAndQuery(request).slice(pathOf(request).length)
  if (request.method !== 'GET') return new Response(null, { status, headers: { Location: location } })
  const text = status === 301 ? 'Moved Permanently' : 'Temporary Redirect'
  const headers = { 'Content-Type': 'text/html; charset=utf-8', Location: location }
  return new Response(`<a href="${location.replaceAll('"', '%22')}">${text}</a>.\n\n`, { status, headers })
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
