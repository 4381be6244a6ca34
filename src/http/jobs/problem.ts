/** Refusals on /jobs as RFC 9457 problem details; it must never show what a bug was. */
import { type Problem, problems } from '../../domain/job/problem.ts'
import { pathOf } from '../request-path.ts'

// Long enough that a queue moves, short enough that nobody gives up.
const RETRY_AFTER_S = 5

export const PROBLEM_TYPE = 'application/problem+json'

/** A problem as a response: 503 says when to come back, 401 says how. `type` is stable; `code` is its last part. */
export const problemResponse = (
  request: Request,
  { code, detail }: Problem,
  more: Readonly<Record<string, string>> = {},
): Response => {
  const { status, title } = problems[code]
  const headers: Record<string, string> = { 'Content-Type': PROBLEM_TYPE, 'Cache-Control': 'no-store', ...more }
  if (status === 503) headers['Retry-After'] = String(RETRY_AFTER_S)
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer realm="foreman"'
  if (status === 413 || status === 408) headers['Connection'] = 'close'
  const body = { type: `/problems/${code}`, title, status, detail, instance: pathOf(request), code }
  return new Response(JSON.stringify(body), { status, headers })
}
