/** Webhooks that are owed: which are due, and what became of each; that none is forgotten is the schema's business. */
import type { Database } from 'bun:sqlite'
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
  readonly tries: number
}

type Named = Pick<OwedDelivery, 'jobSeq' | 'sequence'>

export interface Outbox {
  /** The deliveries due at `now`, the longest due first; those in `busy` and those to `fullOrigins` are left out. */
  due(now: number, limit: number, busy: ReadonlySet<number>, fullOrigins: ReadonlySet<string>): OwedDelivery[]
  /** Wall milliseconds of the first due delivery that is not busy; null = nothing is owed. */
  nextDueAt(busy: ReadonlySet<number>): number | null
  accepted(delivery: Named): Promise<void>
  retryAt(delivery: Named, at: number, problem: string): Promise<void>
  giveUp(delivery: Named, problem: string): Promise<void>
  /** Jobs whose receiver is behind. */
  owed(): number
}

const owedFrom = (
  webhooks: string,
) => `SELECT w.job_seq AS deliveryId, j.id AS jobId, j.seq AS jobSeq, j.webhook_url AS url,
    j.model AS model, t.sequence AS sequence, t.state AS state, t.previous_state AS previousState, t.attempt AS attempt,
    t.at AS at, t.error_code AS errorCode, t.error_message AS errorMessage, w.tries AS tries
  FROM ${webhooks}
  JOIN transitions t ON t.job_seq = w.job_seq AND t.sequence = w.sequence
  JOIN jobs j ON j.seq = w.job_seq`

const BY_TIME = `${owedFrom('webhooks w INDEXED BY webhooks_due')}
  WHERE w.due_at IS NOT NULL AND w.due_at <= +?1 ORDER BY w.due_at, w.job_seq LIMIT ?2`

// Hops from origin to origin and takes the first few of each: a backlog of 10,000 for one receiver costs one hop, not 10,000 rows.
const LANES = 'webhooks INDEXED BY webhooks_lanes WHERE due_at IS NOT NULL'
const BY_LANE = `WITH RECURSIVE
  lane (origin) AS (
    SELECT min(origin) FROM ${LANES}
    UNION ALL
    SELECT (SELECT min(origin) FROM ${LANES} AND origin > lane.origin) FROM lane WHERE lane.origin IS NOT NULL),
  candidate (job_seq) AS MATERIALIZED (
    SELECT w.job_seq FROM lane CROSS JOIN webhooks w ON w.job_seq IN (
      SELECT job_seq FROM ${LANES} AND origin = lane.origin AND due_at <= +?1 ORDER BY due_at, job_seq LIMIT 32)
    WHERE lane.origin NOT IN (SELECT value FROM json_each(?3)) ORDER BY w.due_at, w.job_seq LIMIT ?2)
  ${owedFrom('webhooks w')} WHERE w.job_seq IN candidate ORDER BY w.due_at, w.job_seq`

// What has happened meanwhile has waited, so it goes first.
const NEXT = `UPDATE webhooks SET sequence = sequence + 1, tries = 0, last_problem = ?3,
    due_at = CASE WHEN EXISTS (SELECT 1 FROM transitions WHERE job_seq = ?1 AND sequence = ?2 + 1) THEN 0 END
  WHERE job_seq = ?1 AND sequence = ?2`

/** The outbox of one database. Outcomes are quick writes: one lost to a power cut is delivered again, with the same id. */
export const createOutbox = ({ db, ledger }: { db: Database; ledger: Ledger }): Outbox => {
  const byTime = db.query<OwedDelivery, [number, number]>(BY_TIME)
  const byLane = db.query<OwedDelivery, [number, number, string]>(BY_LANE)
  const first = db.query<{ id: number; due_at: number }, [number]>(
    'SELECT job_seq AS id, due_at FROM webhooks INDEXED BY webhooks_due WHERE due_at IS NOT NULL ORDER BY due_at, job_seq LIMIT ?1',
  )
  const next = db.query<unknown, [number, number, string | null]>(NEXT)
  const retry = db.query(`UPDATE webhooks SET tries = tries + 1, due_at = ?3, last_problem = ?4
    WHERE job_seq = ?1 AND sequence = ?2`)
  const owed = db.query<{ n: number }, []>(`SELECT count(*) AS n FROM webhooks INDEXED BY webhooks_due
    WHERE due_at IS NOT NULL`)
  const write = async (run: () => unknown) => void (await ledger.write('quick', run))
  return {
    due(now, limit, busy, fullOrigins) {
      const most = limit + busy.size
      const found =
        fullOrigins.size === 0 ? byTime.all(now, most) : byLane.all(now, most, JSON.stringify([...fullOrigins]))
      return found.filter(({ deliveryId }) => !busy.has(deliveryId)).slice(0, limit)
    },
    nextDueAt: (busy) => first.all(busy.size + 1).find(({ id }) => !busy.has(id))?.due_at ?? null,
    accepted: ({ jobSeq, sequence }) => write(() => next.run(jobSeq, sequence, null)),
    retryAt: ({ jobSeq, sequence }, at, problem) => write(() => retry.run(jobSeq, sequence, at, problem)),
    giveUp: ({ jobSeq, sequence }, problem) => write(() => next.run(jobSeq, sequence, problem)),
    owed: () => owed.get()?.n ?? 0,
  }
}
