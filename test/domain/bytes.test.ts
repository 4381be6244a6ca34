/** Bytes with room behind them are the same bytes, and what is put in comes out as if all had been copied. */
import { expect, test } from 'bun:test'
import { concat, RoomyBytes, roomy, withInserted } from '../../src/domain/bytes.ts'
import { joined } from '../../src/domain/slices.ts'
import { createDice } from '../support/chance.ts'
import { seedOf } from '../support/figures.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'

test('5,000 random insertions give what a copy gives, with room and without', () => {
  const dice = createDice(seedOf('insertions'))
  for (let round = 0; round < 5_000; round++) {
    const bytes = Uint8Array.from({ length: dice.between(0, 50) }, () => dice.between(0, 255))
    const withRoom = roomy(bytes.length)
    withRoom.set(bytes)
    let plain: Uint8Array = bytes
    let changed: Uint8Array = withRoom
    for (let i = dice.between(1, 4); i > 0; i--) {
      const added = Uint8Array.from({ length: dice.between(0, 400) }, () => dice.between(0, 255))
      const at = dice.between(0, plain.length)
      plain = concat([plain.subarray(0, at), added, plain.subarray(at)])
      changed = withInserted(changed, at, added)
    }
    expect(Buffer.from(changed).equals(Buffer.from(plain))).toBe(true)
    expect(Buffer.from(withInserted(bytes, 0, Uint8Array.of(1))).equals(Buffer.from([1, ...bytes]))).toBe(true)
  }
})

test('a part of roomy bytes has no room: what lies behind it stays as it is', () => {
  const all = roomy(10)
  all.fill(7)
  const part = all.subarray(0, 4)
  expect(part).not.toBeInstanceOf(RoomyBytes)
  expect([...withInserted(part, 4, Uint8Array.of(1, 2))]).toEqual([7, 7, 7, 7, 1, 2])
  expect([...all]).toEqual(Array(10).fill(7))
})

test('an insertion near the end of 100 MB copies nothing', () => {
  const all = roomy(100_000_000)
  const longer = withInserted(all, all.length - 1, Uint8Array.of(1, 2, 3))
  expect(longer.buffer).toBe(all.buffer)
  expect(longer.length).toBe(all.length + 3)
})

test('joining many bytes lets others have their turn in between', async () => {
  const clock = createVirtualClock()
  const pieces = [new Uint8Array(9 * 1024 ** 2).fill(1), new Uint8Array(5 * 1024 ** 2).fill(2)]
  let isDone = false
  const joining = joined(clock, pieces).then((all) => {
    isDone = true
    return all
  })
  await settled()
  expect(isDone).toBe(false)
  for (let i = 0; i < 10; i++) await clock.advance(0)
  const all = await joining
  expect([all.length, all[0], all.at(-1)]).toEqual([14 * 1024 ** 2, 1, 2])
})
