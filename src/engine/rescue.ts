/** Who may answer a waiting caller in the target's place; asked before a caller is failed for the target's sake, never after its first byte. */
import type { Failure, FailureCode } from '../domain/job/failure.ts'
import type { Caller } from './caller.ts'

export interface Rescuer {
  /** How long the target must have been missing before a waiting caller is taken, in milliseconds. */
  readonly afterMs: number
  /** Whether it would take this caller now. */
  wants(caller: Caller, failure: Failure): boolean
  /** Answers the caller, with a failure if it cannot do better. */
  rescue(caller: Caller, failure: Failure): void
}

export interface Rescue {
  use(rescuer: Rescuer): void
}

export interface Rescuers extends Rescue {
  /** The shortest time after which somebody may want a waiting caller; null = nobody ever does. */
  afterMs(): number | null
  wants(caller: Caller, failure: Failure): boolean
  /** True when somebody has taken the caller over. */
  take(caller: Caller, failure: Failure): boolean
}

/** Nobody yet. `failed` hears of a rescuer that threw, which helps nobody then. */
export const createRescue = (failed: (error: unknown) => void): Rescuers => {
  const rescuers: Rescuer[] = []
  const wants = (rescuer: Rescuer, caller: Caller, failure: Failure): boolean => {
    try {
      return rescuer.wants(caller, failure)
    } catch (error) {
      failed(error)
      return false
    }
  }
  const findFor = (caller: Caller, failure: Failure): Rescuer | undefined => {
    if (caller.committed || caller.left.aborted || !isForTargetsSake(failure)) return undefined
    return rescuers.find((rescuer) => wants(rescuer, caller, failure))
  }
  return {
    use: (rescuer) => void rescuers.push(rescuer),
    afterMs: () => (rescuers.length === 0 ? null : Math.min(...rescuers.map(({ afterMs }) => afterMs))),
    wants: (caller, failure) => findFor(caller, failure) !== undefined,
    take(caller, failure) {
      const rescuer = findFor(caller, failure)
      try {
        rescuer?.rescue(caller, failure)
      } catch (error) {
        failed(error)
        return false
      }
      return rescuer !== undefined
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
