/** Readers for the values of settings: text to a checked value or a sentence; they must never read the environment. */
import { type Parsed, parseDurationMs, parseSizeBytes } from '../domain/duration.ts'

/** Where foreman listens. `0.0.0.0` and `::` are every address of the machine. */
export interface ListenAddress {
  readonly hostname: string
  readonly port: number
}

/** Which receivers a webhook may reach. */
export const webhookPolicies = ['public', 'lan', 'any'] as const
export type WebhookPolicy = (typeof webhookPolicies)[number]

export const ok = <T>(value: T): Parsed<T> => ({ kind: 'ok', value })
/** No problem text means: the setting's own "expected …" sentence says it all. */
export const bad = (problem = ''): Parsed<never> => ({ kind: 'bad', problem })

/** `host:port`, `:port` for every address, `[v6]:port`; port 0 picks a free one. */
export const readAddress = (text: string): Parsed<ListenAddress> => {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]*):(\d{1,5})$/i.exec(text)
  if (!match || Number(match[2]) > 65535) return bad()
  const hostname = match[1]!.replace(/^\[|\]$/g, '')
  return ok({ hostname: hostname === '' ? '0.0.0.0' : hostname, port: Number(match[2]) })
}

/** An http or https URL without credentials, query or fragment; the answer has no trailing slash. */
export const readBaseUrl = (text: string): Parsed<string> => {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return bad()
  const url = new URL(text)
  if (url.username || url.password || url.search || url.hash || url.port === '0') return bad()
  return ok(`${url.origin}${url.pathname.replace(/\/+$/, '')}`)
}

/** A bearer token: what may stand in a header, so no blanks and nothing outside printable ASCII. */
export const readToken = (text: string): Parsed<string | null> => {
  if (text === '') return ok(null)
  return /^[\x21-\x7e]{1,4096}$/.test(text) ? ok(text) : bad()
}

/** One signing secret, or two separated by a comma while receivers are moved from the old one to the new one. */
export const readSecrets = (text: string): Parsed<readonly string[]> => {
  const secrets = text === '' ? [] : text.split(',').map((secret) => secret.trim())
  const isUsable = (secret: string) => /^[\x21-\x7e]{16,512}$/.test(secret) && hasKey(secret)
  return secrets.length <= 2 && secrets.every(isUsable) && new Set(secrets).size === secrets.length
    ? ok(secrets)
    : bad()
}

/** Standard Webhooks writes a binary key as `whsec_` and base64; one that does not decode would sign with garbage. */
const hasKey = (secret: string) =>
  !secret.startsWith('whsec_') || /^whsec_(?:[A-Za-z0-9+/]{4}){4,}[A-Za-z0-9+/]{0,3}={0,2}$/.test(secret)

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
  <T extends string>(words: readonly T[]) =>
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

/** True for every spelling of "this machine only": localhost, 127.0.0.0/8 and ::1. */
export const isLoopback = (hostname: string): boolean =>
  /^(localhost\.?|.+\.localhost\.?|127\.\d+\.\d+\.\d+|::1|0:0:0:0:0:0:0:1|::ffff:127\..*|::ffff:7f[0-9a-f]{2}:.*)$/i.test(
    bare(hostname),
  )

/** True for the addresses that mean "all of this machine's addresses" when listened on. */
export const isWildcard = (hostname: string): boolean => /^(0\.0\.0\.0|::|0:0:0:0:0:0:0:0)$/.test(bare(hostname))

const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, '')
