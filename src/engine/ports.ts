/** What the engine needs of the target and the store, as it wants to see them; the adapters happen to fit. */

import type { Failure } from '../domain/job/failure.ts'
import type { ActiveJob, Idempotency, NewJob, Submitted } from '../domain/job/job.ts'
import type { Verdict } from '../domain/job/outcome.ts'
import type { CallerArtifact } from './caller.ts'

type HeaderPairs = readonly (readonly [string, string])[]

export type BodyRead =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'broken'; readonly code: string; readonly message: string }
  | { readonly kind: 'aborted' }

export interface ReplyBody {
  readonly complete: Uint8Array | null
  /** How many of the target's chunks `complete` is; one where that is not known. */
  readonly chunks?: number
  read(): Promise<BodyRead>
  cancel(): void
}

export type Reply =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly headers: HeaderPairs
      readonly body: ReplyBody
      /** The body ends where the connection does: one that was cut off looks the same. */
      readonly untilClose?: boolean
    }
  | { readonly kind: 'unreached'; readonly code: string; readonly message: string }
  | { readonly kind: 'broken'; readonly code: string; readonly message: string; readonly reused: boolean }
  | { readonly kind: 'aborted' }

export interface SendTarget {
  /** `http://gpu-box:11434`, for people. */
  readonly origin?: string
  send(
    request: { method: string; path: string; headers: HeaderPairs; body: Uint8Array | null },
    options: { signal?: AbortSignal; reuse: boolean; wholeTimeoutMs?: number; connectTimeoutMs?: number },
  ): Promise<Reply>
}

/** What a claim asks for: the next job in order, for one free slot. */
export interface ClaimQuery {
  readonly now: number
  /** The lowest free slot, from 0. */
  readonly slot: number
  /** The key of the jobs that run: only one of that key may join them. */
  readonly activeKey: string | null
  /** Keys whose jobs cost no load: the oldest job of the first of them that has one goes before jobs of all other keys. */
  readonly residentKeys: readonly string[]
  /** Keys that are loaded for certain: their jobs are `working` at once. */
  readonly loadedKeys: readonly string[]
  /** Jobs created at or before this wall time go before everything else; null = no age bound. */
  readonly agedBefore: number | null
}

export type Claimed =
  | { readonly kind: 'job'; readonly job: ActiveJob }
  /** The next job in order has another key than those that run: it waits for them. */
  | { readonly kind: 'held' }
  /** Nothing is ready; `nextDueAt` (wall ms) is when the first backoff ends. */
  | { readonly kind: 'idle'; readonly nextDueAt: number | null }

/** The part of the queue that the dispatcher and the entries use. */
export interface EngineQueue {
  submit(job: NewJob, now: number): Promise<Submitted>
  /**
   * Next in order is the oldest job that was created at or before `agedBefore`, else the oldest of the first resident key that has one, else the oldest. Beside
   * running jobs only one with their key may be claimed, and only if it is next: else it is `held`, until the slots are empty.
   */
  claim(query: ClaimQuery): Promise<Claimed>
  advance(job: ActiveJob, now: number): Promise<boolean>
  settle(job: ActiveJob, verdict: Verdict, now: number, artifacts?: readonly CallerArtifact[]): Promise<boolean>
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
  requestBody(seq: number): Uint8Array | null
}
