/** Reads the head of an answer: status, headers and how its body is framed; it must never accept two framings at once. */
import type { HeaderPairs } from './wire.ts'

/** How the body ends: after a number of bytes, with a last chunk, or with the connection. */
export type Framing = { kind: 'length'; bytes: number } | { kind: 'chunked' } | { kind: 'close' }

/** The head of a final answer. */
export interface ReplyHead {
  status: number
  /** All headers as received, hop-by-hop ones too. */
  headers: HeaderPairs
  framing: Framing
  /** False for HEAD, 204 and 304, which have no body whatever their headers say. */
  bodyFollows: boolean
  /** Whether the target will take another request on this connection. */
  keepAlive: boolean
}

/** A head, a 1xx answer to be skipped, or what is wrong with it. */
export type ParsedHead =
  | { kind: 'head'; head: ReplyHead }
  | { kind: 'interim' }
  | { kind: 'malformed'; message: string }

const statusLine = /^HTTP\/1\.([01]) ([1-5][0-9][0-9])(?: [^\0\r\n]*)?$/
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const controlCharacter = /[\0-\x08\x0a-\x1f\x7f]/
const digits = /^[0-9]{1,15}$/

interface Fields {
  headers: [string, string][]
  length: number | null
  encoding: string | null
  connection: string
}

/** `text` is everything before the blank line, one character per byte. */
export const parseReplyHead = (text: string, method: string): ParsedHead => {
  let lineEnd = text.indexOf('\r\n')
  if (lineEnd < 0) lineEnd = text.length
  const match = statusLine.exec(text.slice(0, lineEnd))
  if (match === null) return malformed('bad status line')
  const status = Number(match[2])
  const fields = parseFields(text, lineEnd + 2)
  if (typeof fields === 'string') return malformed(fields)
  if (status === 101) return malformed('the target switched protocols without being asked')
  if (status < 200) return { kind: 'interim' }
  const bodyFollows = method !== 'HEAD' && status !== 204 && status !== 304
  const framing = framingOf(fields, bodyFollows)
  if (framing === null) return malformed('unknown transfer encoding')
  const keepAlive =
    match[1] === '1' && framing.kind !== 'close' && !mentionsClose(fields.connection) && !isAmbiguous(fields)
  return {
    kind: 'head',
    head: { status, headers: fields.headers, framing, bodyFollows, keepAlive },
  }
}

const parseFields = (text: string, start: number): Fields | string => {
  const fields: Fields = { headers: [], length: null, encoding: null, connection: '' }
  let at = start
  while (at < text.length) {
    let end = text.indexOf('\r\n', at)
    if (end < 0) end = text.length
    const colon = text.indexOf(':', at)
    if (colon < 0 || colon >= end) return 'a header line has no colon'
    const name = text.slice(at, colon)
    const value = trimmed(text, colon + 1, end)
    if (!fieldName.test(name)) return 'bad header name'
    if (controlCharacter.test(value)) return 'a header value holds a control character'
    const problem = note(fields, name, value)
    if (problem !== null) return problem
    fields.headers.push([name, value])
    at = end + 2
  }
  return fields
}

// Only space and tab: String.trim would also eat U+00A0, which is a byte of somebody's name here.
const trimmed = (text: string, start: number, end: number): string => {
  let from = start
  let to = end
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

const isBlank = (code: number): boolean => code === 32 || code === 9

// Only three names matter here, and their lengths tell them from most others without lower-casing anything.
const note = (fields: Fields, name: string, value: string): string | null => {
  switch (name.length) {
    case 10:
      if (name.toLowerCase() === 'connection') fields.connection += `,${value}`
      return null
    case 14:
      return name.toLowerCase() === 'content-length' ? noteLength(fields, value) : null
    case 17:
      if (name.toLowerCase() === 'transfer-encoding') {
        fields.encoding = fields.encoding === null ? value : `${fields.encoding}, ${value}`
      }
      return null
    default:
      return null
  }
}

const noteLength = (fields: Fields, value: string): string | null => {
  for (const part of value.split(',')) {
    const text = part.trim()
    if (!digits.test(text)) return 'bad Content-Length'
    const length = Number(text)
    if (fields.length !== null && fields.length !== length) return 'two different Content-Lengths'
    fields.length = length
  }
  return null
}

const framingOf = (fields: Fields, bodyFollows: boolean): Framing | null => {
  if (!bodyFollows) return { kind: 'length', bytes: 0 }
  if (fields.encoding !== null) return fields.encoding.toLowerCase() === 'chunked' ? { kind: 'chunked' } : null
  return fields.length === null ? { kind: 'close' } : { kind: 'length', bytes: fields.length }
}

// RFC 9112 section 6.3: chunked wins over a length, but a connection that mixes them is not to be used again.
const isAmbiguous = (fields: Fields): boolean => fields.encoding !== null && fields.length !== null

const mentionsClose = (connection: string): boolean =>
  connection !== '' && connection.split(',').some((part) => part.trim().toLowerCase() === 'close')

const malformed = (message: string): ParsedHead => ({ kind: 'malformed', message })
