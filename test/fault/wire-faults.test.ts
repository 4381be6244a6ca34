/** T2: wires that break and say so, in every phase: each call gets its own answer, and the worker is free again. */
import { describe, test } from 'bun:test'
import { systemClock } from '../../src/clock.ts'
import { cases, isSlow, loudFaults, report, tryFault, withBench } from '../support/fault-bench.ts'

describe('a wire fault', () => {
  for (const [fault, trialOf] of Object.entries(loudFaults)) {
    test(`that is "${fault}" is told to its own caller alone and frees the worker`, async () => {
      const quick = cases.filter(({ phase, stream }) => !isSlow(fault, phase, stream))
      await withBench(systemClock, async (bench) => {
        for (const { phase, stream } of quick) await tryFault(bench, fault, trialOf, phase, stream)
      })
      report(fault, quick.length)
    }, 60_000)
  }
})
