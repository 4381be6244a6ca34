/** Reads the top level of a JSON body the way Ollama's Go decoder does, without copying it; it must never change a byte. */

export type JsonType = 'string' | 'number' | 'bool' | 'null' | 'object' | 'array'

/** One member of the top-level object: its decoded key and the byte range of its value. */
export interface Field {
  readonly key: string
  readonly type: JsonType
  /** Where the key's opening quote is. */
  readonly keyStart: number
  readonly start: number
  readonly end: number
}

/** What the first JSON value of a body is. Bytes after it are ignored, as Ollama ignores them. */
export type Scan =
  | { readonly kind: 'object'; readonly fields: readonly Field[]; readonly end: number }
  | { readonly kind: 'other'; readonly type: Exclude<JsonType, 'object'> }
  | { readonly kind: 'empty' }
  | { readonly kind: 'malformed'; readonly message: string }

class Malformed extends Error {}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const COMMA = 0x2c
const COLON = 0x3a
// Go's own bound; deeper input is an error there too.
const DEPTH_MAX = 10_000
// Longer strings (images, documents) are jumped over with indexOf; Ollama checks their inside.
const STRING_CHECKED_MAX = 4_096

const isSpace = (c: number | undefined) => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09
const isDigit = (c: number | undefined) => c !== undefined && c >= 0x30 && c <= 0x39
const isHex = (c: number | undefined) => isDigit(c) || (c !== undefined && (c | 0x20) >= 0x61 && (c | 0x20) <= 0x66)

const quoted = (c: number): string => {
  if (c === 0x27) return `'\\''`
  if (c === QUOTE) return `'"'`
  if (c === BACKSLASH) return `'\\\\'`
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
  if (named[c] !== undefined) return `'${named[c]}'`
  if (c < 0x20 || c === 0x7f) return `'\\x${c.toString(16).padStart(2, '0')}'`
  if (c >= 0x80 && c < 0xa0) return `'\\u00${c.toString(16)}'`
  return `'${String.fromCharCode(c)}'`
}

const unexpected = (c: number | undefined, context: string): Malformed =>
  c === undefined ? new Malformed('unexpected EOF') : new Malformed(`invalid character ${quoted(c)} ${context}`)

const skipSpace = (b: Uint8Array, at: number): number => {
  let i = at
  while (isSpace(b[i])) i++
  return i
}

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

/** From the opening quote to just after the closing one. */
const skipString = (b: Uint8Array, at: number): number => {
  let i = at + 1
  const checkedEnd = i + STRING_CHECKED_MAX
  while (i < checkedEnd) {
    const c = b[i]
    if (c === QUOTE) return i + 1
    if (c === BACKSLASH) i = skipEscape(b, i + 1)
    else if (c === undefined || c < 0x20) throw unexpected(c, 'in string literal')
    else i++
  }
  for (;;) {
    const close = b.indexOf(QUOTE, i)
    if (close < 0) throw unexpected(undefined, '')
    let slashes = 0
    while (b[close - 1 - slashes] === BACKSLASH && close - 1 - slashes >= i) slashes++
    i = close + 1
    if (slashes % 2 === 0) return i
  }
}

const skipDigits = (b: Uint8Array, at: number, context: string): number => {
  if (!isDigit(b[at])) throw unexpected(b[at], context)
  let i = at
  while (isDigit(b[i])) i++
  return i
}

const skipNumber = (b: Uint8Array, at: number): number => {
  let i = b[at] === 0x2d ? at + 1 : at
  i = b[i] === 0x30 ? i + 1 : skipDigits(b, i, 'in numeric literal')
  if (b[i] === 0x2e) i = skipDigits(b, i + 1, 'after decimal point in numeric literal')
  if (b[i] === 0x65 || b[i] === 0x45) {
    i++
    if (b[i] === 0x2b || b[i] === 0x2d) i++
    i = skipDigits(b, i, 'in exponent of numeric literal')
  }
  return i
}

const skipLiteral = (b: Uint8Array, at: number, word: string): number => {
  for (let k = 1; k < word.length; k++)
    if (b[at + k] !== word.charCodeAt(k)) throw unexpected(b[at + k], `in literal ${word} (expecting '${word[k]}')`)
  return at + word.length
}

const typeAt = (b: Uint8Array, at: number): JsonType => {
  const c = b[at]
  if (c === QUOTE) return 'string'
  if (c === OPEN_OBJECT) return 'object'
  if (c === OPEN_ARRAY) return 'array'
  if (c === 0x74 || c === 0x66) return 'bool'
  if (c === 0x6e) return 'null'
  if (c === 0x2d || isDigit(c)) return 'number'
  throw unexpected(c, 'looking for beginning of value')
}

