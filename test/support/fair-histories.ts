/** Histories in which a target does to its calls whatever is no reason for a fallback; how often the fallback was asked all the same. */
import fc from 'fast-check'
import { createFallbackBench } from './fallback-bench.ts'
import type { TestStore } from './store.ts'
import { FINAL, type Plan } from './virtual-target.ts'

const BEGUN = '{"model":"m","done":false}\n'

const stream =
  (pieces: readonly string[], ending: 'end' | 'reset') =>
  (everyMs: number): Plan => ({
    kind: 'stream',
    pieces,
    ending,
    everyMs,
  })

const fair: fc.Arbitrary<Plan> = fc.oneof(
  fc.nat(120_000).map((afterMs): Plan => ({ kind: 'ok', afterMs })),
  fc
    .constantFrom(400, 401, 403, 404, 413, 422)
    .map((status): Plan => ({ kind: 'status', status, error: "model 'x' not found" })),
  fc
    .constantFrom(429, 503)
    .map((status): Plan => ({ kind: 'status', status, error: 'server busy, please try again.' })),
  fc.nat(60).map((s): Plan => ({ kind: 'status', status: 503, error: 'server busy', retryAfter: String(s) })),
  fc.nat(20_000).map(stream([BEGUN, FINAL], 'end')),
  // Begun, and then it breaks: nobody goes on in its place.
  fc.nat(5_000).map(stream([BEGUN], 'reset')),
)

const history = fc.array(
  fc.record({
    plan: fair,
    model: fc.constantFrom('m-a', 'm-b'),
    afterMs: fc.nat(30_000),
    leavesMs: fc.option(fc.nat(40_000)),
    deadlineMs: fc.option(fc.integer({ min: 1, max: 60_000 })),
  }),
  { minLength: 1, maxLength: 8 },
)

/** Runs so many, with a fallback that would be asked at once. */
export const runFairHistories = async (store: TestStore, { count, seed }: { count: number; seed: number }) => {
  let calls = 0
  let asked = 0
  const run = async (steps: typeof history extends fc.Arbitrary<infer T> ? T : never) => {
    const bench = createFallbackBench({ store, fallback: { fallbackAfterMs: 0 } })
    const { clock, target, call, until, engine } = bench
    const plans = new Map(steps.map(({ plan }, i) => [`call ${i}`, plan]))
    target.script = ({ body, isWork }) => (isWork ? plans.get(/call \d+/.exec(body)?.[0] ?? '') : undefined)
    for (const [i, { model, afterMs, leavesMs, deadlineMs }] of steps.entries()) {
      const result = call(`c${i}`, { model, text: `call ${i}`, ...(deadlineMs !== null && { deadlineMs }) })
      if (leavesMs !== null) clock.after(leavesMs, result.leave)
      await clock.advance(afterMs)
      calls++
    }
    await until(() => engine.callers.size === 0, 3_600_000, 5_000)
    asked += bench.worked()
    await bench.close()
    return asked === 0
  }
  await fc.assert(fc.asyncProperty(history, run), { seed, numRuns: count })
  return { calls, asked }
}
