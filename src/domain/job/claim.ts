/** What a claim asks the queue for and what it gets; both sides of the queue speak in these words. */
import type { ActiveJob } from './job.ts'

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
  /** The disk does not take the row of the call that is next: it waits no longer, and has to be told. */
  | { readonly kind: 'refused'; readonly jobId: string; readonly error: unknown }
  /** The next job in order has another key than those that run: it waits for them. */
  | { readonly kind: 'held' }
  /** Nothing is ready; `nextDueAt` (wall ms) is when the first backoff ends. */
  | { readonly kind: 'idle'; readonly nextDueAt: number | null }
