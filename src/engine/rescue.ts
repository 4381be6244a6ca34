/** Who may answer a caller in the target's place; asked before a caller is failed for the target's sake, never after its first byte. */
import type { Failure, FailureCode } from '../domain/job/failure.ts'
import type { Outcome, ServedBy } from '../domain/job/outcome.ts'
import type { Call } from '../domain/wire/call.ts'
import type { HeaderPairs } from '../domain/wire/headers.ts'
import type { Caller } from './caller.ts'
import type { Stopper } from './stopper.ts'

/** A call before it has a caller. */
export interface Incoming {
  readonly call: Call
  /** What it says in X-Foreman-Fallback. */
  readonly asks: string | null
  /** The name of the token it came with. */
  readonly client: string | null
}

/** Where a call goes: to the target; to the rescuer first and then to the target; to the rescuer alone; nowhere, because that one has no such model. */
export type Way = 'target' | 'rescuer-first' | 'rescuer-only' | 'nowhere'

export interface Rescuer {
  /** How many it serves at once; the others wait in order. */
  readonly lanes: number
  /** How long from now a caller is left waiting for a target that is missing, in milliseconds. */
  afterMs(): number
  wayOf(incoming: Incoming): Way
  /** Whether it may serve anything of this client's. */
  allows(client: string | null): boolean
  /** Headers of an answer that the target gives to this call. */
  marks(call: Call): HeaderPairs
  /** Whether it would take this caller now. */
  wants(caller: Caller, failure: Failure): boolean
  /** Answers the caller; what shows nothing to the caller yet (unreached, busy, away, lost, broken) means that it cannot help. `why`: null = it is the one that was asked for. */
  serve(caller: Caller, why: Failure | null, stopper: Stopper): Promise<Outcome>
  servedBy(call: Call): ServedBy
}

export interface Rescue {
  /** There is one at most. */
  use(rescuer: Rescuer): void
}

export interface Rescuers extends Rescue {
  /** Null = there is nobody. */
  readonly rescuer: Rescuer | null
  /** After which time somebody may want a caller who begins to wait now; null = nobody ever does. */
  afterMs(): number | null
  wayOf(incoming: Incoming): Way
  allows(client: string | null): boolean
  marks(call: Call): HeaderPairs
  wants(caller: Caller, failure: Failure): boolean
}

/** Nobody yet. `failed` hears of a rescuer that threw, which helps nobody then. */
export const createRescue = (failed: (error: unknown) => void): Rescuers => {
  let rescuer: Rescuer | null = null
  const ask = <T>(otherwise: T, question: (rescuer: Rescuer) => T): T => {
    if (rescuer === null) return otherwise
    try {
      return question(rescuer)
    } catch (error) {
      failed(error)
      return otherwise
    }
  }
  return {
    use(given) {
      if (rescuer !== null) throw new Error('there is a rescuer already')
      rescuer = given
    },
    get rescuer() {
      return rescuer
    },
    afterMs: () => ask<number | null>(null, (one) => one.afterMs()),
    wayOf: (incoming) => ask<Way>('target', (one) => one.wayOf(incoming)),
    // Nobody is there to be forbidden anything; one that comes later looks for itself.
    allows: (client) => ask(rescuer === null, (one) => one.allows(client)),
    marks: (call) => ask<HeaderPairs>([], (one) => one.marks(call)),
    wants(caller, failure) {
      if (caller.committed || caller.left.aborted || !isForTargetsSake(failure)) return false
      return ask(false, (one) => one.wants(caller, failure))
    },
  }
}

const targetFaults = new Set<FailureCode>([
  'broke_off',
  'load_failed',
  'malformed_answer',
  'not_ollama',
  'out_of_memory',
  'runner_failed',
  'target_lost',
  'unfinished',
  'unreachable',
])

/** Whether a caller is failed because of the target: not for its own request, nor for foreman's queue, nor for being slow or busy. */
const isForTargetsSake = ({ code }: Failure): boolean => targetFaults.has(code)
