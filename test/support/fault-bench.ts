/** A foreman behind a faulty wire, and the eight ways in which the wire fails a call; it must never wait longer than it takes to tell a hang. */
import { expect } from 'bun:test'
import type { Clock } from '../../src/domain/clock.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createDice } from './chance.ts'
import { type FaultyWire, startFaultyWire, type WireFault, type WirePhase } from './faulty-wire.ts'
import { figure, seedOf } from './figures.ts'
import { type RunningForeman, runForeman } from './foreman.ts'
import { type GenerationPath, generation, generationPaths, type Seen, seenBy } from './generation-call.ts'
import { healthIs } from './health.ts'
import { within } from './patience.ts'
import { askOnce, headerOf, type WireAnswer } from './wire-client.ts'

const REPETITIONS = Number(process.env['FOREMAN_TEST_FAULT_REPETITIONS'] ?? 20)
const HUNG_MS = 15_000
const PROMPT = '[[n=400]]'
// Cut into pieces of a few bytes, a long answer would only take long.
const SHORT_PROMPT = '[[n=20]]'
/** Past the head and the first chunk of every API, before the end of every answer. */
const DEEP_BYTES = 1_600

const phases: readonly WirePhase[] = ['connect', 'headers', 'body']

export interface Trial {
  /** What the wire does to the call. */
  readonly first: WireFault
  /** What it does to everything that comes once it has struck. */
  readonly afterwards?: WireFault
}

/** One connection breaks, and the target is there for the next. */
const once: WireFault = { kind: 'none' }

const at = (kind: 'half-open' | 'reset' | 'close' | 'garbage', phase: WirePhase): WireFault => ({
  kind,
  at: phase,
  bodyBytes: DEEP_BYTES,
})

const truncated: Record<WirePhase, number> = { connect: 0, headers: 30, body: 200 + DEEP_BYTES }
const sliced: Record<WirePhase, number> = { connect: 3, headers: 17, body: 200 }

export type Faults = Record<string, (phase: WirePhase) => Trial>

/** Faults that only time tells: their benches wait side by side, on a hasty clock. */
export const silentFaults: Faults = {
  blackhole: (phase) => ({
    first: phase === 'connect' ? { kind: 'blackhole' } : at('half-open', phase),
    afterwards: { kind: 'blackhole' },
  }),
  // The machine fell asleep: whoever asks again is not answered either.
  'half-open': (phase) => ({ first: at('half-open', phase), afterwards: at('half-open', 'headers') }),
}

/** Faults that tell of themselves. */
export const loudFaults: Faults = {
  // The target's process is killed.
  refuse: (phase) => ({
    first: phase === 'connect' ? { kind: 'refuse' } : at('reset', phase),
    afterwards: { kind: 'refuse' },
  }),
  reset: (phase) => ({ first: at('reset', phase), afterwards: once }),
  close: (phase) => ({ first: at('close', phase), afterwards: once }),
  truncate: (phase) => ({ first: { kind: 'truncate', afterBytes: truncated[phase] }, afterwards: once }),
  garbage: (phase) => ({ first: at('garbage', phase), afterwards: once }),
  slice: (phase) => ({ first: { kind: 'slice', maxBytes: sliced[phase] } }),
}

/** Faults after which nobody answers a probe either: the target is away, and its callers wait for it. */
const isGone = (fault: string): boolean => fault === 'refuse' || fault in silentFaults

/** Spec 5.5 with one attempt. */
const expected = (fault: string, phase: WirePhase, stream: boolean): Seen => {
  if (fault === 'slice') return 'done'
  if (phase === 'body' && stream) return 'error in the stream'
  return isGone(fault) ? 503 : 502
}

const seed = seedOf('wire faults')

export interface Bench {
  readonly simulator: Simulator
  readonly wire: FaultyWire
  readonly foreman: RunningForeman
  call(path: GenerationPath, stream: boolean, prompt?: string): Promise<WireAnswer>
}

const start = async (clock: Clock, env: Record<string, string>): Promise<Bench> => {
  const simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  const wire = startFaultyWire({ upstreamPort: simulator.port, random: createDice(seed).random })
  const foreman = await runForeman(
    wire.url,
    { FOREMAN_MAX_ATTEMPTS: '1', FOREMAN_POLL_INTERVAL: '1h', ...env },
    { clock },
  )
  // What foreman asks at its start is not what the trials are about.
  await healthIs(foreman, 'the first poll', ({ last_poll, degraded }) => last_poll !== null || degraded)
  const call = (path: GenerationPath, stream: boolean, prompt = PROMPT) =>
    within(HUNG_MS, `${path} stream ${stream}`, askOnce(foreman.port, generation(path, { stream, prompt })))
  return { simulator, wire, foreman, call }
}

// One after the other: a start keeps the processor for 30 ms, which a hasty clock takes for seconds.
let starting: Promise<unknown> = Promise.resolve()

/** Runs one start after the other. */
export const inTurn = <T>(begin: () => Promise<T>): Promise<T> => {
  const started = starting.then(begin)
  starting = started
  return started
}

const allStarted = async (): Promise<void> => {
  for (let last: unknown = null; last !== starting; ) {
    last = starting
    await last
  }
}

/** Runs with a bench of its own, and takes it apart afterwards. */
export const withBench = async (
  clock: Clock,
  run: (bench: Bench) => Promise<void>,
  env: Record<string, string> = {},
) => {
  const bench = await inTurn(() => start(clock, env))
  await allStarted()
  try {
    await run(bench)
  } finally {
    bench.wire.set({ kind: 'none' })
    await bench.foreman.stop()
    bench.wire.stop()
    await bench.simulator.stop()
  }
}

/** One call while the wire fails it. */
export const callUnder = async ({ wire, call }: Bench, trial: Trial, path: GenerationPath, stream: boolean) => {
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

/** Good calls and failed ones in turn; the last good one shows that the worker is free. */
export const tryFault = async (
  bench: Bench,
  fault: string,
  trialOf: Faults[string],
  phase: WirePhase,
  stream: boolean,
) => {
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

export const cases = phases.flatMap((phase) => [true, false].map((stream) => ({ phase, stream })))

/** Nobody listens, and nobody comes back before the deadline: that takes time too. */
export const isSlow = (fault: string, phase: WirePhase, stream: boolean): boolean =>
  fault === 'refuse' && !(phase === 'body' && stream)
/** The figure of one fault. */
export const report = (fault: string, kinds: number) =>
  figure('T2', `${fault}: ${kinds * REPETITIONS} calls, 0 hung, each with its own outcome`)
