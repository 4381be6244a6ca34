/** Has a call answered elsewhere than at the target, where somebody can; it must never begin a second answer beside one that has begun. */
import type { Clock } from '../../domain/clock.ts'
import { type Failure, failure } from '../../domain/job/failure.ts'
import type { Call } from '../../domain/wire/call.ts'
import { requestHeaders } from '../../domain/wire/headers.ts'
import type { Engine } from '../../engine/engine.ts'
import type { Way } from '../../engine/rescue.ts'
import { pathAndQuery } from '../request-path.ts'
import { SyncCaller } from './answer.ts'
import type { StandIn } from './forwarding.ts'

export interface StandInDeps {
  readonly engine: Pick<Engine, 'aside' | 'patience' | 'rescuers'>
  readonly clock: Clock
}

/** As much of a passage as it takes. */
export interface Beside {
  readonly request: Request
  readonly client: string | null
  readonly timer: { streaming(): void; timed(): void }
}

/** Where a call goes; there is nothing to ask while there is nobody but the target. */
export const wayOf = (
  { rescuers }: Pick<Engine, 'rescuers'>,
  { request, client }: Pick<Beside, 'request' | 'client'>,
  call: Call,
): Way =>
  rescuers.rescuer === null
    ? 'target'
    : rescuers.wayOf({ call, asks: request.headers.get('x-foreman-fallback'), client })

export interface Lead {
  readonly deadlineMs: number | null
  /** Null: the target is not to be asked. Called with what is left of the deadline. */
  readonly toTarget: ((leftMs: number | null) => Promise<void>) | null
}

/** Leads a caller past the target, and if nobody there can help and it may be asked, to it. */
export const leadPast = async (
  { engine: { aside }, clock }: { readonly engine: Pick<Engine, 'aside'>; readonly clock: Pick<Clock, 'monotonicMs'> },
  caller: SyncCaller,
  { deadlineMs, toTarget }: Lead,
): Promise<void> => {
  const why = toTarget === null ? null : failure('unreachable')
  if (await aside.serve(caller, why, deadlineMs)) return
  if (toTarget === null) caller.fail(failure('fallback_unable'), null, false)
  // The deadline is that of the whole call.
  else await toTarget(deadlineMs && Math.max(0, deadlineMs - (clock.monotonicMs() - caller.arrivedAtMs)))
}

/** For a call beside the queue; undefined while there is nobody but the target. */
export const createStandIn = (
  { engine, clock }: StandInDeps,
  { request, client, timer }: Beside,
  call: Call,
  body: Uint8Array,
): StandIn | undefined => {
  const { aside, rescuers } = engine
  if (rescuers.rescuer === null) return undefined
  let caller: SyncCaller | null = null
  // The same one each time: whoever could not be helped is known.
  const theCaller = () => {
    caller ??= new SyncCaller({
      ...{ call, body, client, clock },
      jobId: null,
      path: pathAndQuery(request),
      headers: requestHeaders(request.headers),
      signal: request.signal,
      patience: engine.patience(),
    })
    return caller
  }
  return {
    afterMs: () => rescuers.afterMs() ?? Number.POSITIVE_INFINITY,
    async serve(why: Failure) {
      const one = theCaller()
      if (!aside.wants(one, why)) return null
      const served = aside.serve(one, why, null)
      const response = await Promise.race([one.answered, served.then((helped) => (helped ? one.answered : null))])
      if (response === null) return null
      one.onFinished(timer.timed)
      if (one.committed) timer.streaming()
      return response
    },
    mark(response) {
      for (const [name, value] of rescuers.marks(call)) response.headers.set(name, value)
      return response
    },
  }
}
