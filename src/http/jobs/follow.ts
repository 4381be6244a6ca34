/** Whether and from where a job can be followed, and the answer that does it. */
import { isFinal } from '../../domain/job/job.ts'
import type { Problem } from '../../domain/job/problem.ts'
import type { JobReader, StoredJob } from '../../domain/job/reading.ts'
import type { Timing } from '../timing.ts'
import { type JobEventsDeps, jobEvents } from './events.ts'
import { FOLLOWERS_MAX, type Followers } from './followers.ts'
import { problemResponse } from './problem.ts'

export interface FollowDeps extends Omit<JobEventsDeps, 'onEnd' | 'pending'> {
  readonly reader: JobReader
  readonly followers: Followers
}

const syncCall: Problem = {
  code: 'sync-call',
  detail: 'the transitions of a call whose client waits are not kept: GET /jobs/{id} shows its state',
}

const crowded: Problem = {
  code: 'too-many-followers',
  detail: `${FOLLOWERS_MAX} streams of events are open: come back later, or ask GET /jobs/{id}?wait=30s`,
}

/** The transition after which the stream begins. An EventSource keeps the query it began with and says in the header how far it has come since. */
const startOf = (request: Request, lastEventId: string | undefined, newest: number): number => {
  const last = request.headers.get('last-event-id') || lastEventId || ''
  const asked = /^\d{1,15}$/.test(last) ? Number(last) : 0
  // Another job's number, or one from before a backup was restored, says nothing of what has been seen here.
  return asked > newest ? 0 : asked
}

/** A stream of events, or why there is none. */
export const followJob = (
  deps: FollowDeps,
  request: Request,
  job: StoredJob,
  lastEventId: string | undefined,
  timing: Timing,
): Response => {
  const { reader, followers } = deps
  if (job.kind === 'sync') return problemResponse(request, syncCall)
  const newest = reader.transitions(job.seq, 0).at(-1)?.sequence ?? 0
  const after = startOf(request, lastEventId, newest)
  // An EventSource reconnects until it is told that there is nothing more.
  if (isFinal(job.state) && after >= newest) return new Response(null, { status: 204 })
  const pending = followers.join()
  if (pending === null) return problemResponse(request, crowded)
  timing.untimed()
  timing.streaming()
  const headers = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' }
  return new Response(jobEvents(job, after, { ...deps, pending, onEnd: timing.timed }), { headers })
}
