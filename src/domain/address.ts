/** Where something listens, in all its spellings; it must never resolve a name. */

/** `::` is every address of the machine, `0.0.0.0` every IPv4 one. */
export interface ListenAddress {
  readonly hostname: string
  readonly port: number
}

/** True for every spelling of "this machine only": localhost, 127.0.0.0/8 and ::1. */
export const isLoopback = (hostname: string): boolean =>
  /^(localhost\.?|.+\.localhost\.?|127\.\d+\.\d+\.\d+|::1|0:0:0:0:0:0:0:1|::ffff:127\..*|::ffff:7f[0-9a-f]{2}:.*)$/i.test(
    bare(hostname),
  )

/** True for the addresses that mean "all of this machine's addresses" when listened on. */
export const isWildcard = (hostname: string): boolean => /^(0\.0\.0\.0|::|0:0:0:0:0:0:0:0)$/.test(bare(hostname))

/** `host:port` as people write it and a URL holds it. */
export const addressText = ({ hostname, port }: ListenAddress): string =>
  hostname.includes(':') ? `[${hostname}]:${port}` : `${hostname}:${port}`

/** One listens on every address but dials one of them. */
export const dialledUrl = ({ hostname, port }: ListenAddress): string =>
  `http://${addressText({ hostname: isWildcard(hostname) ? '127.0.0.1' : hostname, port })}`

const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, '')
