/** Writes down what came of a try until the database takes it; it must never let a disk that is full turn into a second delivery. */
import type { Clock } from '../domain/clock.ts'
import { persistUntil } from '../loop/persist.ts'

export interface SettleDeps {
  readonly clock: Clock
  readonly emit: (event: { readonly event: 'settle_retried'; readonly jobId: string; readonly error: unknown }) => void
}

/** True once `write` has worked; false when the signal came first. */
export type Settle = (jobId: string, signal: AbortSignal, write: () => Promise<unknown>) => Promise<boolean>

/** A settle that backs off between writes. */
export const createSettle =
  ({ clock, emit }: SettleDeps): Settle =>
  (jobId, signal, write) =>
    persistUntil(signal, clock, write, (error) => emit({ event: 'settle_retried', jobId, error }))
