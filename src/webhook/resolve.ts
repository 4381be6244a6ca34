/** Finds the addresses that one try may dial: resolves once and judges every answer; it must never hand out an address it did not judge. */
import { addressProblem, checkUrl, type OffLimit, portOf, type WebhookPolicy } from './address.ts'
import { dialledIp, formatIp, type Ip, parseIp } from './ip.ts'

export interface ResolverDeps {
  /** The addresses of a name, best first. It may reject with what the system said. */
  readonly resolve: (hostname: string) => Promise<readonly string[]>
  readonly policy: WebhookPolicy
  /** The addresses of foreman and of the target, asked for at each try. */
  readonly offLimits: () => Promise<readonly OffLimit[]>
}

/** Where a try may go, in the resolver's order. */
export type Resolved =
  | { readonly kind: 'resolved'; readonly url: URL; readonly addresses: readonly string[] }
  | { readonly kind: 'unresolved'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string }

export type Resolve = (url: string) => Promise<Resolved>

const ADDRESSES_MAX = 4

/** A resolver of one policy. */
export const createResolver = ({ resolve, policy, offLimits }: ResolverDeps): Resolve => {
  const judge = (url: URL, found: readonly Ip[], limits: readonly OffLimit[]): Resolved => {
    const problems = found.map((ip) => addressProblem(policy, ip, portOf(url), limits))
    // Printed from the bits that were judged, so that whoever dials cannot read the text in another way.
    const addresses = found.filter((_, i) => problems[i] === null).map((ip) => formatIp(dialledIp(ip)))
    if (addresses.length > 0)
      return { kind: 'resolved', url, addresses: [...new Set(addresses)].slice(0, ADDRESSES_MAX) }
    const [problem] = problems
    if (typeof problem === 'string') return { kind: 'refused', reason: problem }
    return { kind: 'unresolved', reason: `${url.hostname} has no address` }
  }

  return async (text) => {
    const checked = checkUrl(text, policy)
    if (checked.kind === 'refused') return { kind: 'refused', reason: checked.message }
    const { url } = checked
    const literal = parseIp(url.hostname)
    if (literal !== null) return judge(url, [literal], await offLimits())
    try {
      const [found, limits] = await Promise.all([resolve(url.hostname), offLimits()])
      return judge(
        url,
        found.map(parseIp).filter((ip) => ip !== null),
        limits,
      )
    } catch (error) {
      return { kind: 'unresolved', reason: `${url.hostname} could not be resolved: ${codeOf(error)}` }
    }
  }
}

const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
