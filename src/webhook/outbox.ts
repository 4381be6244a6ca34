/** What the courier needs of the place where deliveries are owed; types only, the store happens to fit. */

/** A delivery that is owed and may be tried: the head of its job's queue. */
export interface Owed {
  /** One per job: its next transition has to wait for this one. */
  readonly deliveryId: number
  readonly jobId: string
  readonly sequence: number
  readonly url: string
  /** Tries made so far. */
  readonly tries: number
}

/** One look at what is owed. */
export interface Look {
  readonly now: number
  /** How many more of this receiver (scheme, host and port) are wanted; 0 passes it over without reading what it is owed. */
  readonly room: (origin: string) => number
  /** Of these the courier knows already. */
  readonly busy: ReadonlySet<number>
}

/** What one receiver is owed and may be told now, the longest due first. */
export interface FoundLane<T> {
  readonly origin: string
  readonly due: readonly T[]
  /** It is owed more than there was room for. */
  readonly hasMore: boolean
}

export interface Found<T> {
  readonly lanes: readonly FoundLane<T>[]
  /** When the first that is not due yet will be, of the receivers with room; null = there is none. */
  readonly nextDueAt: number | null
  /** There are more receivers than one look may visit: the next look goes on with them. */
  readonly isPartial: boolean
}

/** Where deliveries are owed. The order within a job is its business: only the first of each job that is still owed is ever due. */
export interface Outbox<T extends Owed> {
  look(look: Look): Found<T>
  /** The receiver has it. What it gives is the next of the job, if that has happened already. */
  accepted(owed: T): Promise<T | null>
  /** One more try failed; due again at `at`. */
  retryAt(owed: T, at: number, problem: string): Promise<void>
  /** It is owed no more. What it gives is the next of the job, if that has happened already. */
  giveUp(owed: T, problem: string): Promise<T | null>
}
