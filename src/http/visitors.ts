/** What is known of each request under way: who asks, and the timer of its connection; kept beside the request, never in it. */
import type { Who } from './guard.ts'
import type { Timing } from './timing.ts'

export interface Visit {
  /** The request as it was asked: routers see a HEAD as the GET that it stands for. */
  readonly asked: Request
  readonly who: Who
  readonly timing: Timing
}

/** Handlers, those of parts too, look here to know who is asking. */
export interface Visitors {
  of(request: Request): Visit
  enter(request: Request, visit: Visit): void
}

/** The visitors of one foreman. */
export const createVisitors = (): Visitors => {
  const visits = new WeakMap<Request, Visit>()
  return {
    of(request) {
      const visit = visits.get(request)
      if (visit === undefined) throw new Error('a request reached a route without passing the guard')
      return visit
    },
    enter: (request, visit) => void visits.set(request, visit),
  }
}
