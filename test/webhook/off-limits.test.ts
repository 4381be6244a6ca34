/** Proves that foreman's and the target's addresses are known whatever the resolver does, and that this machine counts as one. */
import { describe, expect, test } from 'bun:test'
import { addressProblem, type OffLimit } from '../../src/webhook/address.ts'
import { parseIp } from '../../src/webhook/ip.ts'
import { localAddresses, systemResolve } from '../../src/webhook/network.ts'
import { createOffLimits } from '../../src/webhook/off-limits.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'

const listener = { what: 'foreman itself', host: '0.0.0.0', port: 8080 }
const target = { what: 'the Ollama server', host: 'gpu-box', port: 11434 }

const offLimitsOf = (places: readonly OffLimit[], resolve: (hostname: string) => Promise<readonly string[]>) => {
  const clock = createVirtualClock()
  const offLimits = createOffLimits({
    places: () => places,
    resolve,
    localAddresses: () => ['192.168.1.5', 'fd00::5'],
    clock,
  })
  const isRefused = async (address: string, port: number) =>
    addressProblem('lan', parseIp(address)!, port, await offLimits()) !== null
  return { clock, offLimits, isRefused }
}
const nobody = () => Promise.reject(new Error('ENOTFOUND'))

describe('this machine', () => {
  test('a listener on every address is refused at each of them, and only at its port', async () => {
    const { isRefused } = offLimitsOf([listener], nobody)
    for (const address of ['127.0.0.1', '127.7.7.7', '::1', '192.168.1.5', '::ffff:192.168.1.5', 'fd00::5'])
      expect([address, await isRefused(address, 8080), await isRefused(address, 8081)]).toEqual([address, true, false])
    expect(await isRefused('192.168.1.6', 8080)).toBe(false)
  })

  test.each(['127.0.0.1', '192.168.1.5', '::1'])('a target at %s may listen at the others too', async (host) => {
    const { isRefused } = offLimitsOf([{ ...target, host }], nobody)
    for (const address of ['127.0.0.1', '192.168.1.5', 'fd00::5'])
      expect([address, await isRefused(address, 11434)]).toEqual([address, true])
  })

  test('its real addresses are all addresses', () => {
    expect(localAddresses().length).toBeGreaterThan(0)
    expect(localAddresses().filter((address) => parseIp(address) === null)).toEqual([])
  })

  test('a name that the system knows is resolved to addresses', async () => {
    const found = await systemResolve('localhost')
    expect(found.length).toBeGreaterThan(0)
    expect(found.filter((address) => parseIp(address) === null)).toEqual([])
  })
})

describe('a target with a name', () => {
  test('is looked up again every 30 seconds, and what was known stays known', async () => {
    const answers: (readonly string[] | null)[] = [['192.168.1.30'], null, [], ['192.168.1.31']]
    let lookups = 0
    const { clock, isRefused } = offLimitsOf([target], async () => {
      const answer = answers[lookups++]
      if (!answer) throw new Error('ENOTFOUND')
      return answer
    })
    const refused = async () => [await isRefused('192.168.1.30', 11434), await isRefused('192.168.1.31', 11434)]
    expect(await refused()).toEqual([true, false])
    for (const expected of [2, 3]) {
      await clock.advance(30_000)
      expect(await refused()).toEqual([true, false])
      expect(lookups).toBe(expected)
    }
    await clock.advance(30_000)
    // The first to ask starts the lookup and gets what was known before it.
    await refused()
    await settled()
    expect(await refused()).toEqual([false, true])
    expect(lookups).toBe(4)
  })

  test('a lookup that hangs holds the first webhooks for two seconds, not for ever', async () => {
    const { clock, offLimits } = offLimitsOf([target], () => new Promise(() => {}))
    let answered = false
    const asked = offLimits().then(() => {
      answered = true
    })
    await clock.advance(1_999)
    expect(answered).toBe(false)
    await clock.advance(1)
    await asked
    expect(clock.pending).toBe(0)
  })

  test('without a lookup that worked, its name is still refused where it is written', async () => {
    const { offLimits } = offLimitsOf([target], nobody)
    expect(await offLimits()).toEqual([target])
  })
})
