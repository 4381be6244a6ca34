/** Finds the model that a small body names without building anything; whatever is out of the ordinary it must leave to the reader that reads as Ollama does. */
import { CLOSE_ARRAY, CLOSE_OBJECT, COLON, COMMA, isSpace, QUOTE } from './go-syntax.ts'
import { canonicalOf, parseModelName } from './model-name.ts'

const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const OPEN_ARRAY = 0x5b
// A longer body takes longer to be embedded than to be read in turns.
const BODY_BYTES_MAX = 16_384
const MODEL = new TextEncoder().encode('model')

const spacesFrom = (b: Uint8Array, at: number): number => {
  let i = at
  while (isSpace(b[i])) i++
  return i
}

/** From behind an opening quote to its closing one; -1 without one. */
const textEnd = (b: Uint8Array, at: number): number => {
  for (let i = at; i < b.length; i++) {
    const c = b[i]
    if (c === QUOTE) return i
    if (c === BACKSLASH) i++
  }
  return -1
}

/** The same for a text of plain characters alone: any other would have to be decoded. */
const plainEnd = (b: Uint8Array, at: number): number => {
  for (let i = at; i < b.length; i++) {
    const c = b[i] ?? 0
    if (c === QUOTE) return i
    if (c === BACKSLASH || c < 0x20 || c >= 0x7f) return -1
  }
  return -1
}

/** To the comma or the brace behind a value, whatever is in it; -1 when it does not end. */
const valueEnd = (b: Uint8Array, at: number): number => {
  let depth = 0
  for (let i = at; i < b.length; i++) {
    const c = b[i]
    if (c === QUOTE) {
      i = textEnd(b, i + 1)
      if (i < 0) return -1
    } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) depth++
    else if (depth === 0 && (c === COMMA || c === CLOSE_OBJECT)) return i
    else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) depth--
  }
  return -1
}

// The five letters in any case: Go would take such a member for the model too.
const isModelKey = (b: Uint8Array, start: number, end: number): boolean => {
  if (end - start !== MODEL.length) return false
  for (let i = 0; i < MODEL.length; i++) if (((b[start + i] ?? 0) | 0x20) !== MODEL[i]) return false
  return true
}

/** Where the name in the one `model` of a plain object begins and ends; null where it takes more than a look. */
const modelIn = (b: Uint8Array): { readonly start: number; readonly end: number } | null => {
  let found: { readonly start: number; readonly end: number } | null = null
  let i = spacesFrom(b, 0)
  if (b.length > BODY_BYTES_MAX || b[i] !== OPEN_OBJECT) return null
  for (;;) {
    i = spacesFrom(b, i + 1)
    const keyStart = i + 1
    const keyEnd = b[i] === QUOTE ? plainEnd(b, keyStart) : -1
    if (keyEnd < 0) return null
    i = spacesFrom(b, keyEnd + 1)
    if (b[i] !== COLON) return null
    i = spacesFrom(b, i + 1)
    if (isModelKey(b, keyStart, keyEnd)) {
      const end: number = b[i] === QUOTE && found === null ? plainEnd(b, i + 1) : -1
      if (end < 0) return null
      found = { start: i + 1, end }
    }
    i = valueEnd(b, i)
    if (i < 0) return null
    if (b[i] === CLOSE_OBJECT) return found
  }
}

/** The canonical name of the local model that a body names; null where the whole body must be read to know. */
export type ModelPeek = (body: Uint8Array) => string | null

/** A peek that remembers the last name: mostly everybody asks for one model in one spelling. */
export const createModelPeek = (): ModelPeek => {
  let spelling: Uint8Array = new Uint8Array(0)
  let canonical: string | null = null
  const isLast = (b: Uint8Array, start: number, end: number): boolean => {
    if (end - start !== spelling.length) return false
    for (let i = 0; i < spelling.length; i++) if (b[start + i] !== spelling[i]) return false
    return true
  }
  return (body) => {
    const found = modelIn(body)
    if (found === null) return null
    const { start, end } = found
    if (isLast(body, start, end)) return canonical
    const parsed = parseModelName(new TextDecoder().decode(body.subarray(start, end)))
    spelling = body.slice(start, end)
    canonical = parsed.kind === 'name' && parsed.source === 'local' ? canonicalOf(parsed.name) : null
    return canonical
  }
}
