/** Repeatable dice for random tests; it must never be seeded by anything but the printed seed. */
import type { Random } from '../../src/domain/clock.ts'

/** What a random test throws. */
export interface Dice {
  readonly random: Random
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number
  pick<T>(items: readonly T[]): T
  /** True with this probability. */
  chance(probability: number): boolean
}

/** Dice for a seed (mulberry32). */
export const createDice = (seed: number): Dice => {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
  return {
    random,
    between,
    pick: (items) => items[between(0, items.length - 1)]!,
    chance: (probability) => random() < probability,
  }
}
