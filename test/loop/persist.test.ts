/** A write is repeated until it is taken: at 100 ms, then twice as long each time, at most 2 s. */
import { expect, test } from 'bun:test'
import { persist, persistUntil } from '../../src/loop/persist.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'

const refusing = (times: number) => {
  const disk = { tries: 0, refused: 0 }
  const write = async () => {
    disk.tries++
    if (disk.tries <= times) throw new Error('disk full')
    return 'written'
  }
  return Object.assign(disk, { write, told: () => void disk.refused++ })
}

test('a write that is refused is repeated until it is taken, and each refusal is told', async () => {
  const clock = createVirtualClock()
  const disk = refusing(7)
  const said = persist(clock, disk.write, disk.told)
  await clock.advance(100 + 200 + 400 + 800 + 1_600 + 2_000 + 1_999)
  expect(disk.tries).toBe(7)
  await clock.advance(1)
  expect(await said).toBe('written')
  expect([disk.tries, disk.refused, clock.pending]).toEqual([8, 7, 0])
})

test('a write that may be left is given up when the signal comes, and not before it has been tried', async () => {
  const clock = createVirtualClock()
  const disk = refusing(3)
  const halt = new AbortController()
  const taken = persistUntil(halt.signal, clock, disk.write, disk.told)
  await settled()
  halt.abort()
  expect(await taken).toBeNull()
  expect([disk.tries, disk.refused, clock.pending]).toEqual([1, 1, 0])
  expect(await persistUntil(halt.signal, clock, async () => 7, disk.told)).toEqual({ said: 7 })
})
