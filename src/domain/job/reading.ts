/** What may be read of stored jobs, and of the line they stand in; whoever shows them asks for this much and for no database. */
import type { JobKind, JobState } from './job.ts'

/** A job as it is stored. Times are wall milliseconds. */
export interface StoredJob {
  readonly seq: number
  readonly id: string
  readonly kind: JobKind
  readonly endpoint: string
  readonly model: string
  readonly residencyKey: string
  readonly state: JobState
  readonly attempt: number
  readonly maxAttempts: number
  readonly deferrals: number
  /** Waiting until then; null = ready, running or final. */
  readonly notBefore: number | null
  readonly webhookUrl: string | null
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly promptTokens: number | null
  readonly completionTokens: number | null
  readonly totalDurationMs: number | null
  /** Null until it is done. */
  readonly servedBy: 'target' | 'fallback' | null
  /** The model that answered, where it is not the target's by this name. */
  readonly servedModel: string | null
  readonly createdAt: number
  readonly startedAt: number | null
  readonly completedAt: number | null
  readonly updatedAt: number
  /** A JSON list of the steps that were taken for want of memory. */
  readonly relief: string | null
}

/** How the webhook of a job stands. */
export interface StoredWebhook {
  /** It tells of these alone; null = of all. */
  readonly states: readonly JobState[] | null
  /** The transition that the receiver is told next; null = it knows all that it wants to know so far. */
  readonly sequence: number | null
  /** Tries of that one so far. */
  readonly tries: number
  /** Wall milliseconds of its next try. */
  readonly dueAt: number | null
  /** What was wrong with the last try that failed, also when all went well afterwards. */
  readonly lastProblem: string | null
  /** Transitions that the receiver was never told of. */
  readonly givenUp: number
}

export interface StoredTransition {
  readonly sequence: number
  readonly previousState: JobState | null
  readonly state: JobState
  readonly attempt: number
  readonly at: number
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly servedBy: 'target' | 'fallback' | null
  readonly servedModel: string | null
}

export interface StoredArtifact {
  readonly name: string
  readonly contentType: string
  readonly body: Uint8Array
}

/** An artifact as it stands in a list: the bytes only when they are few. */
export interface ListedArtifact {
  readonly name: string
  readonly contentType: string
  readonly size: number
  readonly body: Uint8Array | null
}

export interface JobFilter {
  readonly state: JobState | null
  readonly model: string | null
  readonly kind: JobKind | null
  readonly limit: number
}

export interface JobReader {
  find(id: string): StoredJob | null
  /** Above the newest job, or above those older than `after`, whether that one is still there or swept: where a list begins. */
  top(after: string | null): number
  /** The newest `limit` of the jobs below that match. By index whatever is asked for: a filter that matches nothing costs no more. */
  list(filter: JobFilter, below: number): StoredJob[]
  webhook(seq: number): StoredWebhook | null
  /** Transitions with a sequence above `after`. */
  transitions(seq: number, after: number): StoredTransition[]
  /** Every artifact with its size, and with its bytes when they are at most `maxBytes`; a large one is not read. */
  listedArtifacts(seq: number, maxBytes: number): ListedArtifact[]
  artifact(seq: number, name: string): Promise<StoredArtifact | null>
}

/** Ready jobs that are older than one job. */
export interface Ahead {
  readonly total: number
  readonly byKey: ReadonlyMap<string, number>
}

export interface LineReader {
  /** Null when more than 50,000 wait before it: counting them would hold the event loop. */
  ahead(seq: number): Ahead | null
}
