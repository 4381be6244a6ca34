/** What a job is and which way it may go; the database carries the same table and a test keeps the two equal. */

/** sync: a client waits on an open connection. async: somebody asks later, or is told by webhook. */
export type JobKind = 'sync' | 'async'

export const jobStates = ['queued', 'loading', 'working', 'done', 'failed', 'cancelled'] as const
export type JobState = (typeof jobStates)[number]

/** Every edge a job may take (ADR 0001). Anything else is a bug, and the database refuses it too. */
export const transitions = {
  queued: ['loading', 'failed', 'cancelled'],
  loading: ['working', 'queued', 'failed', 'cancelled'],
  working: ['done', 'queued', 'failed', 'cancelled'],
  done: [],
  failed: [],
  cancelled: [],
} as const satisfies Record<JobState, readonly JobState[]>

/** Final states are never left. */
export const isFinal = (state: JobState): boolean => transitions[state].length === 0

/** What makes two submits one: the caller's key, and a fingerprint of the body. */
export interface Idempotency {
  readonly key: string
  readonly fingerprint: Uint8Array
}

/** A job as somebody submits it. */
export interface NewJob {
  /** ULID. */
  readonly id: string
  readonly kind: JobKind
  /** Path and query, as sent: `/api/chat`. */
  readonly endpoint: string
  /** The model as the caller wrote it. */
  readonly model: string
  readonly residencyKey: string
  readonly maxAttempts: number
  /** Async only; a sync body stays in memory and dies with its client. */
  readonly request: Uint8Array | null
  readonly webhookUrl: string | null
  /** Of these transitions alone the webhook tells; all unless given. */
  readonly webhookStates?: readonly JobState[] | null
  /** Async only: whether something else than the target may serve it; absent: the target alone. */
  readonly fallback?: 'auto' | undefined
  /** Async only: the same key and fingerprint name the same job. */
  readonly idempotency?: Idempotency | undefined
}

/** A sync call as it begins to wait. */
export type NewCall = Pick<NewJob, 'endpoint' | 'id' | 'maxAttempts' | 'model' | 'residencyKey'>

/** What came of a submit. */
export type Submitted =
  | { readonly kind: 'accepted'; readonly seq: number }
  | { readonly kind: 'full' }
  /** The idempotency key names this job already. */
  | { readonly kind: 'known'; readonly jobId: string }
  /** The key names a job with another body. */
  | { readonly kind: 'conflict' }

/** A job on the worker: what a guarded update needs to name it and this attempt of it. */
export interface ActiveJob {
  readonly seq: number
  readonly id: string
  readonly kind: JobKind
  readonly endpoint: string
  readonly model: string
  readonly residencyKey: string
  readonly state: 'loading' | 'working'
  /** 0..P-1, or a lane. */
  readonly slot: number
  /** 1 on the first attempt. */
  readonly attempt: number
  readonly maxAttempts: number
  readonly deferrals: number
  /** Somebody is told of each of its transitions. */
  readonly hasWebhook: boolean
  /** Something else than the target may do it. */
  readonly fallback: 'auto' | null
  /** By the steady clock (ADR 0012), as all times that are counted with. */
  readonly createdAt: number
  /** With what less this attempt was tried for want of memory, in order. */
  readonly relief?: readonly string[]
}

/** From here on they are lanes: what something else than the target works on, beside the slots. */
export const LANES_FROM = 1_000
// As many as the database has.
export const LANES_MAX = 64

/** What the target counted. Null where it said nothing. */
export interface Usage {
  readonly promptTokens: number | null
  readonly completionTokens: number | null
  readonly totalDurationMs: number | null
  /** How long the tokens of the answer took; native answers alone say it. */
  readonly evalMs?: number
}

export const noUsage: Usage = { promptTokens: null, completionTokens: null, totalDurationMs: null }
