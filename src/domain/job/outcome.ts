/** What one attempt came to, and what that means for the job (spec 5.5); pure, so that every row can be tested. */
import { BACKOFF_FIRST_MS, backoffMs } from '../backoff.ts'
import { isRequestFault } from '../wire/request-fault.ts'
import { isBetween, isBusy } from '../wire/statuses.ts'
import { type Failure, failure } from './failure.ts'
import type { ActiveJob, Usage } from './job.ts'

/** The target's own complete answer, kept so that it can be handed on unchanged. */
export interface Answer {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Uint8Array
}

/** How an attempt ended. `answer` is what the target itself said, when it said something whole. */
export type Outcome =
  | { readonly kind: 'done'; readonly usage: Usage }
  | { readonly kind: 'refused'; readonly answer: Answer; readonly message: string }
  | { readonly kind: 'busy'; readonly answer: Answer; readonly retryAfterMs: number | null }
  | { readonly kind: 'unreached'; readonly message: string }
  /** Something answered that is not Ollama; `message` says what (ADR 0018). */
  | {
      readonly kind: 'away'
      readonly message: string
      readonly retryAfterMs: number | null
      /** Asked for its version, an Ollama answered all the same: something in between has a say over this request alone. */
      readonly isThere?: true
    }
  | {
      readonly kind: 'broken'
      readonly failure: Failure
      readonly answer: Answer | null
      /** The stream itself has already told its client. */
      readonly told: boolean
      /** The connection failed: whether the target is there at all is not known. */
      readonly cut?: true
      /** What could be done about it has been done: another attempt would end in the same way. */
      readonly isLast?: true
    }
  /** It went away while it worked: asleep, restarted, unplugged. `message` is for whoever has waited for its return long enough. */
  | { readonly kind: 'lost'; readonly message?: string }
  /** Its load did not come about although the target answers. `isAgain`: nor did that model's last one, a short while ago. */
  | { readonly kind: 'hung'; readonly message: string; readonly isAgain: boolean }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'left' }
  | { readonly kind: 'stopped' }

/** Whoever gave an answer in the target's place, and the model that did where it has another name there. */
export interface ServedBy {
  readonly who: 'fallback'
  readonly model: string | null
}

/** What becomes of the job. `returned` gives the attempt back, because the target never got the work. */
export type Verdict =
  | {
      readonly to: 'done'
      readonly usage: Usage
      /** Absent: the target did it. */
      readonly servedBy?: ServedBy
    }
  | { readonly to: 'cancelled' }
  | { readonly to: 'failed'; readonly failure: Failure; readonly answer: Answer | null; readonly told: boolean }
  | {
      readonly to: 'queued'
      readonly attemptReturned: boolean
      readonly deferred: boolean
      /** Milliseconds of the clock; null = at once. */
      readonly notBefore: number | null
    }

export interface Circumstances {
  readonly job: Pick<ActiveJob, 'kind' | 'attempt' | 'maxAttempts' | 'deferrals'>
  /** The caller has seen the first byte: nothing can be tried again. */
  readonly committed: boolean
  readonly now: number
  readonly chance: number
  /** Until when a sync call waits for a busy or unreachable target; null = for ever. */
  readonly patienceUntil: number | null
}

// A Retry-After is honoured within the bounds of our own backoff: a wrong one can neither park a job nor make it spin.
const RETRY_AFTER_MAX_MS = 60_000
// A target that comes and goes is asked at once when it is back; only one that fails the same job again and again has it wait.
const PROMPT_DEFERRALS_MAX = 3

const fail = (reason: Failure, answer: Answer | null = null, told = false): Verdict => ({
  to: 'failed',
  failure: reason,
  answer,
  told,
})

const tryAgain = (
  c: Circumstances,
  reason: Failure,
  ended: Partial<Extract<Outcome, { kind: 'broken' }>> = {},
): Verdict => {
  // What is too large once will be so again.
  const isLast = c.job.attempt >= c.job.maxAttempts || reason.code === 'answer_too_large' || ended.isLast
  if (c.committed || isLast) return fail(reason, ended.answer, ended.told)
  const notBefore = c.now + backoffMs(c.job.attempt, c.chance)
  return { to: 'queued', attemptReturned: false, deferred: false, notBefore }
}

const bounded = (retryAfterMs: number): number => Math.min(Math.max(retryAfterMs, BACKOFF_FIRST_MS), RETRY_AFTER_MAX_MS)

