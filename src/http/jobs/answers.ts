/** What each route of /jobs answers, as plain functions from a request to a response; it must never throw what a caller did wrong. */
import type { Clock } from '../../domain/clock.ts'
import { parseDurationMs } from '../../domain/duration.ts'
import { isFinal, type JobKind, type JobState } from '../../domain/job/job.ts'
import type { Problem } from '../../domain/job/problem.ts'
import type { JobReader, JobSlice, StoredJob } from '../../domain/job/reading.ts'
import type { Board } from '../../engine/board.ts'
import type { Jobs } from '../../engine/jobs.ts'
import type { BodyReader } from '../body.ts'
import type { Timing } from '../timing.ts'
import { artifactResponse } from './artifact.ts'
import { jobEvents } from './events.ts'
import { problemResponse } from './problem.ts'
import { LIMIT_DEFAULT, type PageJson, showQuery } from './schemas.ts'
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

export interface ListQuery {
  readonly state?: JobState
  readonly model?: string
  readonly kind?: JobKind
  readonly limit?: number
  readonly after?: string
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

const syncCall = (detail: string): Problem => ({ code: 'sync-call', detail })

/** Milliseconds to hold the answer, or null when the text says nothing that can be done. */
const waitMsOf = (text: string | undefined): number | null => {
  const parsed = parseDurationMs(text ?? '0')
  return parsed.kind === 'ok' && parsed.value >= 0 && parsed.value <= WAIT_MAX_MS ? parsed.value : null
}

/** The answers of one foreman. */
export const createJobAnswers = (deps: JobAnswersDeps) => {
  const { jobs, reader } = deps
  const showing = { inlineMaxBytes: deps.artifactInlineMaxBytes, publicUrl: deps.publicUrl }
  const views = createJobViews({ ...deps, ...showing })
  const submitDeps = { ...deps, views }
  const eventsDeps = { ...deps, ...showing }

  const withJob = <T>(request: Request, id: string, answer: (job: StoredJob) => T): T | Response => {
    const job = reader.find(id)
    return job === null ? problemResponse(request, missingJob(id)) : answer(job)
  }
  const shown = (request: Request, id: string) => withJob(request, id, (job) => Response.json(views.show(job)))

  return {
    submit: (request: Request, timing: Timing) => submitJob(submitDeps, request, timing),

    async list({ state, model, kind, after, limit = LIMIT_DEFAULT }: ListQuery): Promise<Response> {
      const filter = { state: state ?? null, model: model ?? null, kind: kind ?? null }
      const rows: StoredJob[] = []
      // One more than is shown tells whether there is a next page.
      for (let below: number | null = reader.top(after ?? null); below !== null && rows.length <= limit; ) {
        const slice: JobSlice = reader.list({ ...filter, limit: limit + 1 - rows.length }, below)
        rows.push(...slice.jobs)
        below = slice.below
        if (below !== null && rows.length <= limit) await new Promise<void>((go) => void deps.clock.after(0, go))
      }
      const page = rows.slice(0, limit)
      const next = rows.length > limit ? (page.at(-1)?.id ?? null) : null
      return Response.json({ jobs: views.page(page), next } satisfies PageJson)
    },

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
      withJob(request, id, async ({ kind, state }) => {
        const detail = 'the client of this call waits on an open connection: it cancels the call by closing that'
        if (isFinal(state)) return problemResponse(request, alreadyFinal(state))
        if (kind === 'sync') return problemResponse(request, syncCall(detail))
        const outcome = await jobs.cancel(id)
        if (outcome.kind === 'missing') return problemResponse(request, missingJob(id))
        if (outcome.kind === 'cancelled') return shown(request, id)
        if (outcome.kind === 'unwritten') return problemResponse(request, unwritten)
        return problemResponse(request, alreadyFinal(outcome.state))
      }),

    events: (request: Request, id: string, lastEventId: string | undefined, timing: Timing) =>
      withJob(request, id, (job) => {
        const detail = 'the transitions of a call whose client waits are not kept: GET /jobs/{id} shows its state'
        if (job.kind === 'sync') return problemResponse(request, syncCall(detail))
        // An EventSource keeps the query it began with and says in the header how far it has come since.
        const last = request.headers.get('last-event-id') || lastEventId || ''
        const asked = /^\d{1,15}$/.test(last) ? Number(last) : 0
        // Another job's number, or one from before a backup was restored, says nothing of what has been seen here.
        const newest = reader.transitions(job.seq, 0).at(-1)?.sequence ?? 0
        const after = asked > newest ? 0 : asked
        // An EventSource reconnects until it is told that there is nothing more.
        if (isFinal(job.state) && reader.transitions(job.seq, after).length === 0)
          return new Response(null, { status: 204 })
        const headers = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' }
        timing.untimed()
        return new Response(jobEvents(job, after, { ...eventsDeps, onEnd: timing.timed }), { headers })
      }),

    artifact: (request: Request, id: string, name: string) =>
      withJob(request, id, (job) => {
        const stored = reader.artifact(job.seq, name)
        const detail = `the job is ${job.state} and has no artifact ${named(name)}`
        if (stored === null) return problemResponse(request, { code: 'not-found', detail })
        const size = stored.body.length
        const refused: Problem = { code: 'range-not-satisfiable', detail: `the artifact has ${size} bytes` }
        return (
          artifactResponse(request, stored) ?? problemResponse(request, refused, { 'Content-Range': `bytes */${size}` })
        )
      }),
  }
}
