/** Reads IP addresses and says what kind they are; pure, and it must never take a spelling that another parser would read differently. */

/** What an address is for, after the IANA special-purpose registries. `reserved` is everything nobody can host a receiver at. */
export type AddressKind =
  | 'global'
  | 'loopback'
  | 'private'
  | 'shared'
  | 'link-local'
  | 'metadata'
  | 'multicast'
  | 'unspecified'
  | 'reserved'

/** An address as its bits. */
export interface Ip {
  readonly bits: 32 | 128
  readonly value: bigint
}

const dotted = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/
const group = /^[0-9a-f]{1,4}$/i

const parseV4 = (text: string): bigint | null => {
  const parts = dotted.exec(text)?.slice(1)
  if (parts === undefined) return null
  let value = 0n
  for (const part of parts) {
    // "0177" is 127 to some and 177 to others.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return null
    value = (value << 8n) | BigInt(part)
  }
  return value
}

const parseGroups = (text: string): string[] | null => {
  if (text === '') return []
  const groups = text.split(':')
  const last = groups.at(-1) ?? ''
  const tail = last.includes('.') ? parseV4(last) : null
  if (tail !== null) groups.splice(-1, 1, (tail >> 16n).toString(16), (tail & 0xffffn).toString(16))
  return groups.every((part) => group.test(part)) ? groups : null
}

const parseV6 = (text: string): bigint | null => {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const left = parseGroups(halves[0] ?? '')
  const right = halves[1] === undefined ? [] : parseGroups(halves[1])
  if (left === null || right === null) return null
  const missing = 8 - left.length - right.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null
  // A dotted tail belongs at the very end.
  if (halves.length === 2 && halves[0]?.includes('.')) return null
  const groups = [...left, ...Array<string>(missing).fill('0'), ...right]
  return groups.reduce((value, part) => (value << 16n) | BigInt(`0x${part}`), 0n)
}

/** An address in its plain spelling, with or without the brackets of a URL and the zone of a resolver; null for anything else. */
export const parseIp = (text: string): Ip | null => {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  if (!bare.includes(':')) {
    const value = parseV4(bare)
    return value === null ? null : { bits: 32, value }
  }
  const value = parseV6(bare.replace(/%[\w.~-]+$/, ''))
  return value === null ? null : { bits: 128, value }
}

/** The one spelling of these bits. */
export const formatIp = ({ bits, value }: Ip): string => {
  const width = bits === 32 ? 8n : 16n
  const parts = Array.from({ length: bits / Number(width) }, (_, i) => {
    const part = (value >> (BigInt(bits) - width * BigInt(i + 1))) & ((1n << width) - 1n)
    return bits === 32 ? String(part) : part.toString(16)
  })
  return parts.join(bits === 32 ? '.' : ':')
}

interface Range {
  readonly bits: 32 | 128
  readonly shift: bigint
  readonly prefix: bigint
  readonly kind: AddressKind
}

const range = (cidr: string, kind: AddressKind): Range => {
  const [text = '', length] = cidr.split('/')
  const ip = parseIp(text)
  if (ip === null) throw new Error(`not a range: ${cidr}`)
  const shift = BigInt(ip.bits - Number(length))
  return { bits: ip.bits, shift, prefix: ip.value >> shift, kind }
}

const inRange = ({ bits, value }: Ip, { bits: rangeBits, shift, prefix }: Range): boolean =>
  bits === rangeBits && value >> shift === prefix

// The first match counts. The single addresses are the clouds' metadata services that are not link-local.
const ranges: readonly Range[] = [
  range('100.100.100.200/32', 'metadata'),
  range('168.63.129.16/32', 'metadata'),
  range('192.0.0.192/32', 'metadata'),
  range('0.0.0.0/8', 'unspecified'),
  range('10.0.0.0/8', 'private'),
  range('100.64.0.0/10', 'shared'),
  range('127.0.0.0/8', 'loopback'),
  range('169.254.0.0/16', 'link-local'),
  range('172.16.0.0/12', 'private'),
  range('192.0.0.0/24', 'reserved'),
  range('192.0.2.0/24', 'reserved'),
  range('192.88.99.0/24', 'reserved'),
  range('192.168.0.0/16', 'private'),
  range('198.18.0.0/15', 'reserved'),
  range('198.51.100.0/24', 'reserved'),
  range('203.0.113.0/24', 'reserved'),
  range('224.0.0.0/4', 'multicast'),
  range('240.0.0.0/4', 'reserved'),
  range('0.0.0.0/0', 'global'),
  range('fd00:c1::a9fe:a9fe/128', 'metadata'),
  range('fd00:ec2::254/128', 'metadata'),
  range('fd20:ce::254/128', 'metadata'),
  range('::/128', 'unspecified'),
  range('::1/128', 'loopback'),
  range('fc00::/7', 'private'),
  range('fe80::/10', 'link-local'),
  range('ff00::/8', 'multicast'),
  // Teredo is in the first and 6to4 is the third: tunnels that end at whatever IPv4 address is written inside.
  range('2001::/23', 'reserved'),
  range('2001:db8::/32', 'reserved'),
  range('2002::/16', 'reserved'),
  range('3fff::/20', 'reserved'),
  range('2000::/3', 'global'),
  range('::/0', 'reserved'),
]

const mapped = range('::ffff:0:0/96', 'reserved')
const translated = range('64:ff9b::/96', 'reserved')
const lowV4 = (ip: Ip): Ip => ({ bits: 32, value: ip.value & 0xffff_ffffn })

/** The address a packet ends at: ::ffff:127.0.0.1 is dialled as 127.0.0.1, and NAT64 leads to the IPv4 address inside. */
export const reachedIp = (ip: Ip): Ip => (inRange(ip, mapped) || inRange(ip, translated) ? lowV4(ip) : ip)

/** What to dial: the kernel takes ::ffff:a.b.c.d for a.b.c.d anyway, while the way to a NAT64 address is its gateway's business. */
export const dialledIp = (ip: Ip): Ip => (inRange(ip, mapped) ? lowV4(ip) : ip)

/** The kind of an address. One that NAT64 would translate is judged by what is inside, and only a global one may be (RFC 6052, 3.1). */
export const kindOf = (ip: Ip): AddressKind => {
  const reached = reachedIp(ip)
  const kind = ranges.find((candidate) => inRange(reached, candidate))?.kind ?? 'reserved'
  return inRange(ip, translated) && kind !== 'global' ? 'reserved' : kind
}
