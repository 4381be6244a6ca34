/** Go's words for what is wrong with a piece of JSON, as Ollama's clients have always read them. */

const named: Record<number, string> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  160: '\\u00a0',
  173: '\\u00ad',
}

/** One byte as Go quotes it. */
const quoted = (c: number): string => {
  if (c === 0x27) return `'\\''`
  if (c === 0x22) return `'"'`
  if (c === 0x5c) return `'\\\\'`
  if (named[c] !== undefined) return `'${named[c]}'`
  if (c < 0x20 || c === 0x7f) return `'\\x${c.toString(16).padStart(2, '0')}'`
  if (c >= 0x80 && c < 0xa0) return `'\\u00${c.toString(16)}'`
  return `'${String.fromCharCode(c)}'`
}

/** Ends a scan; it never leaves the scanner. */
export class Malformed extends Error {}

/** What Go says of this byte in this place; undefined is the end of the body. */
export const unexpected = (c: number | undefined, context: string): Malformed =>
  c === undefined ? new Malformed('unexpected EOF') : new Malformed(`invalid character ${quoted(c)} ${context}`)
