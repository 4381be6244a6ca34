/** Webhooks that are owed: which are due, and what became of each; that none is forgotten is the schema's business. */
import type { Database } from 'bun:sqlite'
import type { Clock } from '../domain/clock.ts'
import type { JobState } from '../domain/job/job.ts'
import type { Ledger } from './ledger.ts'

/** The transition that a job's receiver is told next. */
export interface OwedDelivery {
  /** One per job: its next transition has to wait for this one. */
  readonly deliveryId: number
  readonly jobId: string
  readonly jobSeq: number
  readonly url: string
  readonly model: string
  readonly sequence: number
  readonly state: JobState
  readonly previousState: JobState | null
  readonly attempt: number
  /** Wall milliseconds of the transition. */
  readonly at: number
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly servedBy: 'target' | 'fallback' | null
  readonly servedModel: string | null
  readonly tries: number
  /** The states that the receiver wants to hear of, as they are stored; null = all. */
  readonly states: string | null
}

type Named = Pick<OwedDelivery, 'jobSeq' | 'sequence'>

/** One look at what is owed: `room` says how many more of a receiver are wanted, and what is `busy` is known already. */
export interface Look {
  readonly now: number
  readonly room: (origin: string) => number
  readonly busy: ReadonlySet<number>
}

export interface Found {
  /** Of each receiver the longest due first. */
  readonly lanes: readonly {
    readonly origin: string
    readonly due: readonly OwedDelivery[]
    readonly hasMore: boolean
  }[]
  /** When the first that is not due yet will be, of the receivers with room; null = there is none. */
  readonly nextDueAt: number | null
  /** The next look goes on with more receivers. */
  readonly isPartial: boolean
}

export interface Outbox {
  look(look: Look): Found
  /** Gives the next of the job, if that has happened already. */
  accepted(delivery: OwedDelivery): Promise<OwedDelivery | null>
  retryAt(delivery: Named, at: number, problem: string): Promise<void>
  giveUp(delivery: OwedDelivery, problem: string): Promise<OwedDelivery | null>
  /** Jobs whose receiver is behind. */
  owed(): number
}

const TRANSITION = `t.sequence AS sequence, t.state AS state, t.previous_state AS previousState, t.attempt AS attempt, t.at AS at,
    t.error_code AS errorCode, t.error_message AS errorMessage, t.served_by AS servedBy, t.served_model AS servedModel`

const OWED = `SELECT w.job_seq AS deliveryId, j.id AS jobId, j.seq AS jobSeq, j.webhook_url AS url, j.webhook_states AS states,
    j.model AS model, w.tries AS tries, ${TRANSITION}
  FROM webhooks w
  JOIN transitions t ON t.job_seq = w.job_seq AND t.sequence = w.sequence
  JOIN jobs j ON j.seq = w.job_seq
  WHERE w.job_seq = ?1`

// The next that the receiver wants to hear of. What it has in common with the one before is known: a third of the columns to read.
const NEXT = `SELECT ${TRANSITION} FROM transitions t
  WHERE t.job_seq = ?1 AND t.sequence > ?2 AND (?3 IS NULL OR instr(?3, '"' || t.state || '"') > 0) ORDER BY t.sequence LIMIT 1`

type Transition = Pick<
  OwedDelivery,
  'sequence' | 'state' | 'previousState' | 'attempt' | 'at' | 'errorCode' | 'errorMessage' | 'servedBy' | 'servedModel'
>

// A look hops from receiver to receiver and takes the first few of each: a backlog of 100,000 for one costs a hop, not 100,000 rows.
const LANES = 'webhooks INDEXED BY webhooks_lanes WHERE due_at IS NOT NULL'
// So much of a look at most holds the event loop: some 300 receivers that are owed little, or 1,000 that are passed over.
const LOOK_MS = 4

/** The owed delivery of a job, with the time that the wall clock showed when it happened. */
type FindOwed = (jobSeq: number) => OwedDelivery | null

const createFindOwed = (db: Database, wallAt: (storedMs: number) => number): FindOwed => {
  const owed = db.query<OwedDelivery, [number]>(OWED)
  return (jobSeq) => {
    const row = owed.get(jobSeq)
    return row === null ? null : { ...row, at: wallAt(row.at) }
  }
}

