/** The steps of a model that does not fit: half the context once, then the processor if the owner allows it; what fitted is remembered for an hour. */
import type { Clock } from '../../domain/clock.ts'
import { withNumCtx, withNumGpu } from '../../domain/wire/call-options.ts'
import type { Draft } from '../../engine/admission.ts'
import type { Relief, Reliever } from '../../engine/relief.ts'

export interface ReliefDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** FOREMAN_OOM_CPU. */
  readonly allowsCpu: boolean
  /** The context that the target last had this model loaded with; null = never seen. */
  readonly contextOf: (canonicalModel: string) => number | null
}

const LEAST_CTX = 2_048
// Ollama's own default on the smallest cards: what is not known is taken to be that.
const USUAL_CTX = 4_096
const REMEMBERED_MS = 3_600_000

interface Fitted {
  readonly words: string
  readonly atMs: number
}

/** A number of an option that is one. */
const numberIn = ({ call }: Draft, name: string): number | null => {
  const value = call.reload.options[name]
  return typeof value === 'number' && value > 0 ? value : null
}

/** The steps of one target. */
export const createReliever = ({ clock, allowsCpu, contextOf }: ReliefDeps): Reliever => {
  const fitted = new Map<string, Fitted>()

  /** Only native calls can say their own options. */
  const canSay = ({ call }: Draft) => call.insertAt !== null && call.route.flavour === 'native' && !call.cloud

  const smaller = (asked: Draft): Relief | null => {
    const context = numberIn(asked, 'num_ctx') ?? contextOf(asked.call.canonicalModel) ?? USUAL_CTX
    const half = Math.floor(context / 2)
    if (half < LEAST_CTX) return null
    return { ...withNumCtx(asked, half), words: `num_ctx=${half}` }
  }

  const onCpu = (asked: Draft, before: Draft): Relief | null => {
    if (!allowsCpu || asked.call.reload.options['num_gpu'] === 0) return null
    return { ...withNumGpu(before, 0), words: 'num_gpu=0' }
  }

  const steps = (asked: Draft): readonly Relief[] => {
    if (!canSay(asked)) return []
    const first = smaller(asked)
    const second = onCpu(asked, first ?? asked)
    return [first, second].filter((step) => step !== null)
  }

  return {
    next: (asked, taken) => steps(asked).find(({ words }) => !taken.some((step) => step.words === words)) ?? null,
    known(asked) {
      const known = fitted.get(asked.call.residencyKey)
      if (known === undefined) return null
      if (clock.monotonicMs() - known.atMs > REMEMBERED_MS) {
        // The memory may be free again: the whole of it is tried.
        fitted.delete(asked.call.residencyKey)
        return null
      }
      return steps(asked).find(({ words }) => words === known.words) ?? null
    },
    fitted(asked, { words }) {
      const key = asked.call.residencyKey
      if (fitted.get(key)?.words !== words) fitted.set(key, { words, atMs: clock.monotonicMs() })
    },
  }
}
