/** The way a request has come through foremen, so that one which targets another in a circle is noticed at its first turn. */
import type { HeaderPairs } from './headers.ts'

/** Carries the instances that a request has passed, oldest first; a real Ollama ignores it. */
export const HOPS_HEADER = 'X-Foreman-Hops'

const LOWER = HOPS_HEADER.toLowerCase()
const LENGTH = LOWER.length

// No chain of foremen is this long on purpose.
const HOPS_MAX = 8

/** Why a request with these hops must not go on through `instance`; null when it may. */
export const hopProblem = (hops: string | null, instance: string): string | null => {
  if (hops === null) return null
  const passed = hops.split(',').map((hop) => hop.trim())
  if (passed.includes(instance))
    return 'this request has come back to this foreman: the target of one foreman leads back to it through another one'
  return passed.length < HOPS_MAX
    ? null
    : `this request has passed ${HOPS_MAX} foremen: do their targets lead in a circle?`
}

/** The headers of a request that leaves `instance`. */
export const withHop = (headers: HeaderPairs, instance: string): HeaderPairs => {
  const isHops = ([name]: readonly [string, string]) => name.length === LENGTH && name.toLowerCase() === LOWER
  if (!headers.some(isHops)) return [...headers, [HOPS_HEADER, instance]]
  const passed = headers.filter(isHops).map(([, value]) => value)
  return [...headers.filter((header) => !isHops(header)), [HOPS_HEADER, [...passed, instance].join(', ')]]
}
