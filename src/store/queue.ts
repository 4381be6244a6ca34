/** The durable queue: rows of async jobs and calls of waiting clients in one order. Every change is guarded by the state and attempt it starts from, and committed before it is told, a call's own excepted. */
import type { Claimed, ClaimQuery } from '../domain/job/claim.ts'
import type { Failure } from '../domain/job/failure.ts'
import type { ActiveJob, Idempotency, NewCall, NewJob, Submitted } from '../domain/job/job.ts'
import type { Verdict } from '../domain/job/outcome.ts'
import { type Bodies, createBodies, isLarge, type Written } from './bodies.ts'
import { createCalls } from './calls.ts'
import type { Durability } from './ledger.ts'
import {
  type Books,
  createBooks,
  createTell,
  nobodyCounts,
  nothing,
  type QueueDeps,
  type Resolved,
} from './queue-books.ts'
import type { Artifact, Recovered } from './queue-writes.ts'

export interface QueueCounts {
  readonly queued: number
  readonly oldestCreatedAt: number | null
}

export interface Queue {
  submit(job: NewJob, now: number): Promise<Submitted>
  /** A sync call begins to wait, at once and without a row; it throws while the disk refuses. */
  enter(job: NewCall, now: number): Extract<Submitted, { kind: 'accepted' | 'full' }>
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
  /** Takes a waiting job out; `quick` unless told otherwise. False: it is not waiting. A call that was never claimed leaves nothing. */
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
  requestBody(seq: number): Promise<Uint8Array | null>
  counts(): QueueCounts
}

const createSubmit = (deps: Resolved, { writes, rows, nextSeq }: Books) => {
  const { ledger, maxQueue, calls, bodies, line, changed } = deps
  const isFull = () => rows.size + calls.size >= maxQueue
  const enter: Queue['enter'] = ({ id, endpoint, model, residencyKey, maxAttempts }, now) => {
    if (isFull()) return { kind: 'full' }
    // Nobody begins to wait for a disk that is full.
    if (ledger.isRefused && !ledger.isWritable()) throw new Error('the database does not take writes')
    const seq = nextSeq()
    calls.add({ seq, id, endpoint, model, residencyKey, maxAttempts, createdAt: now })
    return { kind: 'accepted', seq }
  }
  const insert = async (job: NewJob, now: number): Promise<Submitted> => {
    const body = isLarge(job.request) ? await bodies.put(job.request, null) : null
    const seq = nextSeq()
    const write = () => {
      const submitted = writes.insert(job, seq, now)
      if (submitted.kind === 'accepted') body?.adopt(seq)
      return submitted
    }
    const submitted = await ledger.write('promised', write).finally(() => body?.done())
    if (submitted.kind === 'accepted') {
      line.appended(submitted.seq, job.residencyKey)
      changed(job.id, job.webhookUrl !== null)
    }
    return submitted
  }
  const submit = async (job: NewJob, now: number): Promise<Submitted> => {
    if (job.kind === 'sync') return enter(job, now)
    if (isFull()) return { kind: 'full' }
    return rows.arrive(
      job.residencyKey,
      () => insert(job, now),
      ({ kind }) => kind === 'accepted',
    )
  }
  return { enter, submit }
}

/** What of a job's artifacts is too large for their rows, written before them. */
const putLarge = async (bodies: Bodies, artifacts: readonly Artifact[]) => {
  const written: Written[] = []
  for (const { name, body } of artifacts) if (isLarge(body)) written.push(await bodies.put(body, name))
  return written
}

