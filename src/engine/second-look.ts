/** Looks again before an end is believed: whether the target is still there, and still has what it had (ADR 0018). */
import type { FailureCode } from '../domain/job/failure.ts'
import type { Outcome } from '../domain/job/outcome.ts'
import { emptiedWords, type Inventory, inventoryFrom, isEmptied } from '../domain/wire/inventory.ts'
import { askTarget } from './ask.ts'
import type { Caller } from './caller.ts'
import type { SendTarget } from './ports.ts'
import { probeOllama } from './probe.ts'

export interface SecondLookDeps {
  readonly target: SendTarget
  /** What the target had at the last good poll. */
  readonly inventory: () => Inventory
}

type Broken = Extract<Outcome, { kind: 'broken' }>

/** A target whose disk is not mounted says of every model that it is not there. */
const hasLostItsModels = async ({ target, inventory }: SecondLookDeps): Promise<boolean> => {
  const listed = await askTarget(target, '/api/tags')
  const now = listed.kind === 'answered' ? inventoryFrom(listed.json) : null
  return now !== null && isEmptied(inventory(), now)
}

/** What a target said that cannot even list its models; null = it lists them, or does not answer in time. */
const illness = async (target: SendTarget): Promise<string | null> => {
  const listed = await askTarget(target, '/api/tags')
  if (listed.kind === 'failed') return listed.reached ? listed.message : null
  return inventoryFrom(listed.json) === null ? 'that is not a list of models' : null
}

const away = (message: string): Outcome => ({ kind: 'away', message, retryAfterMs: null })

// Others end like this too where they begin as Ollama does: with a line of JSON, or an `error`.
const ambiguous: ReadonlySet<FailureCode> = new Set([
  'answer_too_large',
  'malformed_answer',
  'runner_failed',
  'unfinished',
])

/** A broken answer is the job's only if an Ollama gave it, and one that still does its work. */
const lookAtBroken = async ({ target }: SecondLookDeps, broken: Broken): Promise<Outcome> => {
  const { code } = broken.failure
  if (!broken.cut && !ambiguous.has(code)) return broken
  const probed = await probeOllama(target)
  if (probed.kind === 'away') return broken.cut || !probed.reached ? { kind: 'lost' } : away(probed.message)
  const isFailure = code === 'runner_failed' && broken.answer !== null && broken.answer.status >= 500
  const said = isFailure ? await illness(target) : null
  if (said === null) return broken
  return away(`${target.origin ?? 'the target'} answers, but fails at all it is asked, /api/tags too: ${said}`)
}

/** The outcome as it is after the second look. */
export const lookAgain = async (deps: SecondLookDeps, caller: Caller, outcome: Outcome): Promise<Outcome> => {
  // One whose client has seen a part of the answer cannot be helped any more, and is told at once.
  if (outcome.kind === 'broken') return caller.committed ? outcome : lookAtBroken(deps, outcome)
  if (outcome.kind === 'away')
    return (await probeOllama(deps.target)).kind === 'ollama' ? { ...outcome, isThere: true } : outcome
  const isMissing = outcome.kind === 'refused' && outcome.answer.status === 404
  if (!isMissing || !deps.inventory().has(caller.call.canonicalModel) || !(await hasLostItsModels(deps))) return outcome
  return away(emptiedWords(deps.target.origin, deps.inventory()))
}
