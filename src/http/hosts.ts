/** Which Host names are this foreman's own: a page whose name was rebound to this address must find nobody here. */
import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { isLoopback, isWildcard } from '../domain/address.ts'

export interface HostRules {
  /** What foreman listens on. */
  readonly listenHost: string
  /** FOREMAN_HOSTS: more names; `*.example.org` is every name below it, `*` is every name. */
  readonly hosts: readonly string[]
  readonly publicUrl: string | null
}

// Names that no registrar sells (Ollama's own list).
const LOCAL_NAME = /(?:^|\.)localhost$|\.local$|\.internal$/
const PRIVATE = /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|f[cd][0-9a-f]{2}:|::ffff:)/i

/** The name of a Host header without its port and brackets, in lower case; null when it is no name. */
export const hostName = (header: string): string | null => {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]*))(?::\d{0,5})?$/i.exec(header) ?? []
  return (bracketed ?? plain)?.toLowerCase() ?? null
}

/** An address can be dialled but never rebound. Of this machine or the network around it, as Ollama reads that. */
const isNearby = (address: string): boolean =>
  isLoopback(address) ||
  PRIVATE.test(address) ||
  isWildcard(address) ||
  Object.values(networkInterfaces()).some((each) => each?.some((one) => one.address === address))

const matcher = (pattern: string): ((name: string) => boolean) => {
  if (pattern.startsWith('*.')) return (name) => name.endsWith(pattern.slice(1))
  return (name) => name === pattern
}

/** Says whether a Host header (null: none, as in HTTP/1.0) may be answered. Beyond loopback everybody may call foreman whatever they like, unless FOREMAN_HOSTS says otherwise. */
export const createHostCheck = ({ listenHost, hosts, publicUrl }: HostRules): ((header: string | null) => boolean) => {
  if (hosts.includes('*') || (!isLoopback(listenHost) && hosts.length === 0)) return () => true
  const own = [listenHost.toLowerCase(), hostname().toLowerCase(), 'localhost', '']
  const names = new Set(publicUrl === null ? own : [...own, hostName(new URL(publicUrl).host) ?? ''])
  const more = hosts.map(matcher)
  const judge = (header: string | null): boolean => {
    const name = hostName(header ?? '')
    if (name === null) return false
    if (names.has(name) || LOCAL_NAME.test(name)) return true
    if (isIP(name) > 0 && isNearby(name)) return true
    return more.some((matches) => matches(name))
  }
  // Mostly everybody calls it by one name.
  let last: { readonly header: string | null; readonly isOwn: boolean } | null = null
  return (header) => {
    if (last === null || last.header !== header) last = { header, isOwn: judge(header) }
    return last.isOwn
  }
}
