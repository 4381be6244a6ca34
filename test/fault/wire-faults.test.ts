/** T2: every way a wire can fail, in every phase: no call may hang, each gets its own answer, and the worker is free again. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/domain/clock.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createDice } from '../support/chance.ts'
import { type FaultyWire, startFaultyWire, type WireFault, type WirePhase } from '../support/faulty-wire.ts'
import { figure, seedOf } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { type GenerationPath, generation, generationPaths, type Seen, seenBy } from '../support/generation-call.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { healthIs } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { askOnce, headerOf, openClient, type WireAnswer } from '../support/wire-client.ts'

const REPETITIONS = Number(process.env['FOREMAN_TEST_FAULT_REPETITIONS'] ?? 20)
// Half-open is noticed after 29 s of foreman's time: with this factor that is 0.8 s of ours.
const HASTE = 36
const HUNG_MS = 15_000
const PROMPT = '[[n=400]]'
// Cut into pieces of a few bytes, a long answer would only take long.
const SHORT_PROMPT = '[[n=20]]'
/** Past the head and the first chunk of every API, before the end of every answer. */
const DEEP_BYTES = 1_600

const phases: readonly WirePhase[] = ['connect', 'headers', 'body']

interface Trial {
  /** What the wire does to the call. */
  readonly first: WireFault
  /** What it does to everything that comes once it has struck. */
  readonly afterwards?: WireFault
}

const at = (kind: 'half-open' | 'reset' | 'close' | 'garbage', phase: WirePhase): WireFault => ({
  kind,
  at: phase,
  bodyBytes: DEEP_BYTES,
})

const truncated: Record<WirePhase, number> = { connect: 0, headers: 30, body: 200 + DEEP_BYTES }
const sliced: Record<WirePhase, number> = { connect: 3, headers: 17, body: 200 }

type Faults = Record<string, (phase: WirePhase) => Trial>

/** Faults that only time tells: their benches wait side by side, on a hasty clock. */
const silentFaults: Faults = {
  refuse: (phase) => ({
    first: phase === 'connect' ? { kind: 'refuse' } : at('reset', phase),
    afterwards: { kind: 'refuse' },
  }),
  blackhole: (phase) => ({
    first: phase === 'connect' ? { kind: 'blackhole' } : at('half-open', phase),
    afterwards: { kind: 'blackhole' },
  }),
  // The machine fell asleep: whoever asks again is not answered either.
  'half-open': (phase) => ({ first: at('half-open', phase), afterwards: at('half-open', 'headers') }),
}

/** Faults that tell of themselves. */
const loudFaults: Faults = {
  reset: (phase) => ({ first: at('reset', phase) }),
  close: (phase) => ({ first: at('close', phase) }),
  truncate: (phase) => ({ first: { kind: 'truncate', afterBytes: truncated[phase] } }),
  garbage: (phase) => ({ first: at('garbage', phase) }),
  slice: (phase) => ({ first: { kind: 'slice', maxBytes: sliced[phase] } }),
}

/** Spec 5.5 with one attempt. */
const expected = (fault: string, phase: WirePhase, stream: boolean): Seen => {
  if (fault === 'slice') return 'done'
  if (fault === 'refuse' && phase === 'connect') return 503
  return phase === 'body' && stream ? 'error in the stream' : 502
}

let simulator: Simulator
const seed = seedOf('wire faults')

beforeAll(async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }], maxLoadedModels: 3, numParallel: 100 })
})
afterAll(() => simulator.stop())

interface Bench {
  readonly wire: FaultyWire
  readonly foreman: RunningForeman
  call(path: GenerationPath, stream: boolean, prompt?: string): Promise<WireAnswer>
}

const start = async (clock: Clock): Promise<Bench> => {
  const wire = startFaultyWire({ upstreamPort: simulator.port, random: createDice(seed).random })
  const foreman = await runForeman(
    wire.url,
    { FOREMAN_MAX_ATTEMPTS: '1', FOREMAN_UNREACHABLE_DEADLINE: '30s', FOREMAN_POLL_INTERVAL: '1h' },
    { clock },
  )
  // What foreman asks at its start is not what the trials are about.
  await healthIs(foreman, 'the first poll', ({ last_poll, degraded }) => last_poll !== null || degraded)
  const call = (path: GenerationPath, stream: boolean, prompt = PROMPT) =>
    within(HUNG_MS, `${path} stream ${stream}`, askOnce(foreman.port, generation(path, { stream, prompt })))
  return { wire, foreman, call }
}

// One after the other: a start keeps the processor for 30 ms, which a hasty clock takes for seconds.
let starting: Promise<unknown> = Promise.resolve()

