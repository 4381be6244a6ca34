/** Says where a webhook may go; pure, and it must never call an address good that it could not read to the last bit. */
import { type AddressKind, formatIp, type Ip, kindOf, parseIp, reachedIp } from './ip.ts'

/** `public`: global unicast only. `lan`: also loopback, private, ULA and 100.64/10. `any`: no rule at all. */
export type WebhookPolicy = 'public' | 'lan' | 'any'

/** A listener that no webhook may reach: foreman's own, or the target's. */
export interface OffLimit {
  /** How it is called in the refusal: `foreman itself`. */
  readonly what: string
  /** An address; a name as well where only names are compared. */
  readonly host: string
  readonly port: number
}

/** The URL taken apart, or one sentence for whoever sent it. */
export type UrlCheck =
  | { readonly kind: 'ok'; readonly url: URL }
  | { readonly kind: 'refused'; readonly message: string }

const URL_CHARACTERS_MAX = 2048
const lanKinds: ReadonlySet<AddressKind> = new Set(['global', 'loopback', 'private', 'shared'])

const words: Record<AddressKind, string> = {
  global: 'a public address',
  loopback: 'a loopback address',
  private: 'a private address',
  shared: 'a shared address (100.64.0.0/10)',
  'link-local': 'a link-local address',
  metadata: "a cloud's metadata service",
  multicast: 'a multicast address',
  unspecified: 'an unspecified address',
  reserved: 'a reserved address',
}

const isSame = (a: Ip, b: Ip): boolean => {
  const [x, y] = [reachedIp(a), reachedIp(b)]
  // 127.0.0.1, 127.1.2.3 and ::1 are one machine, and it is this one.
  return (x.bits === y.bits && x.value === y.value) || (kindOf(x) === 'loopback' && kindOf(y) === 'loopback')
}

/** Why this address and port may not be dialled, or null. */
export const addressProblem = (
  policy: WebhookPolicy,
  ip: Ip,
  port: number,
  offLimits: readonly OffLimit[],
): string | null => {
  if (policy === 'any') return null
  const kind = kindOf(ip)
  const text = formatIp(ip)
  if (policy === 'public' ? kind !== 'global' : !lanKinds.has(kind))
    return `${text} is ${words[kind]}, where FOREMAN_WEBHOOK_POLICY=${policy} lets no webhook go`
  const hit = offLimits.find((limit) => {
    if (limit.port !== port) return false
    const other = parseIp(limit.host)
    return other !== null && isSame(ip, other)
  })
  return hit === undefined ? null : `${text} port ${port} is ${hit.what}, where no webhook may go`
}

/** The port a URL means. */
export const portOf = (url: URL): number =>
  url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)

const bareName = (hostname: string): string => hostname.toLowerCase().replace(/\.+$/, '')
const loopback: Ip = { bits: 32, value: 0x7f00_0001n }

/** The address that a hostname is, or is bound to be (RFC 6761); null where only a resolver knows. */
const shownIp = (hostname: string): Ip | null => {
  const name = bareName(hostname)
  return name === 'localhost' || name.endsWith('.localhost') ? loopback : parseIp(hostname)
}

const hostProblem = (url: URL, policy: WebhookPolicy, offLimits: readonly OffLimit[]): string | null => {
  const port = portOf(url)
  if (port === 0) return 'port 0 cannot be dialled'
  const ip = shownIp(url.hostname)
  const problem = ip === null ? null : addressProblem(policy, ip, port, offLimits)
  if (problem !== null || policy === 'any') return problem
  const named = offLimits.find((limit) => limit.port === port && bareName(limit.host) === bareName(url.hostname))
  return named === undefined ? null : `${url.host} is ${named.what}, where no webhook may go`
}

/** What a URL already shows by itself. A name that passes says nothing yet: what it resolves to is judged at each try. */
export const checkUrl = (text: string, policy: WebhookPolicy, offLimits: readonly OffLimit[] = []): UrlCheck => {
  const refused = (message: string): UrlCheck => ({
    kind: 'refused',
    message: `the webhook URL cannot be used: ${message}`,
  })
  if (text.length > URL_CHARACTERS_MAX) return refused(`it is longer than ${URL_CHARACTERS_MAX} characters`)
  const url = URL.parse(text)
  if (url === null) return refused('it is not an absolute URL')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return refused('its scheme is neither http nor https')
  if (url.username !== '' || url.password !== '')
    return refused('it carries credentials; sign webhooks with FOREMAN_WEBHOOK_SECRET instead')
  const problem = hostProblem(url, policy, offLimits)
  return problem === null ? { kind: 'ok', url } : refused(problem)
}
