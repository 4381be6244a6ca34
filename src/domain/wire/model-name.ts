/** Model names as Ollama parses and compares them (wire document, section 7); it must never invent a spelling to send. */

/** The four parts of a name, defaults filled in, in the caller's spelling. */
export interface ModelName {
  readonly host: string
  readonly namespace: string
  readonly model: string
  readonly tag: string
}

/** Where a name says its model runs: `local` is also what a bare name means. */
export type ModelSource = 'local' | 'cloud'

export type ParsedName =
  | { readonly kind: 'name'; readonly name: ModelName; readonly source: ModelSource; readonly forcedLocal: boolean }
  | { readonly kind: 'empty' }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'invalid' }

const DEFAULT_HOST = 'registry.ollama.ai'
const DEFAULT_NAMESPACE = 'library'
const DEFAULT_TAG = 'latest'

const PART = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/
const NAMESPACE = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$/
const HOST = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/

interface Suffix {
  rest: string
  cloud: boolean
  local: boolean
}

/** Takes `:cloud`, `:local` or a `-cloud` tag off the end, once. */
const cutSuffix = (text: string): Suffix => {
  const colon = text.lastIndexOf(':')
  const last = colon < 0 ? '' : text.slice(colon + 1)
  const lower = last.toLowerCase()
  if (lower === 'cloud') return { rest: text.slice(0, colon), cloud: true, local: false }
  if (lower === 'local') return { rest: text.slice(0, colon), cloud: false, local: true }
  if (lower.endsWith('-cloud') && !last.includes('/'))
    return { rest: text.slice(0, text.length - '-cloud'.length), cloud: true, local: false }
  return { rest: text, cloud: false, local: false }
}

const splitName = (text: string): ModelName => {
  let rest = text
  let tag = DEFAULT_TAG
  const colon = rest.lastIndexOf(':')
  if (colon > rest.lastIndexOf('/')) {
    tag = rest.slice(colon + 1)
    rest = rest.slice(0, colon)
  }
  const scheme = rest.indexOf('://')
  if (scheme >= 0) rest = rest.slice(scheme + 3)
  const parts = rest.split('/')
  const model = parts.pop() ?? ''
  const namespace = parts.pop() ?? DEFAULT_NAMESPACE
  const host = parts.length > 0 ? parts.join('/') : DEFAULT_HOST
  return { host, namespace, model, tag }
}

const isValid = (n: ModelName): boolean =>
  HOST.test(n.host) && NAMESPACE.test(n.namespace) && PART.test(n.model) && PART.test(n.tag)

/** Parses a name as a caller wrote it. `conflict` is `:local` and `:cloud` together. */
export const parseModelName = (text: string): ParsedName => {
  const trimmed = text.trim()
  if (trimmed === '') return { kind: 'empty' }
  const first = cutSuffix(trimmed)
  const second = first.cloud || first.local ? cutSuffix(first.rest) : first
  if ((first.local && second.cloud) || (first.cloud && second.local)) return { kind: 'conflict' }
  const name = splitName(first.rest)
  if (!isValid(name)) return { kind: 'invalid' }
  return { kind: 'name', name, source: first.cloud ? 'cloud' : 'local', forcedLocal: first.local }
}

/** Lower-case `host/namespace/model:tag`: two names are the same model when these are equal. */
export const canonicalOf = (n: ModelName): string => `${n.host}/${n.namespace}/${n.model}:${n.tag}`.toLowerCase()

/** The canonical form of a name as written, or null when it is none. */
export const canonicalName = (text: string): string | null => {
  const parsed = parseModelName(text)
  return parsed.kind === 'name' ? canonicalOf(parsed.name) : null
}

/** Whether two spellings name one model. */
export const sameModel = (a: string, b: string): boolean => {
  const name = canonicalName(a)
  return name !== null && name === canonicalName(b)
}

/** Whether the name itself says that the model runs in Ollama's cloud. */
export const isCloudName = (text: string): boolean => {
  const parsed = parseModelName(text)
  return parsed.kind === 'name' && parsed.source === 'cloud'
}

/** The short form that /api/tags and /api/ps print: default host and namespace dropped, the tag kept. */
export const displayName = (n: ModelName): string => {
  const short = `${n.model}:${n.tag}`
  if (n.host.toLowerCase() !== DEFAULT_HOST) return `${n.host}/${n.namespace}/${short}`
  return n.namespace.toLowerCase() === DEFAULT_NAMESPACE ? short : `${n.namespace}/${short}`
}

/** The short form of a canonical name. */
export const displayNameOf = (canonical: string): string => {
  const parsed = parseModelName(canonical)
  return parsed.kind === 'name' ? displayName(parsed.name) : canonical
}