const withBench = async (clock: Clock, run: (bench: Bench) => Promise<void>) => {
  const started = starting.then(() => start(clock))
  starting = started
  const bench = await started
  try {
    await run(bench)
  } finally {
    bench.wire.set({ kind: 'none' })
    await bench.foreman.stop()
    bench.wire.stop()
  }
}

const callUnder = async ({ wire, call }: Bench, trial: Trial, path: GenerationPath, stream: boolean) => {
  const struckBefore = wire.struck.value
  let over = false
  wire.set(trial.first)
  // A process that was killed has no connections either.
  if (trial.first.kind === 'refuse') wire.cut()
  const { afterwards } = trial
  if (afterwards !== undefined)
    void wire.struck.reached(struckBefore + 1).then(() => (over ? undefined : wire.set(afterwards)))
  try {
    return await call(path, stream, trial.first.kind === 'slice' ? SHORT_PROMPT : PROMPT)
  } finally {
    over = true
    wire.set({ kind: 'none' })
  }
}

const tryFault = async (bench: Bench, fault: string, trialOf: Faults[string], phase: WirePhase, stream: boolean) => {
  for (let repetition = 0; repetition < REPETITIONS; repetition++) {
    const path = generationPaths[repetition % generationPaths.length]!
    const name = `${fault} at ${phase}, stream ${stream}, ${path}, repetition ${repetition}`
    const good = await bench.call(path, stream)
    expect([name, 'before', seenBy(path, stream, good)]).toEqual([name, 'before', 'done'])
    const answer = await callUnder(bench, trialOf(phase), path, stream)
    const seen = seenBy(path, stream, answer)
    expect([name, seen, seen === 'cut' ? answer.body.toString().slice(-300) : '']).toEqual([
      name,
      expected(fault, phase, stream),
      '',
    ])
    expect([name, headerOf(answer, 'retry-after')]).toEqual([name, answer.status === 503 ? '5' : null])
  }
  const after = await bench.call('/api/chat', true)
  expect([fault, phase, seenBy('/api/chat', true, after)]).toEqual([fault, phase, 'done'])
}

const cases = phases.flatMap((phase) => [true, false].map((stream) => ({ phase, stream })))
const report = (fault: string) =>
  figure('T2', `${fault}: ${cases.length * REPETITIONS} calls, 0 hung, each with its own outcome`)

describe('a wire fault', () => {
  for (const [fault, trialOf] of Object.entries(loudFaults)) {
    test(`that is "${fault}" is told to its own caller alone and frees the worker`, async () => {
      await withBench(systemClock, async (bench) => {
        for (const { phase, stream } of cases) await tryFault(bench, fault, trialOf, phase, stream)
      })
      report(fault)
    }, 60_000)
  }

  for (const [fault, trialOf] of Object.entries(silentFaults)) {
    test.concurrent(`that is "${fault}" hangs nobody and frees the worker`, async () => {
      const hasty = createHastyClock(HASTE)
      const trials = cases.map(({ phase, stream }) =>
        withBench(hasty, (bench) => tryFault(bench, fault, trialOf, phase, stream)),
      )
      await Promise.all(trials)
      report(fault)
    }, 90_000)
  }

  test.concurrent(
    'that also stops the probes in the middle of their answers is noticed like any other',
    () =>
      withBench(createHastyClock(HASTE), async (bench) => {
        for (const stream of [true, false]) {
          expect(seenBy('/api/chat', stream, await bench.call('/api/chat', stream))).toBe('done')
          // One byte of the body is not a chunk: nobody has seen anything yet.
          const trial: Trial = { first: { kind: 'half-open', at: 'body', bodyBytes: 1 } }
          expect(seenBy('/api/chat', stream, await callUnder(bench, trial, '/api/chat', stream))).toBe(502)
        }
        expect(seenBy('/api/chat', true, await bench.call('/api/chat', true))).toBe('done')
      }),
    30_000,
  )

  test.concurrent(
    'that is half-open is noticed within 45 s of real time, in the middle of a stream',
    () =>
      withBench(systemClock, async ({ foreman, wire, call }) => {
        expect(seenBy('/api/chat', true, await call('/api/chat', true))).toBe('done')
        const client = await openClient(foreman.port)
        const cut = client.send(generation('/api/chat', { stream: true, prompt: '[[n=100000]]' }))
        await cut.begun
        const startedAt = performance.now()
        wire.silence()
        wire.set({ kind: 'blackhole' })
        const answer = await within(45_000, 'half-open', cut.answer)
        figure('T2', `half-open noticed after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s (bound 45 s)`)
        expect(seenBy('/api/chat', true, answer)).toBe('error in the stream')
        client.drop()
        wire.set({ kind: 'none' })
        expect(seenBy('/api/chat', true, await call('/api/chat', true))).toBe('done')
      }),
    90_000,
  )
})