/** Finds what is due, receiver by receiver. */
const createLookup = (db: Database, findOwed: FindOwed, clock: Pick<Clock, 'monotonicMs'>) => {
  const hop = db.query<{ origin: string; due_at: number }, [string]>(
    `SELECT origin, due_at FROM ${LANES} AND origin > ?1 ORDER BY origin, due_at LIMIT 1`,
  )
  const lane = db.query<{ id: number; due_at: number }, [string, number]>(
    `SELECT job_seq AS id, due_at FROM ${LANES} AND origin = ?1 ORDER BY due_at, job_seq LIMIT ?2`,
  )
  // Where the next look begins when this one could not visit all, and what those before it have found.
  let from = ''
  let nextDueAt: number | null = null

  /** The first `room` of one receiver that are due and not busy, and when its next one is. */
  const dueOf = (origin: string, room: number, { now, busy }: Look) => {
    const due: OwedDelivery[] = []
    const most = room + busy.size + 1
    const heads = lane.all(origin, most)
    for (const { id, due_at } of heads) {
      if (due_at > now) return { due, hasMore: false, nextDueAt: due_at }
      if (busy.has(id)) continue
      if (due.length === room) return { due, hasMore: true, nextDueAt: null }
      const row = findOwed(id)
      if (row !== null) due.push(row)
    }
    return { due, hasMore: heads.length === most, nextDueAt: null }
  }

  return (look: Look): Found => {
    const lanes: Found['lanes'][number][] = []
    if (from === '') nextDueAt = null
    const later = (at: number | null) => {
      if (at !== null && (nextDueAt === null || at < nextDueAt)) nextDueAt = at
    }
    const until = clock.monotonicMs() + LOOK_MS
    do {
      const found = hop.get(from)
      if (found === null) {
        from = ''
        return { lanes, nextDueAt, isPartial: false }
      }
      from = found.origin
      const room = look.room(from)
      if (room === 0) continue
      if (found.due_at > look.now) {
        later(found.due_at)
        continue
      }
      const { due, hasMore, nextDueAt: at } = dueOf(from, room, look)
      later(at)
      if (due.length > 0) lanes.push({ origin: from, due, hasMore })
    } while (clock.monotonicMs() < until)
    return { lanes, nextDueAt, isPartial: true }
  }
}

export interface OutboxDeps {
  readonly db: Database
  readonly ledger: Ledger
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** What the wall clock showed at a stored time. */
  readonly wallAt?: (storedMs: number) => number
}

/** The outbox of one database. Outcomes are quick writes: one lost to a power cut is delivered again, with the same id. */
export const createOutbox = ({ db, ledger, clock, wallAt = (ms) => ms }: OutboxDeps): Outbox => {
  const look = createLookup(db, createFindOwed(db, wallAt), clock)
  const nextOf = db.query<Transition, [number, number, string | null]>(NEXT)
  // Two statements, because one that leaves the due time alone leaves the indexes alone: what comes next has waited, so it is due.
  const step = db.query(`UPDATE webhooks SET sequence = ?3, tries = 0 WHERE job_seq = ?1 AND sequence = ?2`)
  const finish = db.query(
    `UPDATE webhooks SET sequence = ?2 + 1, tries = 0, due_at = NULL WHERE job_seq = ?1 AND sequence = ?2`,
  )
  const retry = db.query(`UPDATE webhooks SET tries = tries + 1, due_at = ?3, last_problem = ?4
    WHERE job_seq = ?1 AND sequence = ?2`)
  const note = db.query(
    `UPDATE webhooks SET given_up = given_up + 1, last_problem = ?3 WHERE job_seq = ?1 AND sequence = ?2`,
  )
  const owed = db.query<{ jobs: number }, []>('SELECT jobs FROM webhooks_owed')

  /** Nothing of it happens when the outcome is told a second time: the row is further on by then. */
  const goOn = (told: OwedDelivery): OwedDelivery | null => {
    const { jobSeq, sequence, states } = told
    const next = nextOf.get(jobSeq, sequence, states)
    if (next === null) finish.run(jobSeq, sequence)
    else if (step.run(jobSeq, sequence, next.sequence).changes === 0) return null
    return next === null ? null : { ...told, ...next, at: wallAt(next.at), tries: 0 }
  }
  return {
    look,
    accepted: (delivery) => ledger.write('lazy', () => goOn(delivery)),
    giveUp: (delivery, problem) =>
      ledger.write('lazy', () => {
        note.run(delivery.jobSeq, delivery.sequence, problem)
        return goOn(delivery)
      }),
    async retryAt({ jobSeq, sequence }, at, problem) {
      await ledger.write('lazy', () => retry.run(jobSeq, sequence, at, problem))
    },
    owed: () => owed.get()?.jobs ?? 0,
  }
}
