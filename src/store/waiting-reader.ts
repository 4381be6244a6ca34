/** Shows the calls that wait without a row among the stored jobs, as if they had one; it must never write. */
import type { JobFilter, JobReader, StoredJob } from '../domain/job/reading.ts'
import type { Calls, WaitingCall } from './calls.ts'

const asStored = (call: WaitingCall, createdAt: number): StoredJob => ({
  ...call,
  kind: 'sync',
  state: 'queued',
  attempt: 0,
  deferrals: 0,
  notBefore: null,
  webhookUrl: null,
  errorCode: null,
  errorMessage: null,
  promptTokens: null,
  completionTokens: null,
  totalDurationMs: null,
  servedBy: null,
  servedModel: null,
  createdAt,
  startedAt: null,
  completedAt: null,
  updatedAt: createdAt,
  relief: null,
})

const matches = ({ model }: WaitingCall, filter: JobFilter): boolean =>
  (filter.state === null || filter.state === 'queued') &&
  (filter.kind === null || filter.kind === 'sync') &&
  (filter.model === null || filter.model === model)

/** `reader` with the waiting calls in it; `wallAt` says what the wall clock showed at a stored time. */
export const withCalls = (
  reader: JobReader,
  calls: Pick<Calls, 'find' | 'newest' | 'size'>,
  wallAt: (storedMs: number) => number,
): JobReader => {
  const shown = (call: WaitingCall) => asStored(call, wallAt(call.createdAt))

  /** The newest that match. */
  const waiting = (filter: JobFilter, below: number): StoredJob[] => {
    const found: StoredJob[] = []
    for (const call of calls.newest()) {
      if (found.length === filter.limit) break
      if (call.seq < below && matches(call, filter)) found.push(shown(call))
    }
    return found
  }

  return {
    ...reader,
    find(id) {
      const call = calls.find(id)
      return call === null ? reader.find(id) : shown(call)
    },
    top(after) {
      const stored = reader.top(after)
      if (after === null) return Math.max(stored, (calls.newest().next().value?.seq ?? 0) + 1)
      const own = calls.find(after)
      if (own !== null) return own.seq
      for (const { id, seq } of calls.newest()) if (id < after) return Math.max(stored, seq + 1)
      return stored
    },
    list(filter, below) {
      const jobs = reader.list(filter, below)
      if (calls.size === 0) return jobs
      return [...jobs, ...waiting(filter, below)].sort((a, b) => b.seq - a.seq).slice(0, filter.limit)
    },
  }
}
