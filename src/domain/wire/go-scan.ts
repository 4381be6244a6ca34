/** Walks over the first JSON value of a body, step by step, and keeps the members of its top level that are asked for; it must never recurse. */
import {
  type Ahead,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  isSpace,
  type JsonType,
  QUOTE,
  skipLongNumber,
  skipLongString,
  skipScalar,
  skipString,
  typeAt,
} from './go-syntax.ts'
import { Malformed, unexpected } from './go-words.ts'
import { foldKey } from './keys.ts'
import type { Field, Scan, Wanted } from './scan.ts'

// Go's own bound; deeper input is an error there too.
const DEPTH_MAX = 10_000
// A step of the densest JSON takes 2 ms.
const STEP_BYTES = 131_072
// Long enough for every name that is looked for with each letter written as \\u00xx.
const KEY_BYTES_MAX = 256
// Whoever says a member a thousand times has the last ones looked at.
const FIELDS_MAX = 1_000

type Expected = 'root' | 'value' | 'first-element' | 'first-key' | 'key' | 'colon' | 'after'

const decoder = new TextDecoder()

/** A key as Go compares it, or null when it is too long to be one that anybody looks for. */
const foldedKey = (b: Uint8Array, start: number, end: number): string | null => {
  if (end - start > KEY_BYTES_MAX) return null
  let key = ''
  for (let i = start + 1; i < end - 1; i++) {
    const c = b[i] ?? 0
    if (c === 0x5c || c >= 0x80) return foldKey(decodedKey(b, start, end))
    key += String.fromCharCode(c >= 0x41 && c <= 0x5a ? c | 0x20 : c)
  }
  return key
}

const decodedKey = (b: Uint8Array, start: number, end: number): string =>
  String(JSON.parse(decoder.decode(b.subarray(start, end))))

/** One walk over one body. */
export class GoScan {
  readonly #body: Uint8Array
  readonly #wanted: Wanted
  readonly #open: boolean[] = []
  readonly #ahead: Ahead = { quoteAt: -1, slashAt: -1 }
  #at = 0
  #expected: Expected = 'root'
  /** The long scalar it is in, and what comes after it. */
  #long: { readonly type: JsonType; readonly then: Expected } | null = null
  #rootType: JsonType = 'null'
  // The member it is in, of the root alone.
  #type: JsonType = 'null'
  #keyStart = 0
  #keyEnd = 0
  #start = 0
  #end = 0
  #commaAt: number | null = null
  #nextCommaAt: number | null = null
  #fields: Field[] = []
  #isEmpty = true
  #result: Scan | null = null

  constructor(body: Uint8Array, wanted: Wanted) {
    this.#body = body
    this.#wanted = wanted
  }

  /** Goes on for a while; the result once there is one. */
  step(): Scan | null {
    try {
      this.#walk(this.#at + STEP_BYTES)
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      this.#result = { kind: 'malformed', message: error.message }
    }
    return this.#result
  }

  #walk(until: number): void {
    const b = this.#body
    while (this.#at < until && this.#result === null) {
      if (this.#long !== null) this.#goOn(until)
      else {
        let i = this.#at
        while (i < until && isSpace(b[i])) i++
        this.#at = i
        if (i < until) this.#token(b[i])
      }
    }
  }

  #goOn(until: number): void {
    const long = this.#long
    if (long === null) return
    const isText = long.type === 'string'
    const end = isText
      ? skipLongString(this.#body, this.#at, until, this.#ahead)
      : skipLongNumber(this.#body, this.#at, until)
    this.#at = end < 0 ? ~end : end
    if (end < 0) return
    this.#long = null
    this.#passed(long.then)
  }

  #token(c: number | undefined): void {
    switch (this.#expected) {
      case 'after':
        this.#after(c)
        break
      case 'value':
        this.#value()
        break
      case 'key':
        this.#key(c)
        break
      case 'colon':
        if (c !== COLON) throw unexpected(c, 'after object key')
        this.#at++
        this.#expected = 'value'
        break
      case 'first-element':
        if (c === CLOSE_ARRAY) this.#close()
        else this.#value()
        break
      case 'first-key':
        if (c === CLOSE_OBJECT) this.#close()
        else this.#key(c)
        break
      case 'root':
        if (c === undefined) this.#result = { kind: 'empty' }
        else this.#value()
        break
      default:
        this.#expected satisfies never
    }
  }

  #value(): void {
    const type = typeAt(this.#body, this.#at)
    if (this.#open.length === 0) this.#rootType = type
    if (this.#open.length === 1) {
      this.#type = type
      this.#start = this.#at
    }
    if (type === 'object' || type === 'array') {
      if (this.#open.length >= DEPTH_MAX) throw unexpected(this.#body[this.#at], 'exceeded max depth')
      this.#open.push(type === 'object')
      this.#at++
      this.#expected = type === 'object' ? 'first-key' : 'first-element'
      return
    }
    this.#scalar(skipScalar(this.#body, this.#at, type), type, 'after')
  }

  #scalar(end: number, type: JsonType, then: Expected): void {
    this.#at = end < 0 ? ~end : end
    if (end < 0) this.#long = { type, then }
    else this.#passed(then)
  }

  /** A scalar is behind it: a key, or a value. */
  #passed(then: Expected): void {
    this.#expected = then
    if (then !== 'colon') this.#ended()
    else if (this.#open.length === 1) this.#keyEnd = this.#at
  }

  #key(c: number | undefined): void {
    if (c !== QUOTE) throw unexpected(c, 'looking for beginning of object key string')
    if (this.#open.length === 1) {
      this.#keep(this.#at)
      this.#keyStart = this.#at
      this.#isEmpty = false
    }
    this.#scalar(skipString(this.#body, this.#at), 'string', 'colon')
  }

  #after(c: number | undefined): void {
    const inObject = this.#open[this.#open.length - 1] === true
    if (c === COMMA) {
      if (this.#open.length === 1) this.#nextCommaAt = this.#at
      this.#at++
      this.#expected = inObject ? 'key' : 'value'
    } else if (c === (inObject ? CLOSE_OBJECT : CLOSE_ARRAY)) this.#close()
    else throw unexpected(c, inObject ? 'after object key:value pair' : 'after array element')
  }

  #close(): void {
    if (this.#open.length === 1) this.#keep(null)
    this.#open.pop()
    this.#at++
    this.#ended()
  }

  /** A value is behind it. */
  #ended(): void {
    this.#expected = 'after'
    if (this.#open.length === 1) this.#end = this.#at
    if (this.#open.length > 0) return
    this.#result =
      this.#rootType === 'object'
        ? { kind: 'object', fields: this.#fields, isEmpty: this.#isEmpty, end: this.#at - 1 }
        : { kind: 'other', type: this.#rootType }
  }

  /** The member that is behind it, when somebody asked for it; `nextAt` is where the one after it begins. */
  #keep(nextAt: number | null): void {
    if (this.#open[0] !== true || this.#isEmpty) return
    const folded = foldedKey(this.#body, this.#keyStart, this.#keyEnd)
    if (folded !== null && this.#wanted(folded)) {
      if (this.#fields.length >= FIELDS_MAX) this.#fields = this.#fields.slice(FIELDS_MAX / 2)
      const key = decodedKey(this.#body, this.#keyStart, this.#keyEnd)
      const [type, keyStart, start, end] = [this.#type, this.#keyStart, this.#start, this.#end]
      this.#fields.push({ key, type, keyStart, start, end, commaAt: this.#commaAt, nextAt })
    }
    this.#commaAt = this.#nextCommaAt
  }
}
