/** The magic packet: six times FF and sixteen times the address of the card that it wakes, 102 bytes to the byte. */
import type { Parsed } from '../../domain/duration.ts'
import { bad, ok } from '../../domain/readers.ts'

/** Six bytes, whatever stands between them: `aa:bb:cc:dd:ee:ff`, `aa-bb-…`, `aabb.ccdd.eeff` or none. */
export const readMac = (text: string): Parsed<string> => {
  const digits = text.replace(/[:.-]/g, '').toLowerCase()
  const isWritten =
    /^(?:[0-9a-f]{2}([:-]?))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i.test(text) ||
    /^(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}$/i.test(text)
  // Nobody's address, and everybody's.
  if (!isWritten || digits === '000000000000' || digits === 'ffffffffffff') return bad()
  return ok(digits)
}

/** The packet for an address of twelve hexadecimal digits. */
export const magicPacket = (mac: string): Uint8Array => {
  const card = Uint8Array.fromHex(mac)
  const packet = new Uint8Array(6 + 16 * card.length).fill(0xff)
  for (let at = 6; at < packet.length; at += card.length) packet.set(card, at)
  return packet
}
