/** Knows at which addresses foreman and its target listen right now; it must never let a failed lookup make it forget one. */
import type { Clock } from '../domain/clock.ts'
import type { OffLimit } from './address.ts'
import { type Ip, kindOf, parseIp, reachedIp } from './ip.ts'

export interface OffLimitsDeps {
  /** As configured: names, addresses or "every address" (0.0.0.0, ::). None of it may change once it has been asked for. */
  readonly places: () => readonly OffLimit[]
  readonly resolve: (hostname: string) => Promise<readonly string[]>
  /** The addresses of this machine's interfaces. */
  readonly localAddresses: () => readonly string[]
  readonly clock: Clock
}

/** The addresses of all places. */
export type OffLimits = () => Promise<readonly OffLimit[]>

const FRESH_MS = 30_000
// A machine's interfaces change with a cable or a VPN; each submit with a webhook would ask for them, 0.05 ms a time.
const LIST_FRESH_MS = 1_000
// A target that is asleep may have no name service either; that must not hold the webhooks.
const LOOKUP_WAIT_MS = 2_000

const isSame = (a: Ip, b: Ip): boolean => a.bits === b.bits && a.value === b.value

/** Whatever listens at one address of this machine may be listening at all of them. */
const isHere = (ip: Ip, local: readonly Ip[]): boolean => {
  const kind = kindOf(ip)
  return kind === 'loopback' || kind === 'unspecified' || local.some((other) => isSame(reachedIp(ip), reachedIp(other)))
}

/** Names are looked up again every 30 s, beside the webhooks and not before them. */
export const createOffLimits = ({ places, resolve, localAddresses, clock }: OffLimitsDeps): OffLimits => {
  const names = places()
    .map(({ host }) => host)
    .filter((host) => parseIp(host) === null)
  const known = new Map<string, readonly string[]>()
  let askedAtMs = Number.NEGATIVE_INFINITY
  let listed: { readonly atMs: number; readonly limits: readonly OffLimit[] } | null = null
  let asking: Promise<unknown> = Promise.resolve()

  const ask = (host: string): Promise<unknown> =>
    // What was known stays known: a name that does not resolve for a while still has its machine.
    resolve(host).then(
      (addresses) => {
        if (addresses.length === 0) return
        known.set(host, addresses)
        listed = null
      },
      () => undefined,
    )

  const answersOrEnough = async () => {
    let cancelTimer = () => {}
    const enough = new Promise<void>((done) => {
      cancelTimer = clock.after(LOOKUP_WAIT_MS, done)
    })
    await Promise.race([asking, enough])
    cancelTimer()
  }

  const list = (): readonly OffLimit[] => {
    const local = [...localAddresses(), '127.0.0.1', '::1']
    const localIps = local.map(parseIp).filter((ip) => ip !== null)
    return places().flatMap((place) => {
      const hosts = known.get(place.host) ?? [place.host]
      const isThisMachine = hosts.some((host) => {
        const ip = parseIp(host)
        return ip !== null && isHere(ip, localIps)
      })
      return [...hosts, ...(isThisMachine ? local : [])].map((host) => ({ ...place, host }))
    })
  }

  return async () => {
    if (names.length > 0 && clock.monotonicMs() - askedAtMs >= FRESH_MS) {
      askedAtMs = clock.monotonicMs()
      asking = Promise.all(names.map(ask))
    }
    if (names.some((name) => !known.has(name))) await answersOrEnough()
    if (listed === null || clock.monotonicMs() - listed.atMs >= LIST_FRESH_MS)
      listed = { atMs: clock.monotonicMs(), limits: list() }
    return listed.limits
  }
}
