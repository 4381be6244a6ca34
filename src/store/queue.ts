/** The queue as prepared statements: submit, claim, advance, settle, recover; every change is guarded by state and attempt. */
import type { Database } from 'bun:sqlite'
import { type Failure, failure } from '../domain/job/failure.ts'
import type { ActiveJob, Idempotency, JobKind, NewJob, Submitted } from '../domain/job/job.ts'
import type { Verdict } from '../domain/job/outcome.ts'
import type { Durability, Ledger } from './ledger.ts'
import type { LineNews } from './line.ts'
import { type JobRow, type QueueStatements, queueStatements } from './queue-statements.ts'

/** A named result of a job, stored with the transition that owes it. */
export interface Artifact {
  readonly name: string
  readonly contentType: string
  readonly body: Uint8Array
}

export type Claimed =
  | { readonly kind: 'job'; readonly job: ActiveJob }
  /** Nothing is ready; `nextDueAt` (wall ms) is when the first backoff ends. */
  | { readonly kind: 'idle'; readonly nextDueAt: number | null }

export interface ClaimQuery {
  readonly now: number
  /** The key that is loaded: its jobs need no load and are `working` at once. */
  readonly loadedKey: string | null
  /** Jobs with this key go first: the loaded one, or the one being loaded. */
  readonly preferredKey: string | null
  /** Jobs created at or before this wall time go before everything else; null = no age bound. */
  readonly agedBefore: number | null
}

export interface QueueCounts {
  readonly queued: number
  readonly oldestCreatedAt: number | null
}

export interface Queue {
  submit(job: NewJob, now: number): Promise<Submitted>
  claim(query: ClaimQuery): Promise<Claimed>
  /** loading → working. False: the job is no longer this attempt's. */
  advance(job: ActiveJob, now: number): Promise<boolean>
  /** Ends this attempt. False: the job is no longer this attempt's. */
  settle(job: ActiveJob, verdict: Verdict, now: number, artifacts?: readonly Artifact[]): Promise<boolean>
  /** Takes a waiting job out; `quick` unless told otherwise. False: it is not waiting. */
  withdraw(id: string, reason: 'cancelled' | Failure, now: number, durability?: Durability): Promise<boolean>
  /** The job that a submit with this key made, or why it cannot be used; null when the key is new. */
  known(idempotency: Idempotency): Extract<Submitted, { kind: 'known' | 'conflict' }> | null
  /** At start nothing runs: async jobs go back, sync ones are failed as abandoned. */
  recover(now: number): { requeued: number; abandoned: number; exhausted: number }
  /** Whether another job with this key is ready to run. */
  hasReady(residencyKey: string): boolean
  /** Whether nothing waits, submits on their way included. */
  isEmpty(): boolean
  requestBody(seq: number): Uint8Array | null
  counts(): QueueCounts
}

const activeJob = (row: JobRow): ActiveJob => ({
  seq: row.seq,
  id: row.id,
  kind: row.kind,
  endpoint: row.endpoint,
  model: row.model,
  residencyKey: row.residency_key,
  state: row.state,
  attempt: row.attempt,
  maxAttempts: row.max_attempts,
  deferrals: row.deferrals,
  hasWebhook: row.has_webhook === 1,
  createdAt: row.created_at,
})

/** Only what somebody was promised pays for an fsync: nothing of a sync call outlives its client. */
const durabilityOf = (kind: JobKind): Durability => (kind === 'async' ? 'durable' : 'quick')

const applyVerdict = (sql: QueueStatements, job: ActiveJob, verdict: Verdict, now: number): boolean => {
  const { seq, attempt } = job
  switch (verdict.to) {
    case 'queued': {
      const returned = verdict.attemptReturned ? 1 : 0
      return sql.requeue.run(seq, attempt, now, returned, verdict.deferred ? 1 : 0, verdict.notBefore).changes > 0
    }
    case 'done': {
      const { promptTokens, completionTokens, totalDurationMs } = verdict.usage
      return (
        sql.finish.run(seq, attempt, now, 'done', null, null, promptTokens, completionTokens, totalDurationMs).changes >
        0
      )
    }
    case 'failed': {
      const { code, message } = verdict.failure
      return sql.finish.run(seq, attempt, now, 'failed', code, message, null, null, null).changes > 0
    }
    case 'cancelled':
      return sql.finish.run(seq, attempt, now, 'cancelled', null, null, null, null, null).changes > 0
    default:
      return verdict satisfies never
  }
}

export interface QueueDeps {
  readonly db: Database
  readonly ledger: Ledger
  /** Bound of the waiting jobs. */
  readonly maxQueue: number
  /** Called after each committed change of a job; `mayOwe`: somebody may have to be told of it. */
  readonly changed?: (jobId: string, mayOwe: boolean) => void
  /** Hears of ready jobs that go and come. */
  readonly line?: LineNews
}

const nobodyCounts: LineNews = {
  appended: () => undefined,
  left: () => undefined,
  joined: () => undefined,
  stirred: () => undefined,
}

