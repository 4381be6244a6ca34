/** The real resolver and the machine's own addresses for webhooks; it must never judge what it finds. */
import { networkInterfaces } from 'node:os'

/** Every address of a name. Bun's own lookups never block a thread, except for mDNS names, which only the C library can resolve. */
export const systemResolve = async (hostname: string): Promise<readonly string[]> => {
  const isMdns = /\.local\.?$/i.test(hostname)
  const found = await Bun.dns.lookup(hostname, isMdns ? { backend: 'libc' } : {})
  return found.map(({ address }) => address)
}

/** The addresses of this machine's interfaces at this moment. */
export const localAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address))
