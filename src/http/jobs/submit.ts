/** POST /jobs: reads the body whatever its content type says, and answers when the job is on disk. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../domain/clock.ts'
import type { FailureCode } from '../../domain/job/failure.ts'
import { isFinal } from '../../domain/job/job.ts'
import type { Problem } from '../../domain/job/problem.ts'
import type { JobReader } from '../../domain/job/reading.ts'
import { linkTo } from '../../domain/job/webhook-event.ts'
import { inSlices } from '../../domain/slices.ts'
import { preferredWaitMs } from '../../domain/wire/prefer.ts'
import type { Jobs, Submission } from '../../engine/jobs.ts'
import type { BodyReader } from '../body.ts'
import type { Timing } from '../timing.ts'
import { problemResponse } from './problem.ts'
import type { JobViews } from './view.ts'

export interface SubmitDeps {
  readonly jobs: Pick<Jobs, 'submit' | 'waitFinal'>
  readonly reader: Pick<JobReader, 'find'>
  readonly bodies: BodyReader
  readonly views: JobViews
  readonly clock: Clock
  readonly publicUrl: string | null
}

/** Nobody is held longer than this. */
export const WAIT_MAX_MS = 3_600_000

const problemOf = (code: FailureCode): Problem => {
  if (code === 'body_too_large') return { code: 'too-large', detail: 'the body is larger than FOREMAN_MAX_BODY allows' }
  if (code === 'body_too_slow') return { code: 'too-slow', detail: 'the body brought less than 64 KiB in 30 s' }
  return { code: 'queue-full', detail: 'too many bodies wait in memory: come back later' }
}

const submissionOf = async (
  request: Request,
  body: Uint8Array,
  { clock, client }: Pick<SubmitDeps, 'clock'> & Pick<Submission, 'client'>,
): Promise<Submission> => {
  const key = request.headers.get('idempotency-key')
  if (key === null) return { body, client, idempotency: null }
  const hash = createHash('sha256')
  await inSlices(clock, body, (slice) => void hash.update(slice))
  return { body, client, idempotency: { key, fingerprint: hash.digest() } }
}

/** The answer to one POST; `client` is the name of the token that it came with. */
export const submitJob = async (
  deps: SubmitDeps,
  request: Request,
  timing: Timing,
  client: string | null,
): Promise<Response> => {
  const { jobs, reader, views } = deps
  timing.readingBody()
  const read = await deps.bodies.read(request)
  timing.timed()
  if (read.kind === 'left') return new Response(null, { status: 499 })
  if (read.kind === 'failed') return problemResponse(request, problemOf(read.failure.code))
  const submit = async () => jobs.submit(await submissionOf(request, read.bytes, { clock: deps.clock, client }))
  const outcome = await submit().finally(read.release)
  if (outcome.kind === 'problem') return problemResponse(request, outcome)

  const headers: Record<string, string> = { Location: linkTo(`/jobs/${outcome.jobId}`, deps.publicUrl) }
  if (outcome.known) headers['Idempotency-Replayed'] = 'true'
  const waitMs = preferredWaitMs(request.headers.get('prefer'))
  if (waitMs !== null) {
    const heldMs = Math.min(waitMs, WAIT_MAX_MS)
    headers['Preference-Applied'] = `wait=${heldMs / 1_000}`
    timing.untimed()
    await jobs.waitFinal(outcome.jobId, heldMs, request.signal)
    timing.timed()
  } else if (!outcome.known) return Response.json(views.fresh(outcome.jobId, outcome), { status: 202, headers })
  const job = reader.find(outcome.jobId)
  if (job === null) return problemResponse(request, { code: 'not-found', detail: 'the job has been swept already' })
  if (waitMs !== null && isFinal(job.state)) return Response.json(views.show(job), { headers })
  return Response.json(views.accepted(job), { status: 202, headers })
}
