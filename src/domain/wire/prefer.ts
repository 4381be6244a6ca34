/** The `Prefer: wait=N` request header (RFC 7240). */

// A day; more than that is a mistake in the number, not a preference.
const WAIT_MAX_S = 86_400

/** How long the client prefers to wait, in milliseconds; null when it says nothing that can be understood. */
export const preferredWaitMs = (header: string | null): number | null => {
  if (header === null) return null
  const match = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?=$|[,;])/i.exec(header)
  return match?.[1] === undefined ? null : Math.min(Number(match[1]), WAIT_MAX_S) * 1_000
}
