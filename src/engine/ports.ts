/** What the engine needs of the target and the store, as it wants to see them; the adapters happen to fit. */

import type { Claimed, ClaimQuery } from '../domain/job/claim.ts'
import type { Failure } from '../domain/job/failure.ts'
import type { ActiveJob, Idempotency, NewCall, NewJob, Submitted } from '../domain/job/job.ts'
import type { Verdict } from '../domain/job/outcome.ts'
import type { StopSignal } from '../domain/stop-signal.ts'
import type { HeaderPairs } from '../domain/wire/headers.ts'
import type { Reply } from '../domain/wire/reply.ts'
import type { CallerArtifact } from './caller.ts'

export type { Claimed, ClaimQuery } from '../domain/job/claim.ts'
export type { BodyRead, Reply, ReplyBody } from '../domain/wire/reply.ts'

export interface SendTarget {
  /** `http://gpu-box:11434`, for people. */
  readonly origin?: string
  send(
    request: {
      method: string
      path: string
      headers: HeaderPairs
      body: Uint8Array | ReadableStream<Uint8Array> | null
      /** Of a streamed body. */
      bodyBytes?: number
    },
    options: { signal?: StopSignal | undefined; reuse: boolean; wholeTimeoutMs?: number; connectTimeoutMs?: number },
  ): Promise<Reply>
}

/** The part of the queue that the dispatcher and the entries use. */
export interface EngineQueue {
  submit(job: NewJob, now: number): Promise<Submitted>
  /** A sync call begins to wait, at once; it throws while the disk refuses. */
  enter(job: NewCall, now: number): Extract<Submitted, { kind: 'accepted' | 'full' }>
  /**
   * Next in order is the oldest job that was created at or before `agedBefore`, else the oldest of the first resident key that has one, else the oldest. Beside
   * running jobs only one with their key may be claimed, and only if it is next: else it is `held`, until the slots are empty.
   */
  claim(query: ClaimQuery): Promise<Claimed>
  advance(job: ActiveJob, now: number): Promise<boolean>
  settle(job: ActiveJob, verdict: Verdict, now: number, artifacts?: readonly CallerArtifact[]): Promise<boolean>
  /** A waiting job goes to work in a lane; null: it is not waiting. */
  takeAside(id: string, lane: number, now: number): Promise<ActiveJob | null>
  /** From its slot into a lane. False: the job is no longer this attempt's. */
  moveAside(job: ActiveJob, lane: number, now: number): Promise<boolean>
  /** The oldest waiting jobs that something else than the target may serve. */
  forFallback(limit: number): readonly ActiveJob[]
  /** Not durable by itself: nobody is promised the end of a sync call. */
  withdraw(id: string, reason: 'cancelled' | Failure, now: number, durability?: 'durable'): Promise<boolean>
  /** The job that a submit with this key made, or why it cannot be used; null when the key is new. */
  known(idempotency: Idempotency): Extract<Submitted, { kind: 'known' | 'conflict' }> | null
  /** Takes the slots from jobs that nobody runs; `running` are those that somebody does. */
  release(running: readonly string[], now: number): Promise<number>
  hasReady(residencyKey: string): boolean
  /** Whether nothing waits, submits on their way included. */
  isEmpty(): boolean
}

/** The queue with what only the engine's start and the async jobs need. */
export interface StoredQueue extends EngineQueue {
  recover(now: number, slots: number): { requeued: number; abandoned: number; exhausted: number }
  requestBody(seq: number): Promise<Uint8Array | null>
}
