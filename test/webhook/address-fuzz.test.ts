/** Throws generated URLs and resolver answers at a whole delivery and asks a second opinion about every address that it dialled. */
import { describe, expect, test } from 'bun:test'
import { BlockList, isIP } from 'node:net'
import { systemClock } from '../../src/clock.ts'
import type { WebhookPolicy } from '../../src/webhook/address.ts'
import { createDelivery } from '../../src/webhook/delivery.ts'
import { createDice, type Dice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'

const CASES = 10_000
const OWN = { what: 'foreman itself', host: '10.9.8.7', port: 8080 }

/** The second opinion: Node's block lists, written down from the specification and not from the code. */
const listOf = (...subnets: string[]): BlockList => {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [address = '', prefix] = subnet.split('/')
    list.addSubnet(address, Number(prefix), address.includes(':') ? 'ipv6' : 'ipv4')
  }
  return list
}
const never = listOf(
  ...['0.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/128', 'fe80::/10', 'ff00::/8', '2002::/16', '2001::/32', '64:ff9b::7f00:0/104', '64:ff9b::a9fe:0/112'],
)
const home = listOf(
  ...['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '::1/128', 'fc00::/7'],
)

const holds = (list: BlockList, address: string): boolean => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

const bypasses = (policy: WebhookPolicy, address: string, port: number): boolean => {
  if (policy === 'any') return false
  if (isIP(address) === 0 || address.includes('.') !== (isIP(address) === 4)) return true
  if (holds(never, address) || (address === OWN.host && port === OWN.port)) return true
  return policy === 'public' && holds(home, address)
}

const interesting = [
  ...[0x7f000001, 0xa9fea9fe, 0x0a090807, 0xc0a80114, 0x64404001, 0, 0xe0000001, 0xffffffff, 0x01010101, 0xac100001],
]

/** Four bytes as somebody would write them who wants them overlooked. */
const spellV4 = (dice: Dice, value: number): string => {
  const bytes = [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
  const number = (n: number) =>
    dice.pick([String(n), `0x${n.toString(16)}`, `0${n.toString(8)}`, `0X${n.toString(16)}`])
  const hex = (value >>> 16).toString(16)
  const low = (value & 0xffff).toString(16)
  return dice.pick([
    () => bytes.join('.'),
    () => bytes.map(number).join('.'),
    () => number(value),
    () => `${number(bytes[0]!)}.${number(value & 0xff_ffff)}`,
    () => `${number(bytes[0]!)}.${number(bytes[1]!)}.${number(value & 0xffff)}`,
    () => `${bytes.join('.')}.`,
    () => bytes.join(dice.pick(['。', '．', '%2e'])),
    () => [...bytes.join('.')].map((c) => (/\d/.test(c) ? String.fromCodePoint(0xff10 + Number(c)) : c)).join(''),
    () => `[::ffff:${bytes.join('.')}]`,
    () => `[::ffff:${hex}:${low}]`,
    () => `[::${hex}:${low}]`,
    () => `[64:ff9b::${bytes.join('.')}]`,
    () => `[2002:${hex}:${low}::1]`,
    () => `[2001:0:${hex}:${low}::]`,
    () => `[0:0:0:0:0:FFFF:${hex}:${low}]`,
  ])()
}

const spellHost = (dice: Dice): string =>
  dice.pick([
    () => spellV4(dice, dice.chance(0.7) ? dice.pick(interesting) : dice.between(0, 0xffff_ffff)),
    () => dice.pick(['[::1]', '[::]', '[fe80::1]', '[fd00::5]', '[ff02::1]', '[2606:4700::1]', '[::1%25lo]']),
    () => dice.pick(['localhost', 'LocalHost.', 'a.localhost', 'rebind.test', 'x.local', 'metadata', '...', 'xn--x']),
  ])()

const spellUrl = (dice: Dice): string => {
  const scheme = dice.pick(['http://', 'https://', 'HTTP:\\\\', 'http:', 'http:///', 'ftp://', '//', 'ht\ttp://'])
  const user = dice.chance(0.1) ? dice.pick(['user@', 'a:b@', '1.1.1.1@', '1.1.1.1%40']) : ''
  const port = dice.pick(['', '', ':8080', ':80', ':0', ':99999', ':08080'])
  const path = dice.pick(['', '/', '/hook', '\\@1.1.1.1/', '#@1.1.1.1', '?@1.1.1.1', '/\r\nHost: x'])
  const url = `${scheme}${user}${spellHost(dice)}${port}${path}`
  if (!dice.chance(0.1)) return url
  const at = dice.between(0, url.length)
  return url.slice(0, at) + String.fromCharCode(dice.between(0, 0x2100)) + url.slice(at)
}

/** What a resolver, honest or not, may say. */
const spellAnswer = (dice: Dice): string =>
  dice.pick([
    () => spellV4(dice, dice.pick(interesting)).replace(/^\[|\]$/g, ''),
    () =>
      dice.pick(['::1', '::', 'fe80::1%eth0', 'fd00::1', '2606:4700::1', '1.1.1.1', '10.9.8.7', '', 'name', '::1 ']),
  ])()

describe('fuzzed URLs', () => {
  test('10,000 of them under each policy dial nothing that the policy refuses', async () => {
    const dice = createDice(seedOf('webhook addresses'))
    const found: string[] = []
    let dialled = 0
    let refused = 0
    for (let i = 0; i < CASES * 3; i++) {
      const policy = (['public', 'lan', 'any'] as const)[i % 3]!
      const url = spellUrl(dice)
      const answers = Array.from({ length: dice.between(0, 3) }, () => spellAnswer(dice))
      const delivery = createDelivery({
        resolve: async () => answers,
        offLimits: async () => [OWN],
        open: ({ origin, address }) => ({
          send: async () => {
            dialled++
            const { port, protocol } = new URL(origin)
            const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
            if (bypasses(policy, address, number)) found.push(`${policy}: ${url} [${answers}] -> ${address}`)
            return { kind: 'unreached', code: 'refused', message: 'nobody is there' }
          },
          close: () => {},
        }),
        policy,
        clock: systemClock,
        secrets: [],
        version: 'test',
      })
      const outcome = await delivery.deliver({ url, id: 'job_1', body: new Uint8Array() })
      if (outcome.kind === 'refused') refused++
      else expect(outcome.kind).toBe('retry')
    }
    expect(found).toEqual([])
    // Both ways must have been taken often, or the test has shown nothing.
    expect(dialled).toBeGreaterThan(CASES / 2)
    expect(refused).toBeGreaterThan(CASES / 2)
    figure('W6', `${CASES} fuzzed URLs x 3 policies: ${dialled} dialled, ${refused} refused, bypasses: ${found.length}`)
  }, 60_000)

  test('the second opinion can find a bypass', () => {
    expect(bypasses('lan', '169.254.169.254', 80)).toBe(true)
    expect(bypasses('lan', '10.9.8.7', 8080)).toBe(true)
    expect(bypasses('public', '100.64.0.1', 80)).toBe(true)
    expect(bypasses('lan', 'localhost', 80)).toBe(true)
    expect(bypasses('lan', '100.64.0.1', 80)).toBe(false)
  })
})
