/** The queue: submit, claim, advance, settle, recover; every change is guarded by state and attempt, and told once it is committed. */
import type { Database } from 'bun:sqlite'
import type { Failure } from '../domain/job/failure.ts'
import type { ActiveJob, Idempotency, JobKind, NewJob, Submitted } from '../domain/job/job.ts'
import type { Verdict } from '../domain/job/outcome.ts'
import type { Durability, Ledger } from './ledger.ts'
import type { LineNews } from './line.ts'
import { type Artifact, type Claimed, type ClaimQuery, queueWrites, type Recovered } from './queue-writes.ts'

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
  /** A waiting job goes to work in a lane; null: it is not waiting. */
  takeAside(id: string, lane: number, now: number): Promise<ActiveJob | null>
  /** From its slot into a lane. False: the job is no longer this attempt's. */
  moveAside(job: ActiveJob, lane: number, now: number): Promise<boolean>
  /** The oldest waiting jobs that something else than the target may serve. */
  forFallback(limit: number): readonly ActiveJob[]
  /** Takes a waiting job out; `quick` unless told otherwise. False: it is not waiting. */
  withdraw(id: string, reason: 'cancelled' | Failure, now: number, durability?: Durability): Promise<boolean>
  /** The job that a submit with this key made, or why it cannot be used; null when the key is new. */
  known(idempotency: Idempotency): Extract<Submitted, { kind: 'known' | 'conflict' }> | null
  /** At start nothing runs: async jobs go back, sync ones are failed as abandoned. From here on there are so many slots. */
  recover(now: number, slots: number): Recovered
  /** Takes the slots from jobs that nobody runs (`running` are those that somebody does); how many that were. */
  release(running: readonly string[], now: number): Promise<number>
  /** Whether another job with this key is ready to run. */
  hasReady(residencyKey: string): boolean
  /** Whether nothing waits, submits on their way included. */
  isEmpty(): boolean
  requestBody(seq: number): Uint8Array | null
  counts(): QueueCounts
}

/** Only what somebody was promised pays for an fsync: nothing of a sync call outlives its client. */
const durabilityOf = (kind: JobKind): Durability => (kind === 'async' ? 'durable' : 'quick')

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

/** How many wait, and whose rows are on their way: whoever asks whether a load is still wanted must hear of them too. */
const createWaiting = (stored: number) => {
  // Kept beside the table because counting 10,000 rows at every submit would cost 0.5 ms.
  let queued = stored
  const arriving = new Map<string, number>()
  return {
    get queued() {
      return queued
    },
    recount(now: number) {
      queued = now
    },
    came(jobs: number) {
      queued += jobs
    },
    went: () => void queued--,
    isArriving: (key: string) => arriving.has(key),
    /** Counts a job in while its row is written; it stays counted when it was accepted. */
    async arrive(key: string, write: () => Promise<Submitted>): Promise<Submitted> {
      queued++
      arriving.set(key, (arriving.get(key) ?? 0) + 1)
      let isAccepted = false
      try {
        const submitted = await write()
        isAccepted = submitted.kind === 'accepted'
        return submitted
      } finally {
        if (!isAccepted) queued--
        const jobs = (arriving.get(key) ?? 0) - 1
        if (jobs === 0) arriving.delete(key)
        else arriving.set(key, jobs)
      }
    },
  }
}

const nothing = () => undefined

interface LanesDeps extends Required<Pick<QueueDeps, 'ledger' | 'line' | 'changed'>> {
  readonly writes: ReturnType<typeof queueWrites>
  readonly waiting: ReturnType<typeof createWaiting>
}

/** The ways into lanes. */
const lanesIn = ({ ledger, writes, waiting, line, changed }: LanesDeps) => ({
  async takeAside(id: string, lane: number, now: number) {
    const job = await ledger.write('quick', () => writes.takeAside(id, lane, now))
    if (job === null) return null
    waiting.went()
    line.stirred()
    changed(job.id, job.hasWebhook)
    return job
  },
  moveAside: (job: ActiveJob, lane: number, now: number) =>
    ledger.write('quick', () => writes.moveAside(job, lane, now)),
  forFallback: writes.forFallback,
})

/** The queue of one database. */
export const createQueue = ({ db, ledger, maxQueue, changed = nothing, line = nobodyCounts }: QueueDeps): Queue => {
  const writes = queueWrites(db)
  const waiting = createWaiting(writes.queued())

  const claim = (query: ClaimQuery): Claimed => {
    // Told once too often when the transaction fails: the line only counts again.
    if (writes.ripen(query.now)) line.stirred()
    return writes.claim(query)
  }

  return {
    ...lanesIn({ ledger, writes, waiting, line, changed }),
    known: writes.known,
    async submit(job, now) {
      if (waiting.queued >= maxQueue) return { kind: 'full' }
      // Nobody is told of a sync call before its answer begins: its row goes with the worker's next write.
      const durability = job.kind === 'async' ? 'promised' : 'lazy'
      return waiting.arrive(job.residencyKey, async () => {
        const submitted = await ledger.write(durability, () => writes.insert(job, now))
        if (submitted.kind === 'accepted') {
          line.appended(submitted.seq, job.residencyKey)
          changed(job.id, job.webhookUrl !== null)
        }
        return submitted
      })
    },
    async claim(query) {
      const claimed = await ledger.write('quick', () => claim(query))
      if (claimed.kind === 'job') {
        waiting.went()
        line.left(claimed.job.seq, claimed.job.residencyKey)
        changed(claimed.job.id, claimed.job.hasWebhook)
      }
      return claimed
    },
    async advance(job, now) {
      const advanced = await ledger.write('quick', () => writes.advance(job, now))
      if (advanced) changed(job.id, job.hasWebhook)
      return advanced
    },
    async settle(job, verdict, now, artifacts = []) {
      const settled = await ledger.write(durabilityOf(job.kind), () => writes.settle(job, verdict, now, artifacts))
      if (settled && verdict.to === 'queued') {
        waiting.came(1)
        if (verdict.notBefore === null) line.joined(job.seq, job.residencyKey)
      }
      if (settled) changed(job.id, job.hasWebhook)
      return settled
    },
    async withdraw(id, reason, now, durability = 'quick') {
      const taken = await ledger.write(durability, () => writes.withdraw(id, reason, now))
      if (taken) {
        waiting.went()
        line.stirred()
        // Whose it was is not known here; a nudge too many costs a look.
        changed(id, true)
      }
      return taken
    },
    recover(now, slots) {
      const recovered = writes.recover(now, slots)
      // Of a million a count takes up to 0.6 s when nothing of them is in memory: what has just been counted is not counted again.
      if (recovered.requeued + recovered.abandoned + recovered.exhausted > 0) waiting.recount(writes.queued())
      line.stirred()
      return recovered
    },
    async release(running, now) {
      const { requeued, abandoned, exhausted } = await ledger.write('durable', () => writes.release(running, now))
      // Not counted anew: submits on their way are counted already.
      waiting.came(requeued)
      line.stirred()
      return requeued + abandoned + exhausted
    },
    hasReady: (residencyKey) => waiting.isArriving(residencyKey) || writes.hasReady(residencyKey),
    isEmpty: () => waiting.queued === 0,
    requestBody: writes.requestBody,
    counts: () => ({ queued: waiting.queued, oldestCreatedAt: writes.oldestCreatedAt() }),
  }
}
