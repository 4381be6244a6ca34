/** What each change of the queue does inside its transaction; it must touch nothing but the database, because it may run twice. */
import type { Database } from 'bun:sqlite'
import type { ClaimQuery } from '../domain/job/claim.ts'
import { type Failure, failure } from '../domain/job/failure.ts'
import type { ActiveJob, Idempotency, NewJob, Submitted } from '../domain/job/job.ts'
import type { Verdict } from '../domain/job/outcome.ts'
import { isLarge } from './bodies.ts'
import type { WaitingCall } from './calls.ts'
import { type JobRow, type QueueStatements, queueStatements } from './queue-statements.ts'

/** A named result of a job, stored with the transition that owes it. */
export interface Artifact {
  readonly name: string
  readonly contentType: string
  readonly body: Uint8Array
}

export interface Recovered {
  readonly requeued: number
  readonly abandoned: number
  readonly exhausted: number
}

const activeJob = (row: JobRow): ActiveJob => ({
  seq: row.seq,
  id: row.id,
  kind: row.kind,
  endpoint: row.endpoint,
  model: row.model,
  residencyKey: row.residency_key,
  state: row.state,
  slot: row.slot,
  attempt: row.attempt,
  maxAttempts: row.max_attempts,
  deferrals: row.deferrals,
  hasWebhook: row.has_webhook === 1,
  fallback: row.fallback,
  createdAt: row.created_at,
})

// No counts, and nobody who served it.
const nobody = [null, null, null, null, null] as const

const nothing = new Uint8Array(0)

const applyVerdict = (sql: QueueStatements, job: ActiveJob, verdict: Verdict, now: number): boolean => {
  const { seq, attempt } = job
  switch (verdict.to) {
    case 'queued': {
      const returned = verdict.attemptReturned ? 1 : 0
      return sql.requeue.run(seq, attempt, now, returned, verdict.deferred ? 1 : 0, verdict.notBefore).changes > 0
    }
    case 'done': {
      const { promptTokens, completionTokens, totalDurationMs } = verdict.usage
      const { who, model } = verdict.servedBy ?? { who: 'target', model: null }
      const counts = [promptTokens, completionTokens, totalDurationMs]
      return sql.finish.run(seq, attempt, now, 'done', null, null, ...counts, who, model).changes > 0
    }
    case 'failed': {
      const { code, message } = verdict.failure
      return sql.finish.run(seq, attempt, now, 'failed', code, message, ...nobody).changes > 0
    }
    case 'cancelled':
      return sql.finish.run(seq, attempt, now, 'cancelled', null, null, ...nobody).changes > 0
    default:
      return verdict satisfies never
  }
}

const insertJob = (sql: QueueStatements, job: NewJob, seq: number, now: number): Submitted => {
  const earlier = job.idempotency === undefined ? null : knownJob(sql, job.idempotency)
  if (earlier !== null) return earlier
  const { id, endpoint, model, residencyKey, maxAttempts, webhookUrl, webhookStates = null, fallback = null } = job
  const states = webhookStates === null ? null : JSON.stringify(webhookStates)
  sql.insert.run(seq, id, endpoint, model, residencyKey, maxAttempts, webhookUrl, states, now, fallback)
  // A large one is written by itself, and so is what is in a large artifact.
  if (job.request !== null && !isLarge(job.request)) sql.insertRequest.run(seq, job.request)
  if (job.idempotency !== undefined) sql.insertKey.run(job.idempotency.key, job.idempotency.fingerprint, seq)
  return { kind: 'accepted', seq }
}

const knownJob = (sql: QueueStatements, { key, fingerprint }: Idempotency) => {
  const found = sql.knownKey.get(key)
  if (found === null) return null
  const isSame = Buffer.compare(found.fingerprint, fingerprint) === 0
  return isSame ? ({ kind: 'known', jobId: found.id } as const) : ({ kind: 'conflict' } as const)
}

/** A call's first attempt. */
const bearCall = (
  sql: QueueStatements,
  call: WaitingCall,
  { state, slot, now }: Pick<ActiveJob, 'slot' | 'state'> & { readonly now: number },
): ActiveJob => {
  const { seq, id, endpoint, model, residencyKey, maxAttempts, createdAt } = call
  sql.bear.run(seq, id, endpoint, model, residencyKey, state, slot, maxAttempts, createdAt, now)
  return { ...call, kind: 'sync', state, slot, attempt: 1, deferrals: 0, hasWebhook: false, fallback: null }
}

