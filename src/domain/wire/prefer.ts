/** How long a client waits, in its own words: `Prefer: wait=N` (RFC 7240) for all of it, `X-Foreman-Patience` for a target that is away. */
import { parseDurationMs } from '../duration.ts'

// A day; more than that is a mistake in the number, not a preference.
const WAIT_MAX_S = 86_400

/** How long the client prefers to wait, in milliseconds; null when it says nothing that can be understood. */
export const preferredWaitMs = (header: string | null): number | null => {
  if (header === null) return null
  const match = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?=$|[,;])/i.exec(header)
  return match?.[1] === undefined ? null : Math.min(Number(match[1]), WAIT_MAX_S) * 1_000
}

/** What is left of the patience of a foreman in front of this one; undefined when nothing is said that can be understood. */
export const patienceMs = (header: string | null): number | undefined => {
  const parsed = header === null ? null : parseDurationMs(header.trim())
  return parsed?.kind === 'ok' && parsed.value >= 0 ? parsed.value : undefined
}
