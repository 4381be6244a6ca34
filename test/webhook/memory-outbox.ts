/** An outbox in memory with the real one's rules: per job only the first delivery that is owed is due. */
import type { Outbox, Owed } from '../../src/webhook/outbox.ts'

/** A delivery as the tests write it down. */
export interface TestDelivery extends Owed {
  readonly row: number
  readonly sequence: number
  readonly tries: number
  readonly dueAt: number
  readonly state: 'owed' | 'accepted' | 'given_up'
  readonly problem: string | null
}

export interface MemoryOutbox extends Outbox<TestDelivery> {
  /** The row that is owed from now on. */
  owe(jobId: string, url: string, dueAt?: number): number
  get(row: number): TestDelivery
  all(): TestDelivery[]
  /** Looks, and how many rows they gave. */
  readonly asked: { calls: number; rows: number }
  /** The next `count` writes throw, as a full disk would. */
  failWrites(count: number): void
}

/** A look visits at most `lanesMax` receivers. */
export const createMemoryOutbox = ({ lanesMax = Number.POSITIVE_INFINITY } = {}): MemoryOutbox => {
  const rows = new Map<number, TestDelivery>()
  // Of each job the rows in order; those before `heads` are over.
  const jobs = new Map<string, number[]>()
  const heads = new Map<string, number>()
  const origins = new Map<string, Set<string>>()
  const asked = { calls: 0, rows: 0 }
  let failing = 0
  let from = ''

  const get = (row: number) => rows.get(row)!
  const headOf = (jobId: string): TestDelivery | null => {
    const row = jobs.get(jobId)?.[heads.get(jobId) ?? 0]
    return row === undefined ? null : get(row)
  }
  const owedBy = (origin: string): TestDelivery[] =>
    [...(origins.get(origin) ?? [])]
      .map(headOf)
      .filter((row) => row !== null)
      .sort((a, b) => a.dueAt - b.dueAt || a.row - b.row)

  const change = async (id: number, changes: Partial<TestDelivery>) => {
    if (failing > 0) {
      failing--
      throw new Error('disk full')
    }
    const row = rows.get(id)
    if (row?.state !== 'owed') throw new Error(`row ${id} is not owed`)
    rows.set(id, { ...row, tries: row.tries + 1, ...changes })
  }
  const over = async (row: number, changes: Partial<TestDelivery>): Promise<TestDelivery | null> => {
    await change(row, changes)
    const { jobId, url } = get(row)
    heads.set(jobId, (heads.get(jobId) ?? 0) + 1)
    const next = headOf(jobId)
    if (next === null) origins.get(new URL(url).origin)?.delete(jobId)
    return next
  }

  return {
    asked,
    get,
    all: () => [...rows.values()],
    failWrites(count) {
      failing = count
    },
    owe(jobId, url, dueAt = 0) {
      const row = rows.size + 1
      const before = jobs.get(jobId) ?? []
      jobs.set(jobId, [...before, row])
      const { origin } = new URL(url)
      origins.set(origin, (origins.get(origin) ?? new Set()).add(jobId))
      const sequence = before.length + 1
      const deliveryId = [...jobs.keys()].indexOf(jobId) + 1
      rows.set(row, { row, deliveryId, jobId, url, sequence, tries: 0, dueAt, state: 'owed', problem: null })
      return row
    },
    look({ now, room, busy }) {
      const waiting = [...origins.keys()].filter((origin) => origin > from).sort()
      const visited = waiting.slice(0, lanesMax)
      const open = visited.filter((origin) => room(origin) > 0).map((origin) => ({ origin, owed: owedBy(origin) }))
      const lanes = open.map(({ origin, owed }) => {
        const due = owed.filter(({ dueAt, deliveryId }) => dueAt <= now && !busy.has(deliveryId))
        return { origin, due: due.slice(0, room(origin)), hasMore: due.length > room(origin) }
      })
      const later = open.flatMap(({ owed }) => owed.map(({ dueAt }) => dueAt)).filter((at) => at > now)
      const isPartial = visited.length < waiting.length
      from = isPartial ? (visited.at(-1) ?? '') : ''
      asked.calls++
      for (const { due } of lanes) asked.rows += due.length
      return { lanes, nextDueAt: later.length === 0 ? null : Math.min(...later), isPartial }
    },
    accepted: ({ row }) => over(row, { state: 'accepted' }),
    async retryAt({ row }, dueAt, problem) {
      await change(row, { dueAt, problem })
    },
    giveUp: ({ row }, problem) => over(row, { state: 'given_up', problem }),
  }
}
