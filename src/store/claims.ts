/** Claims the next in the one order of rows and calls: a row by an update, a call by the row it is born with; the database has the last word. */
import type { Claimed, ClaimQuery } from '../domain/job/claim.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import type { Calls, WaitingCall } from './calls.ts'
import type { Ledger } from './ledger.ts'
import type { Place } from './queue-statements.ts'
import type { QueueWrites } from './queue-writes.ts'
import { isDiskFault } from './transactor.ts'
import type { WaitingRows } from './waiting.ts'

export interface ClaimsDeps {
  readonly ledger: Ledger
  readonly writes: QueueWrites
  readonly rows: WaitingRows
  readonly calls: Calls
  /** A job has left the line for a slot. */
  readonly left: (job: ActiveJob, wasCall: boolean) => void
  /** Backoffs are over. */
  readonly ripened: () => void
}

/** Who is next, and whether it is a call. */
type Next = { readonly call: WaitingCall } | { readonly call: null; readonly row: Place }

/** What became of a claim inside its transaction. */
type Taken =
  | { readonly kind: 'job'; readonly job: ActiveJob; readonly wasCall: boolean }
  | Extract<Claimed, { kind: 'held' | 'idle' }>

const placeOf = (next: Next): Place => next.call ?? (next as { row: Place }).row

const older = (call: WaitingCall | null, row: Place | null): Next | null => {
  if (call !== null && (row === null || call.seq < row.seq)) return { call }
  return row === null ? null : { call: null, row }
}

/** Reads only, and nothing at all of the database while no row waits. */
const createOrder = ({ writes, rows, calls }: ClaimsDeps) => {
  const oldestOf = (key: string) => older(calls.oldestOf(key), rows.size > 0 ? writes.oldestOf(key) : null)
  return ({ agedBefore, residentKeys }: ClaimQuery): Next | null => {
    const oldest = older(calls.oldest(), rows.size > 0 ? writes.oldest() : null)
    if (oldest === null) return null
    const { createdAt, residencyKey } = placeOf(oldest)
    if ((agedBefore !== null && createdAt <= agedBefore) || residencyKey === residentKeys[0]) return oldest
    for (const key of residentKeys) {
      const first = oldestOf(key)
      if (first !== null) return first
    }
    return oldest
  }
}

/** The claims of one queue. */
export const createClaims = (deps: ClaimsDeps): ((query: ClaimQuery) => Promise<Claimed>) => {
  const { ledger, writes, rows, calls } = deps
  const order = createOrder(deps)
  const isRipe = (now: number) => rows.ripeAt !== null && rows.ripeAt <= now
  const isHeld = (next: Next, { activeKey }: ClaimQuery) =>
    activeKey !== null && placeOf(next).residencyKey !== activeKey

  /** `loading`, or `working` at once where its key is loaded. */
  const bear = (call: WaitingCall, { now, slot, loadedKeys }: ClaimQuery) =>
    writes.bear(call, { now, slot, state: loadedKeys.includes(call.residencyKey) ? 'working' : 'loading' })
  const take = (next: Next | null, query: ClaimQuery): Taken => {
    if (next === null) return { kind: 'idle', nextDueAt: rows.ripeAt === null ? null : writes.nextDueAt() }
    if (isHeld(next, query)) return { kind: 'held' }
    const { call } = next
    const job = call === null ? writes.claim(placeOf(next).seq, query) : bear(call, query)
    return { kind: 'job', job, wasCall: call !== null }
  }
  const taken = (claimed: Taken): Claimed => {
    if (claimed.kind !== 'job') return claimed
    const { job, wasCall } = claimed
    if (wasCall) calls.remove(job.id)
    deps.left(job, wasCall)
    return { kind: 'job', job }
  }
  /** A call is on its way before its row is committed: nothing of it is promised. */
  const takeCall = (call: WaitingCall, query: ClaimQuery): Claimed => {
    try {
      return taken({ kind: 'job', job: ledger.note(() => bear(call, query)), wasCall: true })
    } catch (error) {
      if (!isDiskFault(error)) throw error
      calls.remove(call.id)
      return { kind: 'refused', jobId: call.id, error }
    }
  }

  const claimRow = (query: ClaimQuery): Promise<Claimed> => {
    const run = () => {
      const hasRipened = isRipe(query.now) && writes.ripen(query.now)
      return { claimed: take(order(query), query), hasRipened }
    }
    const committed = ({ claimed, hasRipened }: ReturnType<typeof run>) => {
      if (isRipe(query.now)) rows.ripened(writes.nextDueAt())
      if (hasRipened) deps.ripened()
      taken(claimed)
    }
    return ledger
      .write('quick', run, committed)
      .then(({ claimed }) => (claimed.kind === 'job' ? { kind: 'job', job: claimed.job } : claimed))
  }

  return async (query) => {
    // What waits to be written may change who is next, and comes first.
    if (!ledger.isIdle || ledger.isShut || isRipe(query.now)) return claimRow(query)
    const next = order(query)
    if (next === null || isHeld(next, query)) return taken(take(next, query))
    return next.call === null ? claimRow(query) : takeCall(next.call, query)
  }
}
