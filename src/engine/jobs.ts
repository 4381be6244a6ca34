/** The async entry point to the queue: submit and forget, look, wait, cancel; the worker does not know that it exists. */

import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { type Idempotency, isFinal, type JobState } from '../domain/job/job.ts'
import { type JobRequest, readJobRequest } from '../domain/job/job-request.ts'
import type { Problem } from '../domain/job/problem.ts'
import { withKeepAlive } from '../domain/wire/call.ts'
import { installedLike } from '../domain/wire/inventory.ts'
import { type KeepAlivePolicy, keepAliveFor } from '../domain/wire/keep-alive.ts'
import type { Board } from './board.ts'
import type { Poller } from './poller.ts'
import type { EngineQueue } from './ports.ts'
import type { TargetState } from './state.ts'
import type { Worker } from './worker.ts'

export type WebhookCheck =
  | { readonly kind: 'ok'; readonly url: string }
  | { readonly kind: 'refused'; readonly message: string }

export interface JobsDeps {
  readonly queue: EngineQueue
  readonly worker: Pick<Worker, 'nudge' | 'interrupt'>
  readonly state: TargetState
  readonly poller: Pick<Poller, 'poll'>
  readonly board: Board
  readonly clock: Clock
  readonly emit: Emit
  readonly newId: () => string
  readonly maxAttempts: number
  readonly keepAlive: KeepAlivePolicy
  /** The webhook URL in the spelling that is stored, or why it may not be called. */
  readonly checkWebhook: (url: string) => Promise<WebhookCheck>
  /** The stored state of a job, or null when there is none. */
  readonly stateOf: (jobId: string) => JobState | null
}

export interface Submission {
  readonly body: Uint8Array
  readonly idempotency: Idempotency | null
}

export type SubmitOutcome =
  /** `known`: an earlier submit with the same idempotency key made it. Else it waits at `seq`, as of the moment it was written. */
  | { readonly kind: 'accepted'; readonly jobId: string; readonly known: true }
  | {
      readonly kind: 'accepted'
      readonly jobId: string
      readonly known: false
      readonly seq: number
      readonly residencyKey: string
    }
  | ({ readonly kind: 'problem' } & Problem)

export type CancelOutcome =
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'final'; readonly state: JobState }
  | { readonly kind: 'missing' }
  /** The disk did not take it: a job that waits goes on, one that ran is cancelled when there is space. */
  | { readonly kind: 'unwritten' }

export interface Jobs {
  /** Resolves when the job is on disk: what is accepted is never lost. */
  submit(submission: Submission): Promise<SubmitOutcome>
  /** Resolves when the job is final. */
  cancel(jobId: string): Promise<CancelOutcome>
  /** Resolves when the job is final, after `waitMs`, or when `signal` fires. */
  waitFinal(jobId: string, waitMs: number, signal: AbortSignal): Promise<void>
  /** Nothing new is taken. */
  close(): void
}

const problem = (code: Problem['code'], detail: string): SubmitOutcome => ({ kind: 'problem', code, detail })

const replayed = (earlier: NonNullable<ReturnType<EngineQueue['known']>>): SubmitOutcome =>
  earlier.kind === 'known'
    ? { kind: 'accepted', jobId: earlier.jobId, known: true }
    : problem('idempotency-conflict', 'this Idempotency-Key was used with another body: use a new key for new work')

