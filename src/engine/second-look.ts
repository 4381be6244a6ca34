/** Looks again before an end is believed: whether the target is still there, and still has what it had (ADR 0018). */
import type { Outcome } from '../domain/job/outcome.ts'
import { emptiedWords, type Inventory, inventoryFrom, isEmptied } from '../domain/wire/inventory.ts'
import { askTarget } from './ask.ts'
import type { Caller } from './caller.ts'
import type { SendTarget } from './ports.ts'

export interface SecondLookDeps {
  readonly target: SendTarget
  /** Whether an Ollama answers on a fresh connection. */
  readonly probe: () => Promise<boolean>
  /** What the target had at the last good poll. */
  readonly inventory: () => Inventory
}

/** A target whose disk is not mounted says of every model that it is not there. */
const hasLostItsModels = async ({ target, inventory }: SecondLookDeps): Promise<boolean> => {
  const listed = await askTarget(target, '/api/tags')
  const now = listed.kind === 'answered' ? inventoryFrom(listed.json) : null
  return now !== null && isEmptied(inventory(), now)
}

/** The outcome as it is after the second look. */
export const lookAgain = async (deps: SecondLookDeps, caller: Caller, outcome: Outcome): Promise<Outcome> => {
  // One whose client has seen a part of the answer cannot be helped any more, and is told at once.
  if (outcome.kind === 'broken' && outcome.cut && !caller.committed && !(await deps.probe())) return { kind: 'lost' }
  if (outcome.kind === 'away' && (await deps.probe())) return { ...outcome, isThere: true }
  const isMissing = outcome.kind === 'refused' && outcome.answer.status === 404
  if (!isMissing || !deps.inventory().has(caller.call.canonicalModel) || !(await hasLostItsModels(deps))) return outcome
  return { kind: 'away', message: emptiedWords(deps.target.origin, deps.inventory()), retryAfterMs: null }
}
