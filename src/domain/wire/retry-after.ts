/** How long an answer asks to be left alone; pure, and it must never compare two machines' clocks. */

/**
 * The Retry-After of an answer in milliseconds: seconds, or a date, which is measured from the answer's own Date (RFC 9110, 10.2.3 and
 * 6.6.1), so that neither clock has to be right. Null when there is none or it is neither.
 */
export const retryAfterMs = (headers: readonly (readonly [string, string])[]): number | null => {
  const headerOf = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1].trim() ?? ''
  const text = headerOf('retry-after')
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000
  const leftMs = dateMs(text) - dateMs(headerOf('date'))
  return Number.isNaN(leftMs) ? null : Math.max(0, leftMs)
}

// Only a date says GMT; Date.parse alone would take "-5" for a year.
const dateMs = (text: string): number => (/\bGMT$/i.test(text) ? Date.parse(text) : Number.NaN)
