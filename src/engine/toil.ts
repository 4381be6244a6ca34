/** How long a job has worked in attempts that were given back: what goes away while it works may do so for ever, a job's time may not. */
import type { Outcome } from '../domain/job/outcome.ts'

export interface Toil {
  /** The outcome, unless the job's time is up with it: then an attempt is spent after all. */
  weigh(jobId: string, outcome: Outcome, workedMs: number): Outcome
}

// A job that takes its target down as soon as it begins must not have tries for ever either.
const LOSS_COUNTS_AT_LEAST_MS = 10_000
// More jobs than this do not fail in turn; the one that has been quiet longest begins anew.
const JOBS_MAX = 10_000

const givesAttemptBack = ({ kind }: Outcome): boolean => kind === 'lost' || kind === 'away' || kind === 'stopped'

/** The account of one engine. It is kept in memory: a restart of foreman begins it anew. */
export const createToil = (jobTimeoutMs: number): Toil => {
  const workedMsOf = new Map<string, number>()
  return {
    weigh(jobId, outcome, workedMs) {
      const before = workedMsOf.get(jobId) ?? 0
      workedMsOf.delete(jobId)
      if (!givesAttemptBack(outcome)) {
        // A deferral says nothing about its work; everything else begins a new account.
        if (before > 0 && (outcome.kind === 'unreached' || outcome.kind === 'busy')) workedMsOf.set(jobId, before)
        return outcome
      }
      const total = before + (outcome.kind === 'lost' ? Math.max(workedMs, LOSS_COUNTS_AT_LEAST_MS) : workedMs)
      if (total >= jobTimeoutMs && outcome.kind !== 'stopped') return { kind: 'timeout' }
      workedMsOf.set(jobId, total)
      const [oldest] = workedMsOf.keys()
      if (workedMsOf.size > JOBS_MAX && oldest !== undefined) workedMsOf.delete(oldest)
      return outcome
    },
  }
}
