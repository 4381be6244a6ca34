/** Webhook deliveries that are owed: which are due, and what became of each; the order per job is the schema's. */
import type { Database } from 'bun:sqlite'
import type { JobState } from '../domain/job.ts'
import type { Ledger } from './ledger.ts'

/** One delivery that is due, with the transition it tells of. */
export interface OwedDelivery {
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

export interface Outbox {
  /** The deliveries due at `now`, the longest due first; those in `busy` and those to `fullOrigins` are left out. */
  due(now: number, limit: number, busy: ReadonlySet<number>, fullOrigins: ReadonlySet<string>): OwedDelivery[]
  /** Wall milliseconds of the first due delivery that is not busy; null = nothing is owed. */
  nextDueAt(busy: ReadonlySet<number>): number | null
  accepted(deliveryId: number): Promise<void>
  retryAt(deliveryId: number, at: number, problem: string): Promise<void>
  giveUp(deliveryId: number, problem: string): Promise<void>
  /** Owed deliveries, due or waiting for the one before. */
  owed(): number
}

const owedFrom = (
  deliveries: string,
) => `SELECT d.id AS deliveryId, j.id AS jobId, j.seq AS jobSeq, j.webhook_url AS url,
    j.model AS model, t.sequence AS sequence, t.state AS state, t.previous_state AS previousState, t.attempt AS attempt,
    t.at AS at, t.error_code AS errorCode, t.error_message AS errorMessage, d.tries AS tries
  FROM ${deliveries}
  JOIN transitions t ON t.job_seq = d.job_seq AND t.sequence = d.sequence
  JOIN jobs j ON j.seq = d.job_seq`

const BY_TIME = `${owedFrom('deliveries d INDEXED BY deliveries_due')}
  WHERE d.due_at IS NOT NULL AND d.due_at <= +?1 ORDER BY d.due_at, d.id LIMIT ?2`

// Hops from origin to origin and takes the first few of each: a backlog of 10,000 for one receiver costs one hop, not 10,000 rows.
const LANES = 'deliveries INDEXED BY deliveries_lanes WHERE due_at IS NOT NULL'
const BY_LANE = `WITH RECURSIVE
  lane (origin) AS (
    SELECT min(origin) FROM ${LANES}
    UNION ALL
    SELECT (SELECT min(origin) FROM ${LANES} AND origin > lane.origin) FROM lane WHERE lane.origin IS NOT NULL),
  candidate (id) AS MATERIALIZED (
    SELECT d.id FROM lane CROSS JOIN deliveries d ON d.id IN (
      SELECT id FROM ${LANES} AND origin = lane.origin AND due_at <= +?1 ORDER BY due_at, id LIMIT 32)
    WHERE lane.origin NOT IN (SELECT value FROM json_each(?3)) ORDER BY d.due_at, d.id LIMIT ?2)
  ${owedFrom('deliveries d')} WHERE d.id IN candidate ORDER BY d.due_at, d.id`

/** The outbox of one database. Outcomes are quick writes: one lost to a power cut is delivered again, with the same id. */
export const createOutbox = ({ db, ledger }: { db: Database; ledger: Ledger }): Outbox => {
  const byTime = db.query<OwedDelivery, [number, number]>(BY_TIME)
  const byLane = db.query<OwedDelivery, [number, number, string]>(BY_LANE)
  const first = db.query<{ id: number; due_at: number }, [number]>(
    'SELECT id, due_at FROM deliveries INDEXED BY deliveries_due WHERE due_at IS NOT NULL ORDER BY due_at, id LIMIT ?1',
  )
  const accept = db.query(`UPDATE deliveries SET state = 'accepted', tries = tries + 1, due_at = NULL
    WHERE id = ?1 AND state = 'owed'`)
  const retry = db.query(`UPDATE deliveries SET tries = tries + 1, due_at = ?2, last_problem = ?3
    WHERE id = ?1 AND state = 'owed'`)
  const drop = db.query(`UPDATE deliveries SET state = 'given_up', tries = tries + 1, due_at = NULL, last_problem = ?2
    WHERE id = ?1 AND state = 'owed'`)
  const owed = db.query<{ n: number }, []>(`SELECT count(*) AS n FROM deliveries INDEXED BY deliveries_owed
    WHERE state = 'owed'`)
  return {
    due(now, limit, busy, fullOrigins) {
      const most = limit + busy.size
      const found =
        fullOrigins.size === 0 ? byTime.all(now, most) : byLane.all(now, most, JSON.stringify([...fullOrigins]))
      return found.filter(({ deliveryId }) => !busy.has(deliveryId)).slice(0, limit)
    },
    nextDueAt: (busy) => first.all(busy.size + 1).find(({ id }) => !busy.has(id))?.due_at ?? null,
    accepted: async (deliveryId) => void (await ledger.write('quick', () => accept.run(deliveryId))),
    retryAt: async (deliveryId, at, problem) =>
      void (await ledger.write('quick', () => retry.run(deliveryId, at, problem))),
    giveUp: async (deliveryId, problem) => void (await ledger.write('quick', () => drop.run(deliveryId, problem))),
    owed: () => owed.get()?.n ?? 0,
  }
}
