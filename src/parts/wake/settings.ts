/** The rows of waking in the table of settings. */
import type { Parsed } from '../../domain/duration.ts'
import { bad, ok, optional } from '../../domain/readers.ts'
import type { SettingRows, ValuesOf } from '../../domain/setting.ts'
import type { PartPorts } from '../../engine/part.ts'
import { readMac } from './magic.ts'
import type { Destination } from './networks.ts'

const readDestination = (text: string): Parsed<Destination> => {
  const [, v6, name, port] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9][a-z0-9._-]*)):(\d{1,5})$/i.exec(text) ?? []
  const host = v6 ?? name
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) return bad()
  return ok({ host, port: Number(port) })
}

export const settings = {
  wakeMac: {
    variable: 'FOREMAN_WAKE_MAC',
    fallback: '',
    meaning:
      "address of the target's network card: while somebody waits for it and it is away, it is woken (Wake-on-LAN)",
    allowed: 'six bytes in hexadecimal such as 3c:22:fb:01:02:03',
    parse: optional(readMac),
  },
  wakeAddr: {
    variable: 'FOREMAN_WAKE_ADDR',
    fallback: '255.255.255.255:9',
    meaning: 'where the packets that wake it go; 255.255.255.255 is into every network of this machine',
    allowed: 'host:port such as 192.168.1.255:9',
    parse: readDestination,
  },
} satisfies SettingRows

export type WakePorts = PartPorts<ValuesOf<typeof settings>>
