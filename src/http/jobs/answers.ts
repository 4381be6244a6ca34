/** What each route of /jobs answers, as plain functions from a request to a response; it must never throw what a caller did wrong. */
import type { Clock } from '../../domain/clock.ts'
import { parseDurationMs } from '../../domain/duration.ts'
import { isFinal, type JobState } from '../../domain/job/job.ts'
import type { Problem } from '../../domain/job/problem.ts'
import type { JobReader, StoredJob } from '../../domain/job/reading.ts'
import type { Board } from '../../engine/board.ts'
import type { Jobs } from '../../engine/jobs.ts'
import type { BodyReader } from '../body.ts'
import type { Timing } from '../timing.ts'
import { artifactResponse } from './artifact.ts'
import { createFeeds } from './feed.ts'
import { followJob } from './follow.ts'
import { createFollowers } from './followers.ts'
import { type ListQuery, listJobs } from './list.ts'
import { problemResponse } from './problem.ts'
import { showQuery } from './schemas.ts'
import { submitJob, WAIT_MAX_MS } from './submit.ts'
import { createJobViews, type JobViewDeps } from './view.ts'

export interface JobAnswersDeps extends Omit<JobViewDeps, 'reader' | 'inlineMaxBytes'> {
  readonly jobs: Pick<Jobs, 'submit' | 'cancel' | 'waitFinal'>
  readonly reader: JobReader
  readonly board: Pick<Board, 'listen' | 'soFar'>
  readonly bodies: BodyReader
  readonly clock: Clock
  readonly artifactInlineMaxBytes: number
}

// Longer than any id or name: what is repeated in a sentence stays short.
const NAMED_MAX_CHARACTERS = 80

const named = (text: string) => `"${text.slice(0, NAMED_MAX_CHARACTERS)}"`

const missingJob = (id: string): Problem => ({
  code: 'not-found',
  detail: `there is no job ${named(id)}: it may have been swept after FOREMAN_JOB_TTL`,
})

const unwritten: Problem = {
  code: 'disk-full',
  detail: 'the disk does not take the cancel: look at the job, and come back later',
}

const alreadyFinal = (state: JobState): Problem => ({
  code: 'already-final',
  detail: `the job is ${state} and stays so`,
})

const openCall: Problem = {
  code: 'sync-call',
  detail: 'the client of this call waits on an open connection: it cancels the call by closing that',
}

/** Milliseconds to hold the answer, or null when the text says nothing that can be done. */
const waitMsOf = (text: string | undefined): number | null => {
  const parsed = parseDurationMs(text ?? '0')
  return parsed.kind === 'ok' && parsed.value >= 0 && parsed.value <= WAIT_MAX_MS ? parsed.value : null
}

const cancelJob = async (deps: JobAnswersDeps, { id, kind, state }: StoredJob): Promise<Problem | null> => {
  if (isFinal(state)) return alreadyFinal(state)
  if (kind === 'sync') return openCall
  const outcome = await deps.jobs.cancel(id)
  switch (outcome.kind) {
    case 'cancelled':
      return null
    case 'missing':
      return missingJob(id)
    case 'unwritten':
      return unwritten
    case 'final':
      return alreadyFinal(outcome.state)
    default:
      return outcome satisfies never
  }
}

const artifactOf = async (
  { reader, clock }: JobAnswersDeps,
  request: Request,
  job: StoredJob,
  name: string,
): Promise<Response> => {
  const stored = await reader.artifact(job.seq, name)
  const detail = `the job is ${job.state} and has no artifact ${named(name)}`
  if (stored === null) return problemResponse(request, { code: 'not-found', detail })
  const size = stored.body.length
  const refused: Problem = { code: 'range-not-satisfiable', detail: `the artifact has ${size} bytes` }
  const response = await artifactResponse(clock, request, stored)
  return response ?? problemResponse(request, refused, { 'Content-Range': `bytes */${size}` })
}

/** The answers of one foreman. */
export const createJobAnswers = (deps: JobAnswersDeps) => {
  const { jobs, reader } = deps
  const showing = { inlineMaxBytes: deps.artifactInlineMaxBytes, publicUrl: deps.publicUrl }
  const views = createJobViews({ ...deps, ...showing })
  const submitDeps = { ...deps, views }
  const followDeps = { ...deps, ...showing, followers: createFollowers(), feeds: createFeeds(deps.board) }

  const withJob = <T>(request: Request, id: string, answer: (job: StoredJob) => T): T | Response => {
    const job = reader.find(id)
    return job === null ? problemResponse(request, missingJob(id)) : answer(job)
  }
  const shown = (request: Request, id: string) => withJob(request, id, (job) => Response.json(views.show(job)))

  return {
    submit: (request: Request, timing: Timing, client: string | null) => submitJob(submitDeps, request, timing, client),

    list: (query: ListQuery) => Response.json(listJobs(deps.reader, views, query)),

    async show(request: Request, id: string, wait: string | undefined, timing: Timing) {
      const waitMs = waitMsOf(wait)
      const detail = `query wait is not understood: ${showQuery.properties.wait.description}`
      if (waitMs === null) return problemResponse(request, { code: 'invalid', detail })
      const job = reader.find(id)
      if (waitMs > 0 && job !== null && !isFinal(job.state)) {
        timing.untimed()
        await jobs.waitFinal(id, waitMs, request.signal)
        timing.timed()
      }
      return shown(request, id)
    },

    cancel: (request: Request, id: string) =>
      withJob(request, id, async (job) => {
        const problem = await cancelJob(deps, job)
        return problem === null ? shown(request, id) : problemResponse(request, problem)
      }),

    events: (request: Request, id: string, lastEventId: string | undefined, timing: Timing) =>
      withJob(request, id, (job) => followJob(followDeps, request, job, lastEventId, timing)),

    artifact: (request: Request, id: string, name: string) =>
      withJob(request, id, (job) => artifactOf(deps, request, job, name)),
  }
}
