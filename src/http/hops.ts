/** Refuses a request that has been here before, ahead of everything else: each further turn would hold sockets at every foreman of the circle. */
import { HOPS_HEADER, hopProblem } from '../domain/wire/hops.ts'
import { flavourOf } from '../domain/wire/routes.ts'
import type { Guard } from './guard.ts'
import { refusal } from './refuse.ts'
import { pathOf } from './request-path.ts'

const LOOP_DETECTED = 508

/** `straight`: nothing but proxies was in between. `circle`: another foreman was. */
export type Returned = 'straight' | 'circle'

export interface HopGuard {
  readonly guard: Guard
  /** Whether one of this foreman's own requests has come back to it, and how; null while none has. */
  returned(): Returned | null
}

/** `guard`, behind the check that a request does not run in a circle through `instance`. */
export const createHopGuard = (guard: Guard, instance: string): HopGuard => {
  let returned: Returned | null = null
  return {
    returned: () => returned,
    guard(request) {
      const hops = request.headers.get(HOPS_HEADER)
      const problem = hopProblem(hops, instance)
      if (problem === null) return guard(request)
      returned ??= hops === instance ? 'straight' : 'circle'
      return { kind: 'refused', response: refusal(flavourOf(pathOf(request)), LOOP_DETECTED, problem) }
    },
  }
}
