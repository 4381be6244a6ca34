/** The async entry point to the queue: submit and forget, look, wait, cancel; the dispatcher does not know that it exists. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { type Idempotency, isFinal, type JobState } from '../domain/job/job.ts'
import { type JobRequest, readJobRequestInTurns } from '../domain/job/job-request.ts'
import type { Problem } from '../domain/job/problem.ts'
import { installedLike } from '../domain/wire/inventory.ts'
import type { AdmissionDesk } from './admission.ts'
import type { Board } from './board.ts'
import type { EngineQueue } from './ports.ts'
import type { Rescuers } from './rescue.ts'
import type { Roster } from './roster.ts'
import type { TargetState } from './state.ts'
import { turn } from './turn.ts'

export type WebhookCheck =
  | { readonly kind: 'ok'; readonly url: string }
  | { readonly kind: 'refused'; readonly message: string }

export interface JobsDeps {
  readonly queue: EngineQueue
  readonly roster: Pick<Roster, 'end'>
  readonly admission: AdmissionDesk
  readonly rescuers: Pick<Rescuers, 'allows'>
  readonly state: TargetState
  readonly board: Board
  readonly clock: Clock
  readonly emit: Emit
  /** A job waits. */
  readonly nudge: () => void
  readonly newId: () => string
  readonly maxAttempts: number
  /** The webhook URL in the spelling that is stored, or why it may not be called. */
  readonly checkWebhook: (url: string) => Promise<WebhookCheck>
  /** The stored job, or null when there is none. */
  readonly find: (jobId: string) => {
    readonly state: JobState
    readonly model: string
    readonly residencyKey: string
    readonly attempt: number
  } | null
}

export interface Submission {
  readonly body: Uint8Array
  /** The name of the token that it came with. */
  readonly client: string | null
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

// A cancel of a running job is on disk within milliseconds; a disk that is full takes longer.
const CANCEL_WAIT_MS = 10_000

/** The async entry of one engine. */
export class AsyncJobs implements Jobs {
  readonly #deps: JobsDeps
  #isClosed = false

  constructor(deps: JobsDeps) {
    this.#deps = deps
  }

  async submit(submission: Submission): Promise<SubmitOutcome> {
    if (this.#isClosed) return problem('draining', 'foreman is stopping: come back when it is up again')
    const read = await readJobRequestInTurns(submission.body, turn)
    if (read.kind === 'problem') return read
    // A job that was made already is answered for, however full the queue is now and whatever became of the model.
    const earlier = submission.idempotency === null ? null : this.#deps.queue.known(submission.idempotency)
    if (earlier !== null) return replayed(earlier)
    const checked = await this.#check(read.request)
    if (checked.kind !== 'ok') return checked
    try {
      return await this.#put(checked.request, submission)
    } catch (error) {
      this.#deps.emit({ event: 'loop_failed', loop: 'jobs', error })
      return problem('disk-full', 'the job could not be written and was not accepted: come back later')
    }
  }

  async cancel(jobId: string): Promise<CancelOutcome> {
    const { find, roster, emit } = this.#deps
    const before = find(jobId)
    if (before === null) return { kind: 'missing' }
    if (isFinal(before.state)) return { kind: 'final', state: before.state }
    try {
      const ended = await roster.end(jobId, { why: { kind: 'left' }, reason: 'cancelled', durable: true })
      if (ended === 'withdrawn') {
        const { model, residencyKey, attempt } = before
        emit({ event: 'job_cancelled', jobId, kind: 'async', model, residencyKey, attempt })
        return { kind: 'cancelled' }
      }
    } catch (error) {
      emit({ event: 'loop_failed', loop: 'jobs', error })
      return { kind: 'unwritten' }
    }
    await this.waitFinal(jobId, CANCEL_WAIT_MS, new AbortController().signal)
    const after = find(jobId)?.state ?? null
    if (after === 'cancelled') return { kind: 'cancelled' }
    // Its slot has let go of it, but the disk does not take that.
    return after !== null && isFinal(after) ? { kind: 'final', state: after } : { kind: 'unwritten' }
  }

  waitFinal(jobId: string, waitMs: number, signal: AbortSignal): Promise<void> {
    const { board, clock, find } = this.#deps
    return new Promise((resolve) => {
      const finish = () => {
        cancelTimer()
        unlisten()
        signal.removeEventListener('abort', finish)
        resolve()
      }
      const look = () => {
        const state = find(jobId)?.state ?? null
        if (state === null || isFinal(state)) finish()
      }
      const unlisten = board.listen(jobId, ({ kind }) => {
        if (kind === 'changed') look()
        if (kind === 'closed') finish()
      })
      const cancelTimer = clock.after(waitMs, finish)
      signal.addEventListener('abort', finish, { once: true })
      look()
    })
  }

  close(): void {
    this.#isClosed = true
  }

  async #check(request: JobRequest): Promise<SubmitOutcome | { kind: 'ok'; request: JobRequest }> {
    const { webhookUrl, call } = request
    const webhook = webhookUrl === null ? null : await this.#deps.checkWebhook(webhookUrl)
    if (webhook?.kind === 'refused') return problem('webhook-refused', webhook.message)
    if (!(await this.#deps.admission.isInstalled(call))) return this.#notInstalled(call.model)
    return { kind: 'ok', request: { ...request, webhookUrl: webhook?.url ?? null } }
  }

  #notInstalled(model: string): SubmitOutcome {
    const meant = installedLike(this.#deps.state.view.inventory, model)
    const advice = meant === null ? 'pull it first, or check the name' : `did you mean "${meant}"? Else pull it first`
    return problem('model-not-installed', `model "${model}" is not installed on the target: ${advice}`)
  }

  async #put(request: JobRequest, { idempotency, client }: Submission): Promise<SubmitOutcome> {
    const { queue, admission, rescuers, clock, emit, maxAttempts } = this.#deps
    const { endpoint, webhookUrl, webhookStates } = request
    const { call, body } = admission.shape(request)
    const { model, residencyKey } = call
    const jobId = this.#deps.newId()
    // What may be done elsewhere is kept as it was sent: the policies of the target are put on it when the target gets it.
    const isElsewhere = request.fallback === 'auto' && rescuers.allows(client)
    const job = {
      id: jobId,
      kind: 'async' as const,
      endpoint,
      model,
      residencyKey,
      maxAttempts,
      request: isElsewhere ? request.body : body,
      webhookUrl,
      webhookStates,
      ...(isElsewhere && { fallback: 'auto' as const }),
      ...(idempotency !== null && { idempotency }),
    }
    const outcome = await queue.submit(job, clock.now())
    if (outcome.kind === 'known' || outcome.kind === 'conflict') return replayed(outcome)
    if (outcome.kind === 'full')
      return problem('queue-full', 'the queue holds as many jobs as FOREMAN_MAX_QUEUE allows: come back later')
    // The row is on disk first: an async job that a power cut takes back must not have begun.
    this.#deps.nudge()
    emit({ event: 'job_submitted', jobId, kind: 'async', model, residencyKey, endpoint })
    return { kind: 'accepted', jobId, known: false, seq: outcome.seq, residencyKey }
  }
}
