/** What is said of a target that is away: which, since when and why; it must never claim more than was heard. */
import { humanSpan } from '../duration.ts'

/** Since when a target is away, and what was heard of it last. */
export interface Absence {
  /** Milliseconds of the clock. */
  readonly since: number
  /** Why, in the words of whoever noticed. */
  readonly message: string
  /** Something answers in its place: it is not asleep. */
  readonly isAnswered: boolean
}

/** Why, and what else it may be. */
export const absenceReason = ({ message, isAnswered }: Absence): string => {
  if (isAnswered) return message
  return message === '' ? 'it may be asleep' : `${message}; it may be asleep`
}

/** `http://gpu-box:11434 has been away since 2026-11-27T09:40:00Z (12m): connection refused; it may be asleep`. `shownAt` is when it began, as people's clocks show it. */
export const absenceWords = (origin: string, absence: Absence, now: number, shownAt: number): string => {
  const stamp = `${new Date(shownAt).toISOString().slice(0, 19)}Z`
  return `${origin} has been away since ${stamp} (${humanSpan(now - absence.since)}): ${absenceReason(absence)}`
}
