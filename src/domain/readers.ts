/** Readers for the values of settings: text to a checked value; they must never read the environment. */
import { type Parsed, parseDurationMs, parseSizeBytes } from './duration.ts'

export const ok = <T>(value: T): Parsed<T> => ({ kind: 'ok', value })
/** No problem text means: the setting's own "expected …" sentence says it all. */
export const bad = (problem = ''): Parsed<never> => ({ kind: 'bad', problem })

/** Nothing set is null; anything else is for the reader. */
export const optional =
  <T>(read: (text: string) => Parsed<T>) =>
  (text: string): Parsed<T | null> =>
    text === '' ? ok(null) : read(text)

/** An http or https URL without credentials, query or fragment; the answer has no trailing slash. */
export const readBaseUrl = (text: string): Parsed<string> => {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return bad()
  const url = new URL(text)
  if (url.username || url.password || url.search || url.hash || url.port === '0') return bad()
  return ok(`${url.origin}${url.pathname.replace(/\/+$/, '')}`)
}

/** An http or https URL with all that people put into one, for a receiver of messages. */
export const readHttpUrl = (text: string): Parsed<string> => {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return bad()
  const { hash, port, href } = new URL(text)
  return hash === '' && port !== '0' ? ok(href) : bad()
}

/** A path as it stands: what nobody expands is refused. */
export const readPath = (text: string): Parsed<string> => (/^~|\0/.test(text) ? bad() : ok(text))

/** A server's URL as people give it to OLLAMA_HOST: `gpu-box`, `gpu-box:11434` and `:11434` are http, by the server's usual port. */
export const readServerUrl =
  (usualPort: number) =>
  (text: string): Parsed<string> => {
    if (text.includes('://')) return readBaseUrl(text)
    const [, host, port, path] = /^(\[[0-9a-f:.]+\]|[^:/]*)(:\d+)?(\/.*)?$/i.exec(text) ?? []
    if (!host && !port) return bad()
    return readBaseUrl(`http://${host || '127.0.0.1'}${port ?? `:${usualPort}`}${path ?? ''}`)
  }

/** A bearer token: what may stand in a header, so no blanks and nothing outside printable ASCII. */
export const readToken = (text: string): Parsed<string | null> => {
  if (text === '') return ok(null)
  return /^[\x21-\x7e]{1,4096}$/.test(text) ? ok(text) : bad()
}

/** A duration between two bounds; `zero` also allows 0 below the lower one, where it means "none". */
export const durationBetween =
  (leastMs: number, mostMs: number, zero: 'zero' | 'no-zero' = 'no-zero') =>
  (text: string): Parsed<number> => {
    const parsed = parseDurationMs(text)
    if (parsed.kind === 'bad') return bad()
    const isAllowed = (parsed.value >= leastMs && parsed.value <= mostMs) || (zero === 'zero' && parsed.value === 0)
    return isAllowed ? ok(Math.round(parsed.value)) : bad()
  }

/** A size in bytes between two bounds. */
export const sizeBetween =
  (leastBytes: number, mostBytes: number) =>
  (text: string): Parsed<number> => {
    const parsed = parseSizeBytes(text)
    return parsed.kind === 'ok' && parsed.value >= leastBytes && parsed.value <= mostBytes ? parsed : bad()
  }

/** A whole number between two bounds. */
export const integerBetween =
  (least: number, most: number) =>
  (text: string): Parsed<number> =>
    /^\d{1,15}$/.test(text) && Number(text) >= least && Number(text) <= most ? ok(Number(text)) : bad()

/** One word of a closed list, in any case. */
export const oneOf =
  <const T extends string>(words: readonly T[]) =>
  (text: string): Parsed<T> => {
    const word = words.find((candidate) => candidate === text.toLowerCase())
    return word === undefined ? bad() : ok(word)
  }

/** `true` or `false`; `1` and `0` are the same. */
export const readBoolean = (text: string): Parsed<boolean> => {
  const word = text.toLowerCase()
  if (word === 'true' || word === '1') return ok(true)
  return word === 'false' || word === '0' ? ok(false) : bad()
}