/** The queue of one database. */
export const createQueue = ({
  db,
  ledger,
  maxQueue,
  changed = () => undefined,
  line = nobodyCounts,
}: QueueDeps): Queue => {
  const sql = queueStatements(db)
  // Kept beside the table because counting 10,000 rows at every submit would cost 0.5 ms.
  let queued = sql.queued.get()?.n ?? 0
  // Keys of jobs whose rows are on their way: whoever asks whether a load is still wanted must hear of them too.
  const arriving = new Map<string, number>()
  const arrive = (key: string, by: 1 | -1) => {
    const jobs = (arriving.get(key) ?? 0) + by
    if (jobs === 0) arriving.delete(key)
    else arriving.set(key, jobs)
  }

  const known: Queue['known'] = ({ key, fingerprint }) => {
    const found = sql.knownKey.get(key)
    if (found === null) return null
    const isSame = Buffer.compare(found.fingerprint, fingerprint) === 0
    return isSame ? { kind: 'known', jobId: found.id } : { kind: 'conflict' }
  }

  const insert = (job: NewJob, now: number): Submitted => {
    const earlier = job.idempotency === undefined ? null : known(job.idempotency)
    if (earlier !== null) return earlier
    const { id, kind, endpoint, model, residencyKey, maxAttempts, webhookUrl } = job
    const { lastInsertRowid } = sql.insert.run(id, kind, endpoint, model, residencyKey, maxAttempts, webhookUrl, now)
    const seq = Number(lastInsertRowid)
    if (job.request !== null) sql.insertRequest.run(seq, job.request)
    if (job.idempotency !== undefined) sql.insertKey.run(job.idempotency.key, job.idempotency.fingerprint, seq)
    return { kind: 'accepted', seq }
  }

  const claim = ({ now, loadedKey, preferredKey, agedBefore }: ClaimQuery): Claimed => {
    // Told once too often when the transaction fails: the line only counts again.
    if (sql.ripen.run(now).changes > 0) line.stirred()
    const row = sql.claim.get(now, agedBefore ?? -1, preferredKey ?? '')
    if (row === null) return { kind: 'idle', nextDueAt: sql.nextDue.get()?.at ?? null }
    if (row.residency_key !== loadedKey) return { kind: 'job', job: activeJob(row) }
    // Every job passes `loading`, even for no time at all.
    sql.advance.run(row.seq, row.attempt, now)
    return { kind: 'job', job: activeJob({ ...row, state: 'working' }) }
  }

  return {
    known,
    async submit(job, now) {
      if (queued >= maxQueue) return { kind: 'full' }
      queued++
      arrive(job.residencyKey, 1)
      try {
        // Nobody is told of a sync call before its answer begins: its row goes with the worker's next write.
        const durability = job.kind === 'async' ? 'durable' : 'lazy'
        const submitted = await ledger.write(durability, () => insert(job, now))
        if (submitted.kind === 'accepted') {
          line.appended(submitted.seq, job.residencyKey)
          changed(job.id, job.webhookUrl !== null)
        } else queued--
        return submitted
      } catch (error) {
        queued--
        throw error
      } finally {
        arrive(job.residencyKey, -1)
      }
    },
    async claim(query) {
      const claimed = await ledger.write('quick', () => claim(query))
      if (claimed.kind === 'job') {
        queued--
        line.left(claimed.job.seq, claimed.job.residencyKey)
        changed(claimed.job.id, claimed.job.hasWebhook)
      }
      return claimed
    },
    async advance(job, now) {
      const advanced = await ledger.write('quick', () => sql.advance.run(job.seq, job.attempt, now).changes > 0)
      if (advanced) changed(job.id, job.hasWebhook)
      return advanced
    },
    async settle(job, verdict, now, artifacts = []) {
      const settled = await ledger.write(durabilityOf(job.kind), () => {
        if (!applyVerdict(sql, job, verdict, now)) return false
        for (const { name, contentType, body } of artifacts) sql.insertArtifact.run(job.seq, name, contentType, body)
        return true
      })
      if (settled && verdict.to === 'queued') {
        queued++
        if (verdict.notBefore === null) line.joined(job.seq, job.residencyKey)
      }
      if (settled) changed(job.id, job.hasWebhook)
      return settled
    },
    async withdraw(id, reason, now, durability = 'quick') {
      const state = reason === 'cancelled' ? reason : 'failed'
      const [code, message] = reason === 'cancelled' ? [null, null] : [reason.code, reason.message]
      const taken = await ledger.write(durability, () => sql.withdraw.run(id, state, code, message, now).changes > 0)
      if (taken) {
        queued--
        line.stirred()
        // Whose it was is not known here; a nudge too many costs a look.
        changed(id, true)
      }
      return taken
    },
    recover(now) {
      const recovered = db
        .transaction(() => ({
          abandoned: sql.abandonSync.run(now, failure('abandoned').message).changes,
          exhausted: sql.exhaust.run(now, failure('attempts_exhausted').message).changes,
          requeued: sql.requeueInterrupted.run(now).changes,
        }))
        .immediate()
      queued = sql.queued.get()?.n ?? 0
      line.stirred()
      return recovered
    },
    hasReady: (residencyKey) => arriving.has(residencyKey) || sql.hasReady.get(residencyKey) !== null,
    isEmpty: () => queued === 0,
    requestBody: (seq) => sql.requestBody.get(seq)?.body ?? null,
    counts: () => ({ queued, oldestCreatedAt: sql.oldest.get()?.created_at ?? null }),
  }
}
