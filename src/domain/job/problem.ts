/** Why a request on /jobs is refused: a closed list, each with its status and title (RFC 9457). */

export const problems = {
  malformed: { status: 400, title: 'The body is not JSON' },
  invalid: { status: 422, title: 'The request cannot be a job' },
  'model-not-installed': { status: 422, title: 'The model is not installed' },
  'webhook-refused': { status: 422, title: 'The webhook URL may not be called' },
  'idempotency-conflict': { status: 422, title: 'The idempotency key was used with another body' },
  unauthorized: { status: 401, title: 'A bearer token is required' },
  'not-found': { status: 404, title: 'There is no such thing' },
  'method-not-allowed': { status: 405, title: 'The method is not allowed here' },
  'sync-call': { status: 409, title: 'The job belongs to a client that waits' },
  'already-final': { status: 409, title: 'The job is already final' },
  'too-slow': { status: 408, title: 'The body arrived too slowly' },
  'too-large': { status: 413, title: 'The body is too large' },
  'range-not-satisfiable': { status: 416, title: 'The range cannot be given' },
  'queue-full': { status: 503, title: 'The queue is full' },
  'too-many-followers': { status: 503, title: 'Too many follow jobs already' },
  draining: { status: 503, title: 'foreman is stopping' },
  'disk-full': { status: 503, title: 'foreman cannot write to its data directory' },
  internal: { status: 500, title: 'Internal error' },
} as const satisfies Record<string, { status: number; title: string }>

export type ProblemCode = keyof typeof problems

/** A problem with a sentence that helps the caller. */
export interface Problem {
  readonly code: ProblemCode
  readonly detail: string
}
