/** Whatever comes, goes, leaves, expires and returns at the same moment on both machines: nobody is forgotten, and no job is left in a lane. */
import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createFallbackBench } from '../../support/fallback-bench.ts'
import { figure, seedOf } from '../../support/figures.ts'
import { createTestStore, newJob } from '../../support/store.ts'
import type { Plan } from '../../support/virtual-target.ts'

const HISTORIES = 100

const store = createTestStore({ fast: true })
afterAll(store.close)

// Few distinct times, so that they fall together often.
const moment = fc.constantFrom(0, 50, 100, 1_000, 5_000)

const fault: fc.Arbitrary<Plan | null> = fc.constantFrom<(Plan | null)[]>(
  null,
  { kind: 'unreached' },
  { kind: 'status', status: 503, error: 'server busy' },
  { kind: 'status', status: 500, error: 'llama-server process has terminated: exit status 1' },
  { kind: 'reset' },
  { kind: 'stream', pieces: ['{"done":false}\n'], ending: 'reset' },
)

const wait = fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(50, 1_000, 5_000, 10_000, 40_000) })

const step = fc.oneof(
  fc.record({
    do: fc.constant('call' as const),
    model: fc.constantFrom('m-a', 'm-b'),
    leavesMs: fc.option(moment),
    deadlineMs: fc.option(fc.constantFrom(50, 5_000)),
  }),
  fc.record({ do: fc.constant('job' as const), fallback: fc.constantFrom('auto' as const, undefined) }),
  fc.record({ do: fc.constant('target' as const), awake: fc.constantFrom(false, false, true), fault }),
  fc.record({ do: fc.constant('laptop' as const), awake: fc.boolean(), fault }),
  wait,
  wait,
  wait,
)

const body = new TextEncoder().encode('{"model":"m-a","messages":[{"role":"user","content":"hi"}],"stream":true}')

test(`${HISTORIES} random histories on two machines: 0 callers and 0 jobs forgotten, 0 left in a lane`, async () => {
  const seed = seedOf('two machines')
  const total = { calls: 0, jobs: 0, elsewhere: 0 }
  const run = async (steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]) => {
    const bench = createFallbackBench({
      store,
      workMs: 100,
      laptopMs: 100,
      config: { unreachableDeadlineMs: 20_000, maxAttempts: 2, pollIntervalMs: 10_000 },
      fallback: { fallbackConcurrency: 2 },
    })
    const { clock, target, laptop, call, engine, until } = bench
    const results = []
    for (const [i, one] of steps.entries()) {
      if (one.do === 'wait') await clock.advance(one.ms)
      else if (one.do === 'job') {
        const job = newJob(`j${i}`, { request: body, ...(one.fallback && { fallback: one.fallback }) })
        await Promise.all([store.queue.submit(job, clock.now()), bench.quiet()])
        engine.nudge()
        const { id: jobId, kind, model, residencyKey, endpoint } = job
        bench.bus.emit({ event: 'job_submitted', jobId, kind, model, residencyKey, endpoint })
        total.jobs++
      } else if (one.do === 'call') {
        const { model, leavesMs, deadlineMs } = one
        const result = call(`c${i}`, { model, ...(deadlineMs !== null && { deadlineMs }) })
        if (leavesMs !== null) clock.after(leavesMs, result.leave)
        results.push(result)
        total.calls++
      } else {
        const machine = one.do === 'target' ? target : laptop
        machine.awake = one.awake
        machine.script = ({ isWork }) => (isWork && one.fault !== null ? one.fault : undefined)
      }
    }
    for (const machine of [target, laptop]) {
      machine.awake = true
      machine.script = () => undefined
    }
    const isFinal = () => store.rows().every(({ completed_at }) => completed_at !== null)
    await until(() => engine.callers.size === 0 && isFinal(), 1_800_000, 1_000)
    total.elsewhere += bench.eventsOf('job_done').filter(({ servedBy }) => servedBy !== undefined).length
    expect(store.rows().filter(({ slot }) => slot !== null)).toEqual([])
    expect(bench.eventsOf('loop_failed')).toEqual([])
    await bench.close()
  }
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 24 }), run), { seed, numRuns: HISTORIES })
  const { calls, jobs, elsewhere } = total
  figure('FB6', `${HISTORIES} histories, ${calls} calls and ${jobs} jobs, ${elsewhere} done elsewhere: 0 forgotten`)
  expect(elsewhere).toBeGreaterThan(0)
}, 120_000)
