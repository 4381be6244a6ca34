/** Every path that no other route takes, as Ollama matches it: its table, its redirects, its refusals; it must never guess. */
import { exactRoute, isLikeRoute, matchRoute, type Route } from '../domain/wire/routes.ts'
import { mayNameModel, unlistedRoute } from '../domain/wire/unlisted.ts'
import type { Who } from './guard.ts'
import type { Forward } from './ollama/forwarding.ts'
import type { OllamaHandler } from './ollama/handler.ts'
import { redirect } from './redirect.ts'
import { notFound } from './refuse-by-path.ts'
import { decodedPath, pathOf } from './request-path.ts'
import type { Timing } from './timing.ts'

export interface OllamaPathsDeps {
  readonly handle: OllamaHandler
  readonly forward: Forward
}

const notAllowed = (allow: string) =>
  new Response('405 method not allowed', { status: 405, headers: { 'Content-Type': 'text/plain', Allow: allow } })

const isRunning = () => new Response('Ollama is running', { headers: { 'Content-Type': 'text/plain; charset=utf-8' } })

/** Answers one request by the table. */
export const createOllamaPaths = ({ handle, forward }: OllamaPathsDeps) => {
  /** Paths newer than this table are the target's to answer. */
  const pass = (request: Request, timing: Timing) => {
    timing.untimed()
    const body = request.body === null ? null : 'stream'
    return forward(request, {
      flavour: 'native',
      body,
      repeatable: false,
      patient: false,
      endsOn: body === null ? 'doubt' : 'absence',
      onStream: timing.streaming,
      onEnd: timing.timed,
    })
  }

  const take = (route: Route, request: Request, timing: Timing, { name }: Who): Response | Promise<Response> => {
    if (route.path === '/') return isRunning()
    timing.readingBody()
    return handle(route, request, timing, name)
  }

  const find = (request: Request, timing: Timing, who: Who): Response | Promise<Response> => {
    const { method } = request
    const path = decodedPath(pathOf(request))
    const matched = matchRoute(method, path)
    switch (matched.kind) {
      case 'route':
        return take(matched.route, request, timing, who)
      case 'redirect':
        return redirect(request, matched.status, encodeURI(matched.location))
      case 'not-allowed':
        return notAllowed(matched.allow)
      case 'unknown':
        // Nearly a route's name is nobody's, but a file system or a proxy might not look so closely.
        if (isLikeRoute(method, path)) return notFound()
        if (!/^\/+(api|v1)(\/|$)/.test(path)) return notFound()
        if (method !== 'POST' || request.body === null || !mayNameModel(request.headers.get('content-type') ?? ''))
          return pass(request, timing)
        timing.readingBody()
        return handle(unlistedRoute(path), request, timing, who.name)
      default:
        return matched satisfies never
    }
  }

  return {
    find,
    /** The answer where the path is a route of the table to the letter, else null: the hot ones spare a walk through the router. */
    exact(
      method: string,
      path: string,
      request: Request,
      timing: Timing,
      who: Who,
    ): Response | Promise<Response> | null {
      const route = exactRoute(method, path)
      return route === undefined ? null : take(route, request, timing, who)
    },
  }
}

export type OllamaPaths = ReturnType<typeof createOllamaPaths>