const skipScalar = (b: Uint8Array, at: number, type: JsonType): number => {
  if (type === 'string') return skipString(b, at)
  if (type === 'number') return skipNumber(b, at)
  return skipLiteral(b, at, b[at] === 0x74 ? 'true' : b[at] === 0x66 ? 'false' : 'null')
}

const skipKey = (b: Uint8Array, at: number): number => {
  if (b[at] !== QUOTE) throw unexpected(b[at], 'looking for beginning of object key string')
  const i = skipSpace(b, skipString(b, at))
  if (b[i] !== COLON) throw unexpected(b[i], 'after object key')
  return skipSpace(b, i + 1)
}

/** After a value: the offset of the next value, or of the position after the container that ended. */
const afterValue = (b: Uint8Array, at: number, open: boolean[]): { at: number; value: boolean } => {
  const i = skipSpace(b, at)
  const inObject = open[open.length - 1] === true
  if (b[i] === COMMA) {
    const next = skipSpace(b, i + 1)
    return { at: inObject ? skipKey(b, next) : next, value: true }
  }
  if (b[i] !== (inObject ? CLOSE_OBJECT : CLOSE_ARRAY))
    throw unexpected(b[i], inObject ? 'after object key:value pair' : 'after array element')
  open.pop()
  return { at: i + 1, value: false }
}

/** Skips one whole value, `outer` levels deep already, without recursion: 10,000 levels cost no stack. */
const skipValue = (b: Uint8Array, at: number, outer: number): number => {
  const open: boolean[] = []
  let i = at
  for (;;) {
    const type = typeAt(b, i)
    if (type === 'object' || type === 'array') {
      if (open.length + outer >= DEPTH_MAX) throw unexpected(b[i], 'exceeded max depth')
      i = skipSpace(b, i + 1)
      if (b[i] !== (type === 'object' ? CLOSE_OBJECT : CLOSE_ARRAY)) {
        open.push(type === 'object')
        if (type === 'object') i = skipKey(b, i)
        continue
      }
      i++
    } else i = skipScalar(b, i, type)
    let next = { at: i, value: false }
    while (open.length > 0 && !next.value) next = afterValue(b, next.at, open)
    i = next.at
    if (!next.value) return i
  }
}

const decodeKey = (b: Uint8Array, start: number, end: number): string => {
  try {
    return String(JSON.parse(new TextDecoder().decode(b.subarray(start, end))))
  } catch (error) {
    // Only a key beyond the checked length can get here.
    if (error instanceof SyntaxError) throw new Malformed('invalid character in string literal')
    throw error
  }
}

const scanFields = (b: Uint8Array, at: number): Scan => {
  const fields: Field[] = []
  let i = skipSpace(b, at + 1)
  if (b[i] === CLOSE_OBJECT) return { kind: 'object', fields, end: i }
  for (;;) {
    const keyStart = i
    const start = skipKey(b, keyStart)
    const keyEnd = skipString(b, keyStart)
    const type = typeAt(b, start)
    const end = skipValue(b, start, 1)
    fields.push({ key: decodeKey(b, keyStart, keyEnd), type, keyStart, start, end })
    i = skipSpace(b, end)
    if (b[i] === CLOSE_OBJECT) return { kind: 'object', fields, end: i }
    if (b[i] !== COMMA) throw unexpected(b[i], 'after object key:value pair')
    i = skipSpace(b, i + 1)
  }
}

/** Scans the first JSON value of `body`; `end` is the offset of the object's closing brace. The messages are Go's. */
export const scanObject = (body: Uint8Array): Scan => {
  const at = skipSpace(body, 0)
  if (at >= body.length) return { kind: 'empty' }
  try {
    const type = typeAt(body, at)
    if (type === 'object') return scanFields(body, at)
    skipValue(body, at, 0)
    return { kind: 'other', type }
  } catch (error) {
    if (error instanceof Malformed) return { kind: 'malformed', message: error.message }
    throw error
  }
}

/** The field Go would decode into `name`: keys match in any case and the last duplicate wins. */
export const field = (scan: Scan, name: string): Field | undefined => {
  if (scan.kind !== 'object') return undefined
  return scan.fields.findLast((f) => f.key === name || f.key.toLowerCase() === name)
}

/** Decodes one field's value; undefined when a long string in it turns out not to be JSON, which Ollama then says itself. */
export const decodeField = (body: Uint8Array, { start, end }: Field): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(body.subarray(start, end)))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
