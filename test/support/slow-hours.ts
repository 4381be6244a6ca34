/** Hours of a target that is slow at everything and hangs at nothing: whoever cures something there has done harm. */
import { expect } from 'bun:test'
import { createDice } from './chance.ts'
import { createResidencyBench } from './residency-bench.ts'
import { FINAL } from './virtual-target.ts'

const TOKEN = '{"model":"m","message":{"role":"assistant","content":"x"},"done":false}\n'

/** Two slots, a pin and two other models; the number of calls, each of which was answered and none of which was cured. */
export const slowHours = async (hours: number, seed: number): Promise<number> => {
  const dice = createDice(seed)
  const config = { jobTimeoutMs: 7_200_000, pollIntervalMs: 300_000 }
  const bench = createResidencyBench({ pins: ['pin'] }, { loadMs: 540_000, workMs: 600_000, config })
  bench.target.modelSlots = 2
  bench.target.installed.push('pin:latest')
  bench.target.script = ({ isWork, atMs, key }) =>
    isWork && Math.floor(atMs / 1_000) % 2 === 0 && bench.target.holds(key)
      ? { kind: 'stream', pieces: [...Array.from({ length: 10 }, () => TOKEN), FINAL], ending: 'end', everyMs: 60_000 }
      : undefined
  let calls = 0
  while (bench.clock.monotonicMs() < hours * 3_600_000) {
    const result = bench.call(`c${calls++}`, { model: dice.pick(['m-a', 'm-a', 'm-b', 'pin']) })
    await bench.until(() => result.isOver, 4 * 3_600_000, 300_000)
    expect([result.status, result.status === 200 ? '' : result.text]).toEqual([200, ''])
    await bench.clock.advance(dice.between(0, 600_000))
  }
  const unloads = bench.target.seen.filter(({ body }) => body.includes('"keep_alive":0'))
  const cures = [bench.noticed('load_hangs'), unloads, bench.eventsOf('target_hangs'), bench.eventsOf('job_requeued')]
  expect(cures).toEqual([[], [], [], []])
  await bench.close()
  return calls
}
