/** From what was measured to what to set; it must never advise what was not measured. */
import type { Run } from './bench-target.ts'

/** What so many requests at once came to. */
export interface Level {
  readonly parallel: number
  readonly tokensPerSecond: number
  readonly firstTokenP95Ms: number | null
  readonly failures: number
  /** How many really ran side by side. */
  readonly sideBySide: number
  /** The first thing that went wrong. */
  readonly problem: string | null
}

export interface Advice {
  /** What to set; null when nothing can be said. */
  readonly parallel: number | null
  /** Speed at that setting, as a multiple of one at a time. */
  readonly gain: number | null
  readonly text: string
}

/** Less than this is noise, and memory for contexts costs more than it. */
const WORTHWHILE = 1.15
/** The fewest slots that reach so much of the best speed are the ones to take. */
const NEARLY = 0.95

/** The most intervals from first token to end that overlap. */
const sideBySideOf = (runs: readonly Run[]): number => {
  const steps = runs.flatMap(({ firstMs, endedMs }) =>
    firstMs === null
      ? []
      : [
          { at: firstMs, by: 1 },
          { at: endedMs, by: -1 },
        ],
  )
  // At the same instant an end counts before a beginning: one that waited for it did not run beside it.
  steps.sort((a, b) => a.at - b.at || a.by - b.by)
  let now = 0
  let most = 0
  for (const { by } of steps) {
    now += by
    most = Math.max(most, now)
  }
  return most
}

const percentile95 = (values: readonly number[]): number | null => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * 0.95) - 1] ?? null
}

/** Sums up requests that were sent together. */
export const levelOf = (runs: readonly Run[]): Level => {
  const good = runs.filter(({ problem }) => problem === null)
  const begun = Math.min(...runs.map(({ sentMs }) => sentMs))
  const ended = Math.max(...good.map(({ endedMs }) => endedMs), begun)
  const tokens = good.reduce((sum, run) => sum + run.tokens, 0)
  const waits = good.flatMap(({ firstMs, sentMs }) => (firstMs === null ? [] : [firstMs - sentMs]))
  return {
    parallel: runs.length,
    tokensPerSecond: ended > begun ? (tokens / (ended - begun)) * 1000 : 0,
    firstTokenP95Ms: percentile95(waits),
    failures: runs.length - good.length,
    sideBySide: sideBySideOf(good),
    problem: runs.find(({ problem }) => problem !== null)?.problem ?? null,
  }
}

/** Speed as a multiple of one at a time; null without both. */
export const gainOf = (level: Level, levels: readonly Level[]): number | null => {
  const one = levels.find(({ parallel }) => parallel === 1)
  return one && one.tokensPerSecond > 0 && level.failures === 0 ? level.tokensPerSecond / one.tokensPerSecond : null
}

const times = (gain: number) => `${gain.toFixed(gain < 1 ? 2 : 1)}x`

const oneAtATime = (isThrough: boolean, isOneSlotFamily: boolean, family: string): string => {
  if (isOneSlotFamily)
    return `Leave FOREMAN_PARALLEL at 1: Ollama runs models of the family ${family} one at a time, whatever it is told.`
  if (isThrough)
    return 'Requests ran one at a time: FOREMAN_PARALLEL is 1, or OLLAMA_NUM_PARALLEL is. Without --through this measures the target alone.'
  return (
    'The target runs one request at a time, so nothing can be said about more: set OLLAMA_NUM_PARALLEL=4 where Ollama ' +
    'runs, restart it and measure again. Until then leave FOREMAN_PARALLEL at 1.'
  )
}

/** What to set, from the levels in rising order. */
export const adviceFor = (
  levels: readonly Level[],
  { family, isOneSlotFamily, isThrough }: { family: string; isOneSlotFamily: boolean; isThrough: boolean },
): Advice => {
  const fair = levels.flatMap((level) => {
    const gain = gainOf(level, levels)
    // What waited inside the target for its turn did not run side by side, however many were sent.
    return gain === null || level.sideBySide < level.parallel ? [] : [{ parallel: level.parallel, gain }]
  })
  const more = levels.filter(({ parallel }) => parallel > 1)
  const [one] = fair
  if (one?.parallel !== 1)
    return { parallel: null, gain: null, text: 'One request at a time failed already: no advice.' }
  if (more.length === 0) return { parallel: null, gain: null, text: 'Only one at a time was measured: no advice.' }
  const sideBySide = Math.max(...more.map((level) => level.sideBySide))
  if (sideBySide < 2 && more.some(({ failures }) => failures === 0))
    return { parallel: 1, gain: 1, text: oneAtATime(isThrough, isOneSlotFamily, family) }
  const best = fair.reduce((a, b) => (b.gain > a.gain ? b : a))
  const chosen = fair.find(({ gain }) => gain >= best.gain * NEARLY) ?? best
  if (chosen.parallel === 1 || chosen.gain < WORTHWHILE) return stay(fair, more)
  return {
    ...chosen,
    text:
      `Set FOREMAN_PARALLEL=${chosen.parallel} and OLLAMA_NUM_PARALLEL=${chosen.parallel}: ${times(chosen.gain)} the tokens of one at a time. ` +
      `Ollama then reserves ${chosen.parallel} contexts in memory.`,
  }
}

const stay = (fair: readonly { parallel: number; gain: number }[], more: readonly Level[]): Advice => {
  const other = fair.findLast(({ parallel }) => parallel > 1)
  const failed = more.find(({ failures }) => failures > 0)
  const why = other
    ? other.gain < 1
      ? `${other.parallel} side by side are slower (${times(other.gain)})`
      : `${other.parallel} side by side gain little (${times(other.gain)}) and cost memory`
    : `${failed?.parallel ?? 'more'} side by side failed`
  return { parallel: 1, gain: 1, text: `Leave FOREMAN_PARALLEL at 1: ${why}.` }
}
