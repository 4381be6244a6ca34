/** Levels of requests side by side, one after the other, bounded in time; it must never begin one that cannot end in time. */
import { type Level, levelOf } from './bench-advice.ts'
import type { BenchTarget } from './bench-target.ts'
import type { Io } from './command.ts'
import type { Progress } from './progress.ts'

export interface Plan {
  readonly target: BenchTarget
  readonly model: string
  readonly tokens: number
  /** Rising, from 1. */
  readonly levels: readonly number[]
  readonly deadlineMs: number
  readonly progress: Progress
  readonly signal: AbortSignal
}

export interface Measured {
  readonly levels: readonly Level[]
  /** Why not all of them were measured; null when they were. */
  readonly note: string | null
  /** The time given was too short for the next level. */
  readonly isLate: boolean
}

/** Different for each request, so that no cache of prompts answers for the model. */
const promptOf = (io: Io, tokens: number, number: number) =>
  `Story ${Math.round(io.clock.now())}-${number}: tell a long story of at least ${tokens * 2} words about a lighthouse. Do not stop early.`

const measureLevel = async (io: Io, plan: Plan, parallel: number): Promise<Level> => {
  const { target, model, tokens, progress } = plan
  let heard = 0
  const show = () => progress.show(`${model}: ${parallel} at once, ${heard} of ${parallel * tokens} tokens`)
  show()
  const one = (number: number) =>
    target.generate({ model, prompt: promptOf(io, tokens, number), tokens }, () => {
      heard++
      show()
    })
  return levelOf(await Promise.all(Array.from({ length: parallel }, (_, number) => one(number))))
}

/** Why it makes no sense to go on after a level; null when it does. */
const stopAfter = (level: Level, next: number): string | null => {
  if (level.failures > 0)
    return `${level.failures} of ${level.parallel} failed, so no more were tried: ${level.problem}`
  if (level.sideBySide < level.parallel)
    return `no more than ${level.sideBySide} ran side by side, so ${next} were not tried`
  return null
}

/** Measures until a level shows that more makes no sense. */
export const measure = async (io: Io, plan: Plan): Promise<Measured> => {
  const levels: Level[] = []
  for (const parallel of plan.levels) {
    const last = levels.at(-1)
    if (last) {
      const note = stopAfter(last, parallel)
      if (note !== null) return { levels, note, isLate: false }
      // A level that gains nothing takes as long as its tokens take at the speed there is.
      const neededMs = ((parallel * plan.tokens) / last.tokensPerSecond) * 1000
      if (io.clock.monotonicMs() + neededMs > plan.deadlineMs)
        return { levels, note: `${parallel} at once would not end in time (--timeout)`, isLate: true }
    }
    const level = await measureLevel(io, plan, parallel)
    if (plan.signal.aborted) return { levels, note: 'it was stopped', isLate: false }
    levels.push(level)
  }
  const last = levels.at(-1)
  const failed = last && last.failures > 0 ? `${last.failures} of ${last.parallel} failed: ${last.problem}` : null
  return { levels, note: failed, isLate: false }
}
