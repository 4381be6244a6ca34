/** The pieces of JSON as Go's scanner passes them, byte by byte and without building anything; it must never read further than it was told. */
import { unexpected } from './go-words.ts'

export type JsonType = 'string' | 'number' | 'bool' | 'null' | 'object' | 'array'

export const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
export const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
export const CLOSE_ARRAY = 0x5d
export const COMMA = 0x2c
export const COLON = 0x3a
// Longer strings (images, documents) are jumped over; Ollama checks their inside.
const STRING_CHECKED_MAX = 4_096
// Longer numbers are nobody's; they are passed over unchecked.
const NUMBER_CHECKED_MAX = 4_096

export const isSpace = (c: number | undefined): boolean => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09
const isDigit = (c: number | undefined) => c !== undefined && c >= 0x30 && c <= 0x39
const isHex = (c: number | undefined) => isDigit(c) || (c !== undefined && (c | 0x20) >= 0x61 && (c | 0x20) <= 0x66)

const skipEscape = (b: Uint8Array, at: number): number => {
  const c = b[at]
  if (c === 0x75) {
    for (let k = 1; k <= 4; k++)
      if (!isHex(b[at + k])) throw unexpected(b[at + k], 'in \\u hexadecimal character escape')
    return at + 5
  }
  if (c === undefined || !'"\\/bfnrt'.includes(String.fromCharCode(c))) throw unexpected(c, 'in string escape code')
  return at + 1
}

/** From the opening quote to just after the closing one, or the complement of where a long string goes on. */
export const skipString = (b: Uint8Array, at: number): number => {
  let i = at + 1
  const checkedEnd = i + STRING_CHECKED_MAX
  while (i < checkedEnd) {
    const c = b[i]
    if (c === QUOTE) return i + 1
    if (c === BACKSLASH) i = skipEscape(b, i + 1)
    else if (c === undefined || c < 0x20) throw unexpected(c, 'in string literal')
    else i++
  }
  return ~i
}

/** What is known of the quotes and backslashes ahead, so that none is looked for twice. */
export interface Ahead {
  quoteAt: number
  slashAt: number
}

const indexFrom = (b: Uint8Array, byte: number, at: number): number => {
  const found = b.indexOf(byte, at)
  return found < 0 ? b.length : found
}

/** The rest of a long string, in leaps, and byte by byte only where there are escapes; the complement of where it is when `until` comes first. */
export const skipLongString = (b: Uint8Array, at: number, until: number, ahead: Ahead): number => {
  let i = at
  while (i < until) {
    if (ahead.quoteAt < i) ahead.quoteAt = indexFrom(b, QUOTE, i)
    if (ahead.slashAt < i) ahead.slashAt = indexFrom(b, BACKSLASH, i)
    if (ahead.quoteAt >= b.length) throw unexpected(undefined, '')
    if (ahead.slashAt > ahead.quoteAt) return ahead.quoteAt + 1
    for (i = ahead.slashAt; i < until; ) {
      const c = b[i]
      if (c === QUOTE) return i + 1
      if (c === undefined) throw unexpected(undefined, '')
      i += c === BACKSLASH ? 2 : 1
    }
  }
  return ~i
}

const skipDigits = (b: Uint8Array, at: number, context: string): number => {
  if (!isDigit(b[at])) throw unexpected(b[at], context)
  let i = at
  for (const end = at + NUMBER_CHECKED_MAX; i < end && isDigit(b[i]); ) i++
  return i
}

/** Past a number, or the complement of where a very long one goes on. */
const skipNumber = (b: Uint8Array, at: number): number => {
  let i = b[at] === 0x2d ? at + 1 : at
  i = b[i] === 0x30 ? i + 1 : skipDigits(b, i, 'in numeric literal')
  if (i - at >= NUMBER_CHECKED_MAX) return ~i
  if (b[i] === 0x2e) i = skipDigits(b, i + 1, 'after decimal point in numeric literal')
  if (i - at >= NUMBER_CHECKED_MAX) return ~i
  if (b[i] === 0x65 || b[i] === 0x45) {
    i++
    if (b[i] === 0x2b || b[i] === 0x2d) i++
    i = skipDigits(b, i, 'in exponent of numeric literal')
  }
  return i - at >= NUMBER_CHECKED_MAX ? ~i : i
}

/** The rest of a very long number; the complement of where it is when `until` comes first. */
export const skipLongNumber = (b: Uint8Array, at: number, until: number): number => {
  let i = at
  while (i < until) {
    const c = b[i]
    if (!isDigit(c) && c !== 0x2e && c !== 0x2b && c !== 0x2d && c !== 0x45 && c !== 0x65) return i
    i++
  }
  return ~i
}

const skipLiteral = (b: Uint8Array, at: number, word: string): number => {
  for (let k = 1; k < word.length; k++)
    if (b[at + k] !== word.charCodeAt(k)) throw unexpected(b[at + k], `in literal ${word} (expecting '${word[k]}')`)
  return at + word.length
}

/** What begins here. */
export const typeAt = (b: Uint8Array, at: number): JsonType => {
  const c = b[at]
  if (c === QUOTE) return 'string'
  if (c === OPEN_OBJECT) return 'object'
  if (c === OPEN_ARRAY) return 'array'
  if (c === 0x74 || c === 0x66) return 'bool'
  if (c === 0x6e) return 'null'
  if (c === 0x2d || isDigit(c)) return 'number'
  throw unexpected(c, 'looking for beginning of value')
}

/** Past a scalar, or the complement of where a long one goes on. */
export const skipScalar = (b: Uint8Array, at: number, type: JsonType): number => {
  if (type === 'string') return skipString(b, at)
  if (type === 'number') return skipNumber(b, at)
  return skipLiteral(b, at, b[at] === 0x74 ? 'true' : b[at] === 0x66 ? 'false' : 'null')
}
