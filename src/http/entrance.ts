/** What every request passes on its way to a route: the guard, the one spelling of its path, and what browsers need on its way back. */
import type { Guard, Who } from './guard.ts'
import { pathAndQuery, pathOf } from './request-path.ts'
import { type Timing, type TimingServer, timingOf } from './timing.ts'
import type { Visitors } from './visitors.ts'

export interface EntranceDeps {
  readonly guard: Guard
  readonly visitors: Visitors
  /** Answers a route of the Ollama table, or null where the router must look. */
  readonly direct: (
    method: string,
    path: string,
    request: Request,
    timing: Timing,
    who: Who,
  ) => Response | Promise<Response> | null
  /** The router behind it. */
  readonly route: (request: Request) => Response | Promise<Response>
}

// Elysia looks for the path after the eleventh character: a shorter name in front of it would move it.
const NAME_MIN_CHARACTERS = 4

/** The request whose URL every router reads in the same way; mostly the very one that came. */
const readable = (request: Request, path: string): Request => {
  const { url } = request
  const hostEnd = url.indexOf('/', 7)
  if (hostEnd - 'http://'.length >= NAME_MIN_CHARACTERS && pathOf(request) === path) return request
  const full = pathAndQuery(request)
  const query = full.indexOf('?')
  return new Request(`http://foreman.internal${path}${query < 0 ? '' : full.slice(query)}`, request)
}

/** Elysia would read a whole answer to learn its length, an endless one too; the server itself answers a HEAD from a GET's answer. */
const forRouter = (asked: Request): Request => {
  if (asked.method !== 'HEAD') return asked
  const headers = new Headers(asked.headers)
  // Ranges are a matter of GET alone (RFC 9110, section 14.2).
  headers.delete('range')
  return new Request(asked, { method: 'GET', headers })
}

/** The handler of a server. */
export const createEntrance =
  ({ guard, visitors, direct, route }: EntranceDeps) =>
  (request: Request, server: TimingServer | null): Response | Promise<Response> => {
    const judged = guard(request)
    if (judged.kind === 'refused') return judged.response
    const { who, path, dress } = judged
    const timing = timingOf(request, server)
    const through = (asked: Request, who: Who, timing: Timing) => {
      const routed = forRouter(asked)
      visitors.enter(routed, { who, asked, timing })
      return route(routed)
    }
    const leave = (response: Response): Response => {
      timing.answered()
      return dress === null ? response : dress(response)
    }
    const asked = readable(request, path)
    const answer = direct(asked.method, path, asked, timing, who) ?? through(asked, who, timing)
    return answer instanceof Response ? leave(answer) : answer.then(leave)
  }
