/** What the engine tells the outside about itself: the one seam that logs and metrics hang on; nothing here acts. */
import type { LogLevel } from '../log-level.ts'
import type { Failure } from './failure.ts'
import type { JobKind, Usage } from './job.ts'
import type { Outcome, ServedBy } from './outcome.ts'

type JobFields = {
  readonly jobId: string
  readonly kind: JobKind
  readonly model: string
  readonly residencyKey: string
  readonly attempt: number
}

type WebhookFields = {
  readonly jobId: string
  /** Which transition of the job it tells. */
  readonly sequence: number
  /** Host and port only: paths and queries of webhook URLs are often secrets. */
  readonly host: string
  /** Tries made, this one included. */
  readonly tries: number
}

/** What became of one try of a webhook. */
export type WebhookTry =
  | ({ readonly event: 'webhook_accepted'; readonly status: number; readonly elapsedMs: number } & WebhookFields)
  | ({ readonly event: 'webhook_retried'; readonly reason: string; readonly retryInMs: number } & WebhookFields)
  | ({ readonly event: 'webhook_given_up'; readonly reason: string } & WebhookFields)

/** What a part tells: its own name for what happened, and the fields of its log line. */
export interface Notice {
  readonly event: 'noticed'
  readonly part: string
  readonly name: string
  readonly level: LogLevel
  readonly fields: Readonly<Record<string, unknown>>
}

export type EngineEvent =
  | WebhookTry
  | ({ readonly event: 'job_submitted' } & Omit<JobFields, 'attempt'> & { readonly endpoint: string })
  | ({ readonly event: 'job_loading' } & JobFields)
  | ({ readonly event: 'job_working' } & JobFields & { readonly queueMs: number })
  | ({ readonly event: 'job_done' } & JobFields & {
        readonly elapsedMs: number
        readonly usage: Usage
        /** Absent: the target did it. */
        readonly servedBy?: ServedBy
      })
  | ({ readonly event: 'job_failed' } & JobFields & { readonly failure: Failure })
  | ({ readonly event: 'job_cancelled' } & JobFields)
  /** It did not fit into the target's memory, and is tried with less. */
  | ({ readonly event: 'job_relieved'; readonly step: string } & JobFields)
  | ({ readonly event: 'job_requeued' } & JobFields & {
        readonly outcome: Outcome['kind']
        readonly deferred: boolean
        readonly retryInMs: number
        /** It was not the target that could not do it. */
        readonly isAside?: true
      })
  | { readonly event: 'settle_retried'; readonly jobId: string; readonly error: unknown }
  /** Jobs held slots although nobody ran them: they have been put back. */
  | { readonly event: 'slots_released'; readonly jobs: number }
  | { readonly event: 'loop_failed'; readonly loop: string; readonly error: unknown }
  | { readonly event: 'recovered'; readonly requeued: number; readonly abandoned: number; readonly exhausted: number }
  | { readonly event: 'target_unreachable'; readonly message: string }
  | { readonly event: 'target_reached'; readonly version: string | null }
  | { readonly event: 'poll_failed'; readonly message: string }
  | { readonly event: 'target_hangs'; readonly model: string; readonly message: string }
  | Notice
  /** Something is wrong or is no longer, or happened once: a part says so, in words for a person. */
  | {
      readonly event: 'alarm'
      readonly part: string
      readonly name: string
      readonly state: 'raised' | 'resolved' | 'happened'
      readonly words: string
    }
  | { readonly event: 'swept'; readonly deleted: number }

export type Emit = (event: EngineEvent) => void