const createSettle = (deps: Resolved, { writes, rows }: Books): Queue['settle'] => {
  const { bodies, line, changed } = deps
  const tell = createTell(deps)
  return async (job, verdict, now, artifacts = []) => {
    const large = artifacts.some(({ body }) => isLarge(body)) ? await putLarge(bodies, artifacts) : []
    const write = () => {
      const isSettled = writes.settle(job, verdict, now, artifacts)
      if (isSettled) for (const body of large) body.adopt(job.seq)
      return isSettled
    }
    // Said before it is written: the claim behind it must look for it.
    if (verdict.to === 'queued') {
      rows.came(1)
      if (verdict.notBefore !== null) rows.backsOff(verdict.notBefore)
    }
    let settled = false
    try {
      settled = await tell(job.kind, 'durable', write)
      // What is refused is settled again, with what is written already.
      for (const body of large) body.done()
    } finally {
      if (verdict.to === 'queued' && !settled) rows.went()
    }
    if (settled && verdict.to === 'queued' && verdict.notBefore === null) line.joined(job.seq, job.residencyKey)
    if (settled) changed(job.id, job.hasWebhook)
    return settled
  }
}

/** The ways into lanes. */
const createLanes = (deps: Resolved, { writes, rows }: Books) => {
  const { ledger, calls, line, changed } = deps
  const tell = createTell(deps)
  return {
    async takeAside(id: string, lane: number, now: number): Promise<ActiveJob | null> {
      const call = calls.find(id)
      if (call !== null) {
        const bear = () => writes.bear(call, { state: 'working', slot: lane, now })
        const job = await tell('sync', 'quick', bear, () => void calls.remove(id))
        changed(id, false)
        return job
      }
      const job = await ledger.write('quick', () => writes.takeAside(id, lane, now))
      if (job === null) return null
      rows.went()
      line.stirred()
      changed(job.id, job.hasWebhook)
      return job
    },
    moveAside: (job: ActiveJob, lane: number, now: number) =>
      tell(job.kind, 'quick', () => writes.moveAside(job, lane, now)),
    forFallback: writes.forFallback,
  }
}

/** The queue of one database. */
export const createQueue = (options: QueueDeps): Queue => {
  const bodies = options.bodies ?? createBodies(options)
  const deps: Resolved = { changed: nothing, line: nobodyCounts, calls: createCalls(), ...options, bodies }
  const { ledger, changed, line, calls } = deps
  const books = createBooks(deps)
  const { writes, rows, recount, claim } = books
  const tell = createTell(deps)

  return {
    ...createLanes(deps, books),
    known: writes.known,
    claim,
    ...createSubmit(deps, books),
    settle: createSettle(deps, books),
    async advance(job, now) {
      const advanced = await tell(job.kind, 'quick', () => writes.advance(job, now))
      if (advanced) changed(job.id, job.hasWebhook)
      return advanced
    },
    async withdraw(id, reason, now, durability = 'quick') {
      if (calls.remove(id)) {
        changed(id, false)
        return true
      }
      const taken = await ledger.write(durability, () => writes.withdraw(id, reason, now))
      if (taken) {
        rows.went()
        line.stirred()
        // Whose it was is not known here; a nudge too many costs a look.
        changed(id, true)
      }
      return taken
    },
    recover(now, slots) {
      ledger.commit()
      const recovered = writes.recover(now, slots)
      // Of a million a count takes up to 0.6 s when nothing of them is in memory: what has just been counted is not counted again.
      if (recovered.requeued + recovered.abandoned + recovered.exhausted > 0) recount()
      line.stirred()
      return recovered
    },
    async release(running, now) {
      const { requeued, abandoned, exhausted } = await ledger.write('durable', () => writes.release(running, now))
      // Not counted anew: submits on their way are counted already.
      rows.came(requeued)
      line.stirred()
      return requeued + abandoned + exhausted
    },
    hasReady: (key) =>
      calls.oldestOf(key) !== null || rows.isArriving(key) || (rows.size > 0 && writes.oldestOf(key) !== null),
    isEmpty: () => rows.size + calls.size === 0,
    requestBody: async (seq) => writes.requestBody(seq) ?? (await bodies.read(seq, null)),
    counts() {
      const call = calls.oldest()
      const row = rows.size > 0 ? writes.oldest() : null
      const first = call !== null && (row === null || call.seq < row.seq) ? call : row
      return { queued: rows.size + calls.size, oldestCreatedAt: first?.createdAt ?? null }
    },
  }
}
