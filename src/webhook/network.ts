/** The real resolver and the machine's own addresses for webhooks; it must never judge what it finds. */
import { getServers, Resolver, setServers } from 'node:dns'
import { networkInterfaces } from 'node:os'

/**
 * Bun reads /etc/resolv.conf once, at the first lookup: a box whose network came up later, or that moved to another one, would resolve
 * nothing until a restart. A resolver that is made now knows the servers of now; asking it costs 0.05 ms.
 */
const followServers = (): void => {
  const servers = new Resolver().getServers()
  if (servers.length > 0 && servers.join() !== getServers().join()) setServers(servers)
}

/** Every address of a name. Bun's own lookups never block a thread, except for mDNS names, which only the C library can resolve. */
export const systemResolve = async (hostname: string): Promise<readonly string[]> => {
  followServers()
  const isMdns = /\.local\.?$/i.test(hostname)
  const found = await Bun.dns.lookup(hostname, isMdns ? { backend: 'libc' } : {})
  return found.map(({ address }) => address)
}

/** The addresses of this machine's interfaces at this moment. */
export const localAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address))