/** The async entry of one engine. */
export const createJobs = (deps: JobsDeps): Jobs => {
  const { queue, worker, state, board, clock, emit } = deps
  let closed = false

  const isInstalled = ({ call }: JobRequest): boolean =>
    call.cloud || state.view.inventory.size === 0 || state.view.inventory.has(call.canonicalModel)

  const missing = async (request: JobRequest): Promise<SubmitOutcome | null> => {
    if (isInstalled(request)) return null
    if (state.view.reachable) await deps.poller.poll()
    if (isInstalled(request)) return null
    const { model } = request.call
    const meant = installedLike(state.view.inventory, model)
    const advice = meant === null ? 'pull it first, or check the name' : `did you mean "${meant}"? Else pull it first`
    return problem('model-not-installed', `model "${model}" is not installed on the target: ${advice}`)
  }

  const check = async (request: JobRequest): Promise<SubmitOutcome | { kind: 'ok'; request: JobRequest }> => {
    const { webhookUrl } = request
    const webhook = webhookUrl === null ? null : await deps.checkWebhook(webhookUrl)
    if (webhook?.kind === 'refused') return problem('webhook-refused', webhook.message)
    return (await missing(request)) ?? { kind: 'ok', request: { ...request, webhookUrl: webhook?.url ?? null } }
  }

  const put = async (request: JobRequest, { idempotency }: Submission): Promise<SubmitOutcome> => {
    const { call, endpoint, webhookUrl } = request
    const policy = call.keepAlive === undefined ? keepAliveFor(deps.keepAlive, call.canonicalModel) : null
    const jobId = deps.newId()
    const submitted = queue.submit(
      {
        id: jobId,
        kind: 'async',
        endpoint,
        model: call.model,
        residencyKey: call.residencyKey,
        maxAttempts: deps.maxAttempts,
        request: policy === null ? request.body : withKeepAlive(request.body, call, policy.json),
        webhookUrl,
        ...(idempotency !== null && { idempotency }),
      },
      clock.now(),
    )
    const outcome = await submitted
    if (outcome.kind === 'known' || outcome.kind === 'conflict') return replayed(outcome)
    if (outcome.kind === 'full')
      return problem('queue-full', 'the queue holds as many jobs as FOREMAN_MAX_QUEUE allows: come back later')
    // The row is on disk first: an async job that a power cut takes back must not have begun.
    worker.nudge()
    emit({ event: 'job_submitted', jobId, kind: 'async', model: call.model, residencyKey: call.residencyKey, endpoint })
    return { kind: 'accepted', jobId, known: false, seq: outcome.seq, residencyKey: call.residencyKey }
  }

  const waitFinal = (jobId: string, waitMs: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const finish = () => {
        cancelTimer()
        unlisten()
        signal.removeEventListener('abort', finish)
        resolve()
      }
      const look = () => {
        const now = deps.stateOf(jobId)
        if (now === null || isFinal(now)) finish()
      }
      const unlisten = board.listen(jobId, ({ kind }) => {
        if (kind === 'changed') look()
        if (kind === 'closed') finish()
      })
      const cancelTimer = clock.after(waitMs, finish)
      signal.addEventListener('abort', finish, { once: true })
      look()
    })

  /** Takes a waiting job out; null = the disk did not take it. */
  const withdraw = async (jobId: string): Promise<boolean | null> => {
    try {
      return await queue.withdraw(jobId, 'cancelled', clock.now(), 'durable')
    } catch (error) {
      emit({ event: 'loop_failed', loop: 'jobs', error })
      return null
    }
  }

  return {
    waitFinal,
    async submit(submission) {
      if (closed) return problem('draining', 'foreman is stopping: come back when it is up again')
      const read = readJobRequest(submission.body)
      if (read.kind === 'problem') return read
      // A job that was made already is answered for, however full the queue is now and whatever became of the model.
      const earlier = submission.idempotency === null ? null : queue.known(submission.idempotency)
      if (earlier !== null) return replayed(earlier)
      const checked = await check(read.request)
      if (checked.kind !== 'ok') return checked
      try {
        return await put(checked.request, submission)
      } catch (error) {
        emit({ event: 'loop_failed', loop: 'jobs', error })
        return problem('disk-full', 'the job could not be written and was not accepted: come back later')
      }
    },
    async cancel(jobId) {
      for (let looks = 0; looks < CANCEL_LOOKS_MAX; looks++) {
        const before = deps.stateOf(jobId)
        if (before === null) return { kind: 'missing' }
        if (isFinal(before)) return { kind: 'final', state: before }
        const withdrawn = await withdraw(jobId)
        if (withdrawn === null) return { kind: 'unwritten' }
        if (withdrawn) {
          emit({ event: 'job_cancelled', jobId, kind: 'async', model: '', residencyKey: '', attempt: 0 })
          return { kind: 'cancelled' }
        }
        worker.interrupt(jobId, { kind: 'left' })
        await waitFinal(jobId, CANCEL_LOOK_MS, new AbortController().signal)
        if (deps.stateOf(jobId) === 'cancelled') return { kind: 'cancelled' }
      }
      const last = deps.stateOf(jobId)
      if (last === 'cancelled') return { kind: 'cancelled' }
      // The worker has let go of it, but the disk does not take that.
      return last !== null && isFinal(last) ? { kind: 'final', state: last } : { kind: 'unwritten' }
    },
    close() {
      closed = true
    },
  }
}

// It is on its way between the queue and the worker: look again soon.
const CANCEL_LOOK_MS = 1_000
const CANCEL_LOOKS_MAX = 10