const claimRow = (sql: QueueStatements, seq: number, { now, slot, loadedKeys }: ClaimQuery): ActiveJob => {
  const row = sql.claim.get(seq, now, slot)
  if (row === null) throw new Error(`the row ${seq} that was next is gone`)
  if (!loadedKeys.includes(row.residency_key)) return activeJob(row)
  // Every row passes `loading`, even for no time at all.
  sql.advance.run(row.seq, row.attempt, now)
  return activeJob({ ...row, state: 'working' })
}

const recoverAll = (sql: QueueStatements, now: number, slots: number): Recovered => {
  const { message } = failure('abandoned')
  const abandoned = sql.abandonWaiting.run(now, message).changes + sql.abandonActive.run(now, message).changes
  const exhausted = sql.exhaust.run(now, failure('attempts_exhausted').message).changes
  const requeued = sql.requeueInterrupted.run(now).changes
  sql.dropSlots.run(slots)
  for (let slot = 0; slot < slots; slot++) sql.addSlot.run(slot)
  return { requeued, abandoned, exhausted }
}

/** As after a restart, but only for jobs in slots that nobody runs. */
const releaseStranded = (sql: QueueStatements, running: readonly string[], now: number): Recovered => {
  const ids = JSON.stringify(running)
  const abandoned = sql.strandedSync.run(ids, now, failure('abandoned').message).changes
  const exhausted = sql.strandedSpent.run(ids, now, failure('attempts_exhausted').message).changes
  const requeued = sql.stranded.run(ids, now).changes
  return { requeued, abandoned, exhausted }
}

/** The reads and writes of the queue in one database; whoever calls a write has begun a transaction. */
export const queueWrites = (db: Database) => {
  const sql = queueStatements(db)
  return {
    lastSeq: (): number => sql.lastSeq.get()?.seq ?? 0,
    insert: (job: NewJob, seq: number, now: number) => insertJob(sql, job, seq, now),
    /** Whether a backoff is over: its job is ready again, at its old place. */
    ripen: (now: number): boolean => sql.ripen.run(now).changes > 0,
    oldest: () => sql.oldest.get(),
    oldestOf: (residencyKey: string) => sql.oldestOf.get(residencyKey),
    nextDueAt: (): number | null => sql.nextDue.get()?.at ?? null,
    bear: (call: WaitingCall, where: Parameters<typeof bearCall>[2]) => bearCall(sql, call, where),
    claim: (seq: number, query: ClaimQuery) => claimRow(sql, seq, query),
    advance: ({ seq, attempt }: ActiveJob, now: number): boolean => sql.advance.run(seq, attempt, now).changes > 0,
    /** Out of the line into a lane, and at once to work: there is nothing to load. */
    takeAside(id: string, lane: number, now: number): ActiveJob | null {
      const row = sql.takeAside.get(id, lane, now)
      if (row === null) return null
      sql.advance.run(row.seq, row.attempt, now)
      return activeJob({ ...row, state: 'working' })
    },
    moveAside: ({ seq, attempt }: ActiveJob, lane: number, now: number): boolean =>
      sql.moveAside.run(seq, attempt, lane, now).changes > 0,
    forFallback: (limit: number): ActiveJob[] => sql.forFallback.all(limit).map(activeJob),
    settle(job: ActiveJob, verdict: Verdict, now: number, artifacts: readonly Artifact[]): boolean {
      if (!applyVerdict(sql, job, verdict, now)) return false
      if (job.relief !== undefined) sql.relieve.run(job.seq, JSON.stringify(job.relief))
      for (const { name, contentType, body } of artifacts)
        sql.insertArtifact.run(job.seq, name, contentType, isLarge(body) ? nothing : body)
      return true
    },
    withdraw(id: string, reason: 'cancelled' | Failure, now: number): boolean {
      if (reason === 'cancelled') return sql.withdraw.run(id, reason, null, null, now).changes > 0
      return sql.withdraw.run(id, 'failed', reason.code, reason.message, now).changes > 0
    },
    release: (running: readonly string[], now: number) => releaseStranded(sql, running, now),
    recover: db.transaction((now: number, slots: number) => recoverAll(sql, now, slots)).immediate,
    known: (idempotency: Idempotency) => knownJob(sql, idempotency),
    requestBody: (seq: number): Uint8Array | null => sql.requestBody.get(seq)?.body ?? null,
    queued: (): number => sql.queued.get()?.n ?? 0,
  }
}

export type QueueWrites = ReturnType<typeof queueWrites>
