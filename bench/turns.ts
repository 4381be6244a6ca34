/** Sides that take turns under the same load, so that a busy moment hits them all; ratios are taken within a round, then their median. */
import { processorMs } from './processor.ts'
import { type Amounts, ms, perSecond, promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'
import { type Call, isWrkInstalled, type LoadResult, runWrk } from './wrk.ts'

/** What answers; null where its program is not installed. */
export type Sides = Readonly<Record<string, { readonly pid: number; readonly port: number } | null>>

/** What one side did in each round. */
interface Round extends LoadResult {
  readonly processorUs: number
}
export type Measured = Readonly<Record<string, readonly Round[]>>

export interface Turns {
  readonly name: string
  readonly call: Call
  readonly clients: number
  /** Who takes a turn, each by its name in `Sides`. */
  readonly sides: readonly string[]
  readonly asked: readonly ((name: string, measured: Measured) => Row)[]
}

type Figure = 'p50Ms' | 'p99Ms' | 'perSecond' | 'processorUs'

const of = (measured: Measured, side: string, figure: Figure): number[] =>
  (measured[side] ?? []).map((round) => round[figure])

const within = (measured: Measured, side: string, figure: Figure, join: (ours: number, theirs: number) => number) => {
  const theirs = of(measured, side, figure)
  return median(of(measured, 'foreman', figure).map((ours, i) => join(ours, theirs[i] ?? Number.NaN)))
}

/** foreman's calls in a second over those of `side`. */
export const rate = (side: string, least: number) => (name: string, measured: Measured) => {
  const ratio = within(measured, side, 'perSecond', (ours, theirs) => ours / theirs)
  return promised(`${name}: calls/s beside ${side}`, times(ratio), `>= ${times(least)}`, ratio >= least)
}

/** foreman's p50 over that of `side`. */
export const wait = (side: string, most: number) => (name: string, measured: Measured) => {
  const ratio = within(measured, side, 'p50Ms', (ours, theirs) => ours / theirs)
  return promised(`${name}: p50 beside ${side}`, times(ratio), `<= ${times(most)}`, ratio <= most)
}

/** What foreman adds to the p50 of a direct call. */
export const added = (mostMs: number) => (name: string, measured: Measured) => {
  const addedMs = within(measured, 'direct', 'p50Ms', (ours, theirs) => ours - theirs)
  return promised(`${name}: p50 on top of direct`, ms(addedMs), `<= ${mostMs.toFixed(2)} ms`, addedMs <= mostMs)
}

export const p99 = (mostMs: number) => (name: string, measured: Measured) => {
  const p99Ms = median(of(measured, 'foreman', 'p99Ms'))
  return promised(`${name}: p99`, ms(p99Ms), `<= ${mostMs} ms`, p99Ms <= mostMs)
}

/** One row for each side, then what is asked of foreman. */
export const turnRows = async (turns: Turns, all: Sides, { rounds, seconds }: Amounts): Promise<Row[]> => {
  const { name, call, clients, sides, asked } = turns
  if (!isWrkInstalled()) return [told(name, 'not measured: wrk is not installed')]
  const present = sides.filter((side) => all[side] !== null)
  const measured: Record<string, Round[]> = Object.fromEntries(present.map((side) => [side, []]))
  for (let round = 0; round <= rounds; round++)
    for (const side of present) {
      const { pid, port } = all[side] ?? { pid: 0, port: 0 }
      const before = processorMs(pid)
      // The first round warms up: a daemon runs for months, and compiles for its first ten thousand calls.
      const result = await runWrk({ ...call, port, clients, seconds: round === 0 ? seconds * 2 : seconds })
      const processorUs = ((processorMs(pid) - before) * 1_000) / result.calls
      if (round > 0) measured[side]?.push({ ...result, processorUs })
    }
  const shown = (side: string) =>
    measured[side] === undefined
      ? 'not installed'
      : `${ms(median(of(measured, side, 'p50Ms')))} / ${ms(median(of(measured, side, 'p99Ms')))}, ${perSecond(median(of(measured, side, 'perSecond')))}, ${Math.round(median(of(measured, side, 'processorUs')))} us`
  return [
    ...sides.map((side) => told(`${name}: ${side}, p50 / p99, rate, processor a call`, shown(side))),
    ...asked.map((ask) => ask(name, measured)),
  ]
}
