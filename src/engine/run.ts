/** One attempt from claim to outcome: load if needed, then work, under the eyes of liveness and the clock. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import type { Outcome } from '../domain/job/outcome.ts'
import { isZeroKeepAlive, type KeepAlivePolicy, keepAliveFor } from '../domain/wire/keep-alive.ts'
import { persist } from '../loop/persist.ts'
import { load, type Stopper, stopped, work } from './attempt.ts'
import type { Caller } from './caller.ts'
import { createLiveness } from './liveness.ts'
import type { Loader } from './loader.ts'
import type { EngineQueue, SendTarget } from './ports.ts'
import type { TargetState } from './state.ts'

export interface RunDeps {
  readonly queue: EngineQueue
  readonly target: SendTarget
  readonly state: TargetState
  readonly loader: Loader
  /** True when the target answers on a fresh connection. */
  readonly probe: () => Promise<boolean>
  readonly clock: Clock
  readonly emit: Emit
  readonly keepAlive: KeepAlivePolicy
  readonly jobTimeoutMs: number
}

/** The job on the worker. */
export interface Slot {
  readonly job: ActiveJob
  readonly stopper: Stopper
  phase: 'loading' | 'working'
}

const fieldsOf = ({ id, kind, model, residencyKey, attempt }: ActiveJob) => ({
  jobId: id,
  kind,
  model,
  residencyKey,
  attempt,
})

/** The JSON literal that the policy puts on this call's model, if any. */
const policyOf = ({ keepAlive }: RunDeps, { call }: Caller): string | null =>
  keepAliveFor(keepAlive, call.canonicalModel)?.json ?? null

const loadModel = async (deps: RunDeps, slot: Slot, caller: Caller): Promise<Outcome | null> => {
  const { queue, target, state, loader } = deps
  const { job, stopper } = slot
  const policy = policyOf(deps, caller)
  // Whatever was loaded may be on its way out from here on.
  state.setResident(null)
  const loading = loader.ensure(job.residencyKey, (signal) => load(target, caller.call, signal, policy))
  const first = await Promise.race([loading, stopped(stopper)])
  if (first !== 'stopped') {
    if (first === 'loaded') state.setResident(job.residencyKey)
    return typeof first === 'string' ? null : first
  }
  const why = stopper.why ?? { kind: 'left' }
  // Others wait for the same load: it goes on, and the next of them joins it.
  if (why.kind !== 'left' || !queue.hasReady(job.residencyKey)) loader.abort()
  return why
}

const startWork = async (deps: RunDeps, slot: Slot): Promise<boolean> => {
  if (slot.phase === 'working') return true
  slot.phase = 'working'
  const { clock, emit, queue } = deps
  const { job, stopper } = slot
  const advance = async () => stopper.why === null && (await queue.advance(job, clock.now()))
  return persist(clock, advance, (error) => emit({ event: 'settle_retried', jobId: job.id, error }))
}

/** What the end of the work says about what is loaded now. */
const noteResidency = (deps: RunDeps, caller: Caller, outcome: Outcome) => {
  const { state } = deps
  const keepAlive = caller.call.keepAlive ?? JSON.parse(policyOf(deps, caller) ?? 'null')
  if (outcome.kind === 'done' && isZeroKeepAlive(keepAlive)) state.forget(caller.call.canonicalModel)
  // A runner that crashed is gone, and one that ran out of memory took all others with it.
  if (outcome.kind === 'broken') state.setResident(null)
}

/** Runs one claimed job. Whatever happens comes back as an outcome. */
export const runJob = async (deps: RunDeps, slot: Slot, caller: Caller): Promise<Outcome> => {
  const { clock, emit } = deps
  const { job, stopper } = slot
  const timeout = () => clock.after(deps.jobTimeoutMs, () => stopper.stop({ kind: 'timeout' }))
  const leave = () => stopper.stop({ kind: 'left' })
  const liveness = createLiveness({ probe: deps.probe, clock, onLost: () => stopper.stop({ kind: 'lost' }) })
  caller.left.addEventListener('abort', leave, { once: true })
  let cancelTimeout = timeout()
  try {
    if (caller.left.aborted) return { kind: 'left' }
    if (slot.phase === 'loading' && !caller.call.cloud) {
      emit({ event: 'job_loading', ...fieldsOf(job) })
      const failed = await loadModel(deps, slot, caller)
      if (failed !== null) return failed
      cancelTimeout()
      cancelTimeout = timeout()
    }
    if (!(await startWork(deps, slot))) return stopper.why ?? { kind: 'left' }
    if (stopper.why !== null) return stopper.why
    const queueMs = Math.max(0, clock.now() - job.createdAt)
    emit({ event: 'job_working', ...fieldsOf(job), queueMs })
    caller.working(queueMs)
    const outcome = await work({ target: deps.target, caller, stopper, saw: liveness.saw })
    noteResidency(deps, caller, outcome)
    return outcome
  } finally {
    liveness.stop()
    cancelTimeout()
    caller.left.removeEventListener('abort', leave)
  }
}
