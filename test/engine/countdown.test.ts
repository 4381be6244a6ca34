/** Many counts on one timer: each runs out at its own time, and what is over before that leaves nothing behind. */
import { expect, test } from 'bun:test'
import { Countdown, Counted } from '../../src/engine/countdown.ts'
import { createDice } from '../support/chance.ts'
import { seedOf } from '../support/figures.ts'
import { createVirtualClock } from '../support/virtual-clock.ts'

class One extends Counted {
  ranOutAtMs: number | null = null
  readonly #nowMs: () => number
  constructor(nowMs: () => number) {
    super()
    this.#nowMs = nowMs
  }
  ranOut(): void {
    this.ranOutAtMs = this.#nowMs()
  }
}

test('each runs out at its own time, on one timer, and none that was ended before', async () => {
  const { random } = createDice(seedOf('countdown'))
  const clock = createVirtualClock()
  const countdown = new Countdown<One>(clock, 900)
  const begun: { one: One; atMs: number; endedAtMs: number | null }[] = []
  for (let step = 0; step < 2_000; step++) {
    if (random() < 0.6) {
      const one = new One(() => clock.monotonicMs())
      countdown.begin(one)
      begun.push({ one, atMs: clock.monotonicMs(), endedAtMs: null })
    } else {
      const each = begun[Math.floor(random() * begun.length)]
      if (each !== undefined) countdown.end(each.one)
      if (each !== undefined && each.one.ranOutAtMs === null) each.endedAtMs ??= clock.monotonicMs()
    }
    expect(clock.pending).toBeLessThanOrEqual(1)
    await clock.advance(Math.floor(random() * 20))
  }
  await clock.advance(900)
  for (const { one, atMs, endedAtMs } of begun) expect(one.ranOutAtMs).toBe(endedAtMs === null ? atMs + 900 : null)
  expect([clock.pending, countdown.all()]).toEqual([0, []])
})

test('one that ran out may begin again at once, and one that ends another one does', async () => {
  const clock = createVirtualClock()
  const countdown = new Countdown<Counted>(clock, 100)
  const times: number[] = []
  class Again extends Counted {
    ranOut(): void {
      times.push(clock.monotonicMs())
      countdown.end(other)
      if (times.length < 3) countdown.begin(this)
    }
  }
  const other = new One(() => clock.monotonicMs())
  countdown.begin(new Again())
  countdown.begin(other)
  await clock.advance(1_000)
  expect([times, other.ranOutAtMs, clock.pending]).toEqual([[100, 200, 300], null, 0])
})

test('the last one that ends takes the timer with it', () => {
  const clock = createVirtualClock()
  const countdown = new Countdown<One>(clock, 100)
  const [a, b] = [new One(() => 0), new One(() => 0)]
  countdown.begin(a)
  countdown.begin(b)
  countdown.end(a)
  countdown.end(a)
  expect([clock.pending, countdown.all()]).toEqual([1, [b]])
  countdown.end(b)
  expect(clock.pending).toBe(0)
})
