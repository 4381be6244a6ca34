/** The Elysia app: limits, the guard, the Ollama table, health; it must never route or guard by `context.path`. */
import { Elysia, t } from 'elysia'
import { matchRoute, ollamaRoutes, type Route } from '../domain/wire/routes.ts'
import type { Guard } from './auth.ts'
import { docsRoutes } from './docs.ts'
import { type HealthDeps, healthRoutes } from './health.ts'
import { isJobsPath, type JobsRoutesDeps, jobsRefusal, jobsRoutes } from './jobs/routes.ts'
import type { Forward } from './ollama/forward.ts'
import type { OllamaHandler } from './ollama/handler.ts'
import { bytesResponse } from './openapi.ts'
import { refusal } from './refuse.ts'
import { decodedPath, pathAndQuery, pathOf } from './request-path.ts'
import { IDLE_TIMEOUT_S, type TimingServer, timingOf } from './timing.ts'

export interface AppDeps {
  readonly guard: Guard
  readonly handle: OllamaHandler
  readonly forward: Forward
  readonly health: HealthDeps
  readonly jobs: JobsRoutesDeps
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
  readonly version: string
  readonly onBug: (error: unknown, path: string) => void
}

// Bodies are bounded where they are read, because blob uploads stream through whatever their size.
const NO_BODY_LIMIT = Number.MAX_SAFE_INTEGER

const notFound = () => new Response('404 page not found', { status: 404, headers: { 'Content-Type': 'text/plain' } })

const notAllowed = (allow: string) =>
  new Response('405 method not allowed', { status: 405, headers: { 'Content-Type': 'text/plain', Allow: allow } })

/** Go's redirects: a page for GET, nothing for the others. */
const redirect = (method: string, status: 301 | 307, path: string, query: string): Response => {
  const location = path + query
  if (method !== 'GET') return new Response(null, { status, headers: { Location: location } })
  const text = status === 301 ? 'Moved Permanently' : 'Temporary Redirect'
  const headers = { 'Content-Type': 'text/html; charset=utf-8', Location: location }
  return new Response(`<a href="${location.replaceAll('"', '%22')}">${text}</a>.\n\n`, { status, headers })
}

const summaries: Record<Route['class'], string> = {
  queued: 'one at a time, through the queue',
  bypass: 'at once, beside a generation',
  control: 'at once, no model runs',
}

/** Builds the app; nothing listens yet. */
export const createApp = ({ guard, handle, forward, health, jobs, metrics, version, onBug }: AppDeps) => {
  const answer = (route: Route, request: Request, server: TimingServer | null): Response | Promise<Response> => {
    if (isJobsPath(pathOf(request))) return jobsRefusal(guard, request)
    const refused = guard(request, route.flavour)
    if (refused !== null) return refused
    if (route.path === '/')
      return new Response('Ollama is running', { headers: { 'Content-Type': 'text/plain; charset=utf-8' } })
    const timing = timingOf(request, server)
    timing.readingBody()
    return handle(route, request, timing)
  }

  /** Everything that no route of the table took, in Ollama's own words. */
  const fallback = (request: Request, server: TimingServer | null): Response | Promise<Response> => {
    const path = pathOf(request)
    if (isJobsPath(path)) return jobsRefusal(guard, request)
    const ollamaPath = /^\/+(api|v1)(\/|$)/.test(decodedPath(path))
    const refused = guard(request)
    if (refused !== null) return refused
    // Matched as Ollama matches it, decoded: an encoded letter must not go around the queue or a guard.
    const matched = matchRoute(request.method, decodedPath(path))
    const full = pathAndQuery(request)
    if (request.method === 'OPTIONS' && request.headers.has('origin')) return pass(request, server)
    switch (matched.kind) {
      case 'route':
        return answer(matched.route, request, server)
      case 'redirect':
        return redirect(request.method, matched.status, matched.location, full.slice(path.length))
      case 'not-allowed':
        return notAllowed(matched.allow)
      case 'unknown':
        return ollamaPath ? pass(request, server) : notFound()
      default:
        return matched satisfies never
    }
  }

  /** Paths newer than this table, and preflights, are the target's to answer. */
  const pass = (request: Request, server: TimingServer | null) => {
    const timing = timingOf(request, server)
    timing.untimed()
    const body = request.body === null ? null : 'stream'
    return forward(request, {
      flavour: 'native',
      body,
      repeatable: false,
      patient: false,
      onEnd: timing.timed,
    })
  }

  const app = new Elysia({
    serve: { idleTimeout: IDLE_TIMEOUT_S, development: false, maxRequestBodySize: NO_BODY_LIMIT },
  })
    // Before the hook below: it would answer for these routes too, in Ollama's words.
    .use(jobsRoutes(jobs, fallback))
    .onError(({ code, error, request }) => {
      if (code === 'NOT_FOUND') return notFound()
      onBug(error, pathOf(request))
      return refusal('native', 500, 'internal error')
    })
    .use(docsRoutes(guard, version))
    .use(healthRoutes(health))
    .get(
      '/metrics',
      async ({ request }) => {
        const refused = guard(request)
        if (refused !== null) return refused
        const { contentType, text } = await metrics()
        return new Response(text, { headers: { 'Content-Type': contentType } })
      },
      {
        response: {
          200: bytesResponse('Prometheus text', 'text/plain'),
          401: t.Object({ error: t.String() }, { description: 'FOREMAN_TOKEN is missing' }),
        },
        detail: { summary: 'Counts and times for Prometheus', tags: ['health'] },
      },
    )
  for (const route of ollamaRoutes) {
    for (const method of route.methods) {
      // Elysia answers HEAD for every GET by itself.
      if (method === 'HEAD' && route.methods.includes('GET')) continue
      app.route(method, route.path, ({ request, server }) => answer(route, request, server), {
        parse: 'none',
        detail: { summary: `${route.path}: ${summaries[route.class]}`, tags: [route.class] },
      })
    }
  }
  app.all('/*', ({ request, server }) => fallback(request, server), { parse: 'none', detail: { hide: true } })
  return app
}