const waitForBusy = (c: Circumstances, answer: Answer, retryAfterMs: number | null): Verdict => {
  const delayMs = retryAfterMs === null ? backoffMs(c.job.deferrals + 1, c.chance) : bounded(retryAfterMs)
  const notBefore = c.now + delayMs
  if (c.patienceUntil !== null && notBefore > c.patienceUntil) return fail(failure('target_busy'), answer)
  return { to: 'queued', attemptReturned: true, deferred: true, notBefore }
}

/** The target is not there: the job waits for it, as long as its caller does. */
const waitForReturn = (c: Circumstances, reason: Failure, delayMs: number | null): Verdict => {
  if (c.committed || (c.patienceUntil !== null && c.now >= c.patienceUntil)) return fail(reason)
  const notBefore = delayMs === null ? null : c.now + delayMs
  return { to: 'queued', attemptReturned: true, deferred: true, notBefore }
}

/** A load that hung costs nothing; one that hangs again an attempt, so that others have their turn, and whoever waits is told or helped. */
const waitForLoad = (c: Circumstances, reason: Failure, isAgain: boolean): Verdict => {
  if (isAgain) return c.job.kind === 'sync' ? fail(reason) : tryAgain(c, reason)
  return { to: 'queued', attemptReturned: true, deferred: true, notBefore: c.now + backoffMs(1, c.chance) }
}

/** Null = as soon as the target is seen again. */
const pauseMs = ({ job, chance }: Circumstances): number | null =>
  job.deferrals < PROMPT_DEFERRALS_MAX ? null : backoffMs(job.deferrals + 1 - PROMPT_DEFERRALS_MAX, chance)

const awayMs = (c: Circumstances, { retryAfterMs, isThere }: Extract<Outcome, { kind: 'away' }>): number | null => {
  if (retryAfterMs !== null) return bounded(retryAfterMs)
  return isThere ? backoffMs(c.job.deferrals + 1, c.chance) : pauseMs(c)
}

/** The one place where an outcome becomes a job's next state. */
export const decide = (outcome: Outcome, c: Circumstances): Verdict => {
  switch (outcome.kind) {
    case 'done':
      return { to: 'done', usage: outcome.usage }
    case 'refused':
      return fail(failure('refused', outcome.message), outcome.answer)
    case 'busy':
      return waitForBusy(c, outcome.answer, outcome.retryAfterMs)
    case 'unreached':
      return waitForReturn(c, failure('unreachable', outcome.message), null)
    case 'away':
      return waitForReturn(c, failure('not_ollama', outcome.message), awayMs(c, outcome))
    case 'broken':
      return tryAgain(c, outcome.failure, outcome)
    case 'lost':
      return waitForReturn(
        c,
        c.committed ? failure('target_lost') : failure('unreachable', outcome.message),
        pauseMs(c),
      )
    case 'hung':
      return waitForLoad(c, failure('load_failed', outcome.message), outcome.isAgain)
    case 'timeout':
      return c.job.kind === 'sync' ? fail(failure('job_timeout')) : tryAgain(c, failure('job_timeout'))
    case 'expired':
      return fail(failure('deadline'))
    case 'left':
      return { to: 'cancelled' }
    case 'stopped':
      if (c.job.kind === 'sync') return fail(failure('abandoned'))
      return { to: 'queued', attemptReturned: true, deferred: false, notBefore: null }
    default:
      return outcome satisfies never
  }
}

const memoryWords =
  /out of memory|out of device memory|cudamalloc failed|hipmalloc failed|failed to allocate|allocation failed|not enough memory|insufficient memory|vk_error_out_of_device_memory|erroroutofmemory|requires more system memory/i
const loadWords =
  /llama-server process has terminated|error starting llama-server|timed out waiting for (llama-server|llama runner)|unable to load full model|llama runner process has terminated|llama-server binary not found|may be incompatible/i

/** Names a failure from the words of the target, for the log and the job's error. */
export const failureFromText = (message: string): Failure => {
  if (memoryWords.test(message)) return failure('out_of_memory', message)
  if (loadWords.test(message)) return failure('load_failed', message)
  return failure('runner_failed', message)
}

/** Sorts a complete answer that is not a success. */
export const outcomeOfRefusal = (answer: Answer, message: string, retryAfterMs: number | null): Outcome => {
  const { status } = answer
  if (isBusy(status) || isBetween(status)) return { kind: 'busy', answer, retryAfterMs }
  if (status < 500 || isRequestFault(message)) return { kind: 'refused', answer, message }
  return { kind: 'broken', failure: failureFromText(message), answer, told: false }
}
