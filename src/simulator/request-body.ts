/** Decodes a JSON body as Go's encoding/json does, with its words for what is wrong; it must never be stricter than Go. */
import { decodeField, scanObject } from '../domain/wire/go-json.ts'
import { parseCallerKeepAlive } from '../domain/wire/keep-alive.ts'
import { foldKey } from '../domain/wire/keys.ts'
import type { Fields, GoStruct, GoType } from './go-schema.ts'

/** A decoded object: keys in Go's spelling, values of the types the schema names (null and absent are alike). */
export type Bag = Readonly<Record<string, unknown>>

export type Decoded =
  | { readonly kind: 'ok'; readonly bag: Bag }
  | { readonly kind: 'empty' }
  | { readonly kind: 'bad'; readonly message: string }

/** A custom decoder of Ollama failed: decoding stops there, unlike after a type error. */
class Stopped extends Error {}

const isBag = (value: unknown): value is Bag => typeof value === 'object' && value !== null && !Array.isArray(value)

const jsonType = (value: unknown): string => {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value
}

const THINK_LEVELS = ['high', 'medium', 'low', 'max']
const THINK_ALLOWED = '"high", "medium", "low", "max", true, or false'

const checkThink = (value: unknown) => {
  if (typeof value === 'boolean') return
  if (typeof value !== 'string') throw new Stopped(`think must be a boolean or string (${THINK_ALLOWED})`)
  if (!THINK_LEVELS.includes(value))
    throw new Stopped(`invalid think value: ${JSON.stringify(value)} (must be ${THINK_ALLOWED})`)
}

const checkDuration = (value: unknown) => {
  const read = parseCallerKeepAlive(value)
  if (read.kind === 'invalid') throw new Stopped(read.message)
}

/** Go's position is the first byte that does not fit; a wrong length is reported at the end. */
const checkBase64 = (text: string) => {
  const stop = /[^A-Za-z0-9+/]/.exec(text.replace(/={0,2}$/, ''))
  if (stop) throw new Stopped(`illegal base64 data at input byte ${stop.index}`)
  if (text.length % 4 !== 0) throw new Stopped(`illegal base64 data at input byte ${text.length - (text.length % 4)}`)
}

interface Decoding {
  readonly root: string
  problem: string | null
}

const complain = (state: Decoding, value: unknown, path: string, go: string, shown = '') => {
  state.problem ??= `json: cannot unmarshal ${jsonType(value)}${shown} into Go struct field ${state.root}${path} of type ${go}`
}

const decodeList = (state: Decoding, value: unknown, path: string, type: { list: GoType; go: string }): unknown => {
  if (!Array.isArray(value)) return complain(state, value, path, type.go)
  if (type.go === '[]api.ImageData') for (const image of value) if (typeof image === 'string') checkBase64(image)
  return value.map((item) => decodeValue(state, item, path, type.list))
}

const decodeValue = (state: Decoding, value: unknown, path: string, type: GoType): unknown => {
  if (value === null || value === undefined || type === 'any') return value
  if (typeof type === 'object') {
    if ('list' in type) return decodeList(state, value, path, type)
    if (!isBag(value)) return complain(state, value, path, type.go)
    return decodeFields(state, value, path, type.fields)
  }
  if (type === 'think') checkThink(value)
  else if (type === 'duration') checkDuration(value)
  else if (type === 'map[string]interface {}') {
    if (!isBag(value)) return complain(state, value, path, type)
  } else if (type === 'int' || type === 'float64') {
    if (typeof value !== 'number') return complain(state, value, path, type)
    if (type === 'int' && !Number.isInteger(value)) return complain(state, value, path, type, ` ${value}`)
  } else if (jsonType(value) !== type) return complain(state, value, path, type)
  return value
}

const decodeFields = (state: Decoding, bag: Bag, path: string, fields: Fields): Bag => {
  // Without a prototype, `__proto__` is a name like any other.
  const decoded: Record<string, unknown> = Object.create(null)
  for (const key in bag) {
    const name = Object.hasOwn(fields, key) ? key : foldKey(key)
    const type = Object.hasOwn(fields, name) ? fields[name] : undefined
    decoded[name] = type === undefined ? bag[key] : decodeValue(state, bag[key], `${path}.${name}`, type)
  }
  return decoded
}

// Longer bodies are read as if every member stood there once.
const REPEATS_BYTES_MAX = 65_536
const pointers: ReadonlySet<string> = new Set(['shift', 'stream', 'truncate'])
const plain: ReadonlySet<unknown> = new Set(['bool', 'float64', 'int', 'string'])

/** Go decodes members one after the other: null leaves what is no pointer, and maps are merged. */
const decodeTop = (state: Decoding, body: Uint8Array, bag: Bag, fields: Fields): Bag => {
  const scan = body.length > REPEATS_BYTES_MAX ? null : scanObject(body, () => true)
  if (scan?.kind !== 'object') return decodeFields(state, bag, '', fields)
  const names = new Set(scan.fields.map(({ key }) => foldKey(key)))
  if (names.size === scan.fields.length) return decodeFields(state, bag, '', fields)
  const decoded: Record<string, unknown> = Object.create(null)
  for (const found of scan.fields) {
    const one = decodeFields(state, { [found.key]: decodeField(body, found) }, '', fields)
    for (const [name, value] of Object.entries(one)) {
      const type = Object.hasOwn(fields, name) ? fields[name] : undefined
      const isKept = value === null && plain.has(type) && !pointers.has(name)
      const before = decoded[name]
      const isMap = type === 'map[string]interface {}' && isBag(before) && isBag(value)
      if (!isKept || isMap) decoded[name] = isMap ? { ...before, ...value } : value
    }
  }
  return decoded
}

/** The first JSON value of the body, or Go's words. */
const parseFirst = (body: Uint8Array, go: string): { value: Bag } | Exclude<Decoded, { kind: 'ok' }> => {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()
  try {
    const value: unknown = JSON.parse(text)
    if (isBag(value)) return { value }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  const scan = scanObject(body, () => false)
  if (scan.kind === 'empty') return scan
  if (scan.kind === 'malformed') return { kind: 'bad', message: scan.message }
  if (scan.kind === 'other') {
    if (scan.type === 'null') return { value: {} }
    return { kind: 'bad', message: `json: cannot unmarshal ${scan.type} into Go value of type ${go}` }
  }
  const value: unknown = JSON.parse(
    new TextDecoder('utf-8', { ignoreBOM: true }).decode(body.subarray(0, scan.end + 1)),
  )
  return { value: isBag(value) ? value : {} }
}

/** Decodes `body` into `struct`. Unknown fields are kept, in lower case. */
export const decodeBody = (body: Uint8Array, struct: GoStruct): Decoded => {
  const first = parseFirst(body, struct.go)
  if ('kind' in first) return first
  const state: Decoding = { root: struct.go.slice(struct.go.indexOf('.') + 1), problem: null }
  try {
    const bag = decodeTop(state, body, first.value, struct.fields)
    return state.problem === null ? { kind: 'ok', bag } : { kind: 'bad', message: state.problem }
  } catch (error) {
    if (error instanceof Stopped) return { kind: 'bad', message: error.message }
    throw error
  }
}

/** A string field; absent is ''. */
export const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** A list of objects; absent is empty. */
export const bags = (value: unknown): Bag[] => (Array.isArray(value) ? value.filter(isBag) : [])

/** An object field; absent is empty. */
export const bag = (value: unknown): Bag => (isBag(value) ? value : {})

/** The text of a message's content: a string, or the text parts of a list. */
export const contentText = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : bags(content)
        .map((part) => text(part.text))
        .join('')
