/** An outbox in memory with the real one's rules: per job only the first delivery that is owed is due. */
import type { Outbox, Owed } from '../../src/webhook/courier.ts'

/** A delivery as the tests write it down. */
export interface TestDelivery extends Owed {
  readonly sequence: number
  readonly tries: number
  readonly dueAt: number
  readonly state: 'owed' | 'accepted' | 'given_up'
  readonly problem: string | null
}

export interface MemoryOutbox extends Outbox<TestDelivery> {
  owe(jobId: string, url: string, dueAt?: number): number
  get(deliveryId: number): TestDelivery
  all(): TestDelivery[]
  /** Calls of `due`, and how many rows they gave. */
  readonly asked: { calls: number; rows: number }
  /** The next `count` writes throw, as a full disk would. */
  failWrites(count: number): void
}

/** `originsKept` false ignores `fullOrigins`, as an outbox may. */
export const createMemoryOutbox = ({ originsKept = true } = {}): MemoryOutbox => {
  const rows = new Map<number, TestDelivery>()
  const asked = { calls: 0, rows: 0 }
  let failing = 0
  const heads = () => {
    const seen = new Set<string>()
    const owed = [...rows.values()].filter(({ state }) => state === 'owed')
    const firsts = owed.filter(({ jobId }) => !seen.has(jobId) && seen.add(jobId))
    return firsts.sort((a, b) => a.dueAt - b.dueAt || a.deliveryId - b.deliveryId)
  }
  const change = async (deliveryId: number, changes: Partial<TestDelivery>) => {
    if (failing > 0) {
      failing--
      throw new Error('disk full')
    }
    const row = rows.get(deliveryId)
    if (row?.state !== 'owed') throw new Error(`delivery ${deliveryId} is not owed`)
    rows.set(deliveryId, { ...row, tries: row.tries + 1, ...changes })
  }
  const get = (deliveryId: number) => rows.get(deliveryId)!
  return {
    asked,
    get,
    all: () => [...rows.values()],
    failWrites(count) {
      failing = count
    },
    owe(jobId, url, dueAt = 0) {
      const deliveryId = rows.size + 1
      const sequence = [...rows.values()].filter((row) => row.jobId === jobId).length + 1
      rows.set(deliveryId, { deliveryId, jobId, url, sequence, tries: 0, dueAt, state: 'owed', problem: null })
      return deliveryId
    },
    due(now, limit, busy, fullOrigins) {
      const isFree = ({ deliveryId, url }: TestDelivery) =>
        !busy.has(deliveryId) && !(originsKept && fullOrigins.has(new URL(url).origin))
      const page = heads()
        .filter((row) => row.dueAt <= now && isFree(row))
        .slice(0, limit)
      asked.calls++
      asked.rows += page.length
      return page
    },
    nextDueAt: (busy) => heads().find(({ deliveryId }) => !busy.has(deliveryId))?.dueAt ?? null,
    accepted: ({ deliveryId }) => change(deliveryId, { state: 'accepted' }),
    retryAt: ({ deliveryId }, dueAt, problem) => change(deliveryId, { dueAt, problem }),
    giveUp: ({ deliveryId }, problem) => change(deliveryId, { state: 'given_up', problem }),
  }
}
