/** The manager may be stopped at any moment of its work, and leaves no timer. */
import { expect, test } from 'bun:test'
import { createDice } from '../../support/chance.ts'
import { seedOf } from '../../support/figures.ts'
import { createWorld } from '../../support/managed.ts'

const ROUNDS = 20

test(`${ROUNDS} stops, while it starts, asks, waits, restarts or is left alone: no timer is left`, async () => {
  const dice = createDice(seedOf('manager stops'))
  for (let round = 0; round < ROUNDS; round++) {
    const world = createWorld({ manage: dice.pick(['own', 'adopt']), workMs: 3_000 })
    const { bench } = world
    if (dice.chance(0.3))
      world.next = dice.pick(['dies', { kind: 'failed', words: 'x' }, { kind: 'conflict', words: 'x' }])
    if (dice.chance(0.7)) await bench.submit('a')
    await bench.clock.advance(dice.random() * 100_000)
    if (dice.chance(0.5)) world.hangs = true
    if (dice.chance(0.3)) world.die()
    await bench.clock.advance(dice.random() * 200_000)
    const part = world.part()
    await Promise.all([part.stop(), bench.stop(0)])
    await part.stop()
    expect(bench.clock.pending).toBe(0)
    await bench.close()
  }
}, 60_000)
