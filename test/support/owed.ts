/** Looks into an outbox as the courier does, all receivers at once; it must never change anything. */
import type { Found, Outbox, OwedDelivery } from '../../src/store/outbox.ts'

const lookAll = (outbox: Outbox, now: number, limit: number): Found[] => {
  const found: Found[] = []
  do found.push(outbox.look({ now, room: () => limit, busy: new Set<number>() }))
  while (found.at(-1)?.isPartial)
  return found
}

/** What is due at `now`, at most `limit` of each receiver. */
export const dueNow = (outbox: Outbox, now: number, limit = 10): OwedDelivery[] =>
  lookAll(outbox, now, limit).flatMap(({ lanes }) => lanes.flatMap(({ due }) => due))

/** When the first is due of what is not due at `now`. */
export const nextDueAt = (outbox: Outbox, now = 0): number | null => lookAll(outbox, now, 1).at(-1)?.nextDueAt ?? null
