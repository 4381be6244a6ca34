/** From where and whereto a broadcast is sent on a box with several networks; pure. */

export interface Interface {
  readonly address: string
  readonly netmask: string
  readonly family: string
  readonly internal: boolean
}

export interface Destination {
  readonly host: string
  readonly port: number
}

/** One packet's way; without `from` the system chooses. */
export interface Way {
  readonly from: string | null
  readonly to: Destination
}

const EVERYBODY = '255.255.255.255'

const numberOf = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
const addressOf = (number: number): string => [24, 16, 8, 0].map((bits) => (number >>> bits) & 255).join('.')

/** The last address of the network. */
export const broadcastOf = ({ address, netmask }: Pick<Interface, 'address' | 'netmask'>): string =>
  addressOf((numberOf(address) | ~numberOf(netmask)) >>> 0)

/**
 * To everybody: from each network's own address, because the system would send it into one of them alone; and to that network's last
 * address, which some switches and hypervisors prefer. To anybody else: as the system sends it.
 */
export const waysTo = (to: Destination, interfaces: readonly Interface[]): Way[] => {
  if (to.host !== EVERYBODY) return [{ from: null, to }]
  const networks = interfaces.filter(({ family, internal }) => family === 'IPv4' && !internal)
  if (networks.length === 0) return [{ from: null, to }]
  return networks.flatMap((network) => {
    const from = network.address
    const last = broadcastOf(network)
    // A point-to-point link (a tunnel) has no last address.
    return last === from
      ? [{ from, to }]
      : [
          { from, to },
          { from, to: { ...to, host: last } },
        ]
  })
}
