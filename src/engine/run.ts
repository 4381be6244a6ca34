/** One attempt from claim to outcome: load if needed, then work, under the eyes of liveness and the clock. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import type { Outcome } from '../domain/job/outcome.ts'
import type { Call } from '../domain/wire/call.ts'
import type { ResidentModel } from '../domain/wire/inventory.ts'
import { isZeroKeepAlive } from '../domain/wire/keep-alive.ts'
import { persist } from '../loop/persist.ts'
import type { Abilities } from './abilities.ts'
import type { Draft } from './admission.ts'
import { load, work } from './attempt.ts'
import type { Caller } from './caller.ts'
import type { Hangs } from './hangs.ts'
import { createLiveness } from './liveness.ts'
import type { Loaded, Loader } from './loader.ts'
import type { EngineQueue, SendTarget } from './ports.ts'
import type { Relief, Reliever } from './relief.ts'
import type { Roster, Seat } from './roster.ts'
import { lookAgain } from './second-look.ts'
import type { TargetState } from './state.ts'
import { unlessStopped } from './stopper.ts'
import type { Toil } from './toil.ts'

export interface RunDeps {
  readonly queue: EngineQueue
  readonly target: SendTarget
  readonly state: TargetState
  readonly loader: Loader
  readonly roster: Pick<Roster, 'seats'>
  readonly toil: Toil
  readonly abilities: Abilities
  readonly relief: Reliever
  readonly hangs: Pick<Hangs, 'loadTook' | 'watch'>
  /** True when an Ollama answers on a fresh connection. */
  readonly probe: () => Promise<boolean>
  /** What the target holds now; null = it does not say. */
  readonly look: () => Promise<readonly ResidentModel[] | null>
  readonly clock: Clock
  readonly emit: Emit
  readonly jobTimeoutMs: number
}

const fieldsOf = ({ id, kind, model, residencyKey, attempt }: ActiveJob) => ({
  jobId: id,
  kind,
  model,
  residencyKey,
  attempt,
})

/** Whether another job wants the same load: one beside this one, or, where only its caller has gone, one that waits. */
const isWanted = ({ queue, roster }: RunDeps, { job }: Seat, why: Outcome): boolean => {
  if (why.kind === 'hung') return false
  const isBeside = roster.seats.some((seat) => seat.job.id !== job.id && !seat.isOver && seat.phase === 'loading')
  const onlyCallerGone = why.kind === 'left' || why.kind === 'expired'
  return isBeside || (onlyCallerGone && queue.hasReady(job.residencyKey))
}

// What is there already answers at once.
const NO_LOAD_MS = 1_000

/** Loads what the call needs and then looks at what is there: whatever was loaded before may have been pushed out. */
export const beginLoad = async (
  deps: Pick<RunDeps, 'clock' | 'hangs' | 'look' | 'probe' | 'state' | 'target'>,
  call: Call,
  key: string,
  signal: AbortSignal,
): Promise<Loaded> => {
  const { state, look, clock } = deps
  const beganAtMs = clock.monotonicMs()
  const wasThere = state.residency.residents.some(({ canonical }) => canonical === call.canonicalModel)
  state.residency.loading(key)
  const loaded = await load({ ...deps, saw: () => undefined }, call, signal, null)
  // One that was given up says nothing any more: the next load has begun.
  if (loaded !== 'loaded' || signal.aborted) return loaded
  const tookMs = clock.monotonicMs() - beganAtMs
  if (!wasThere || tookMs > NO_LOAD_MS) deps.hangs.loadTook(key, tookMs)
  const there = await look()
  if (!signal.aborted) state.residency.loaded(key, there)
  return loaded
}

const loadModel = async (deps: RunDeps, seat: Seat, call: Call): Promise<Outcome | null> => {
  const { loader } = deps
  const { stopper } = seat
  const loading = loader.ensure(call.residencyKey, (signal) => beginLoad(deps, call, call.residencyKey, signal))
  const first = await unlessStopped(stopper, loading)
  if (first !== 'stopped') return typeof first === 'string' ? null : first
  const why = stopper.why ?? { kind: 'left' }
  // It goes on for the others, and the next of them joins it.
  if (!isWanted(deps, seat, why)) loader.abort()
  return why
}

const startWork = async (deps: RunDeps, seat: Seat): Promise<boolean> => {
  if (seat.phase === 'working') return true
  const { clock, emit, queue } = deps
  seat.phase = 'working'
  seat.movedAtMs = clock.monotonicMs()
  const { job, stopper } = seat
  const advance = async () => stopper.why === null && (await queue.advance(job, clock.now()))
  return persist(clock, advance, (error) => emit({ event: 'settle_retried', jobId: job.id, error }))
}

/** What the end of the work says about what is loaded now. */
const noteResidency = ({ state: { residency } }: RunDeps, { call }: Caller, outcome: Outcome) => {
  if (outcome.kind === 'done' && isZeroKeepAlive(call.keepAlive)) residency.forget(call.canonicalModel)
  // A runner that crashed is gone, and one that ran out of memory took all others with it.
  if (outcome.kind === 'broken') residency.clear()
}

/** Runs one claimed job. Whatever happens comes back as an outcome. */
export const runJob = async (deps: RunDeps, seat: Seat, caller: Caller): Promise<Outcome> => {
  const { clock, target, state, toil } = deps
  const beganAtMs = clock.monotonicMs()
  let seenAtMs = beganAtMs
  const alive = () => {
    seenAtMs = clock.monotonicMs()
    seat.isHeard = true
    return seenAtMs
  }
  const ran = await withRelief(deps, seat, caller, alive)
  const found = await lookAgain({ target, inventory: () => state.view.inventory }, caller, ran)
  const outcome = toil.weigh(seat.job.id, found, seenAtMs - beganAtMs)
  // What it took to notice is time in which the target was missing.
  if (outcome.kind === 'lost' || outcome.kind === 'unreached') caller.patience?.absent(seenAtMs)
  return outcome
}

/** What does not fit is tried with less, as long as somebody knows how and nothing has gone out; a job that was asked to end is let end. */
const withRelief = async (deps: RunDeps, seat: Seat, caller: Caller, alive: () => number): Promise<Outcome> => {
  const { relief, emit } = deps
  const taken: Relief[] = []
  let step = relief.known(caller)
  for (;;) {
    if (step !== null) {
      taken.push(step)
      seat.relief = taken.map(({ words }) => words)
      caller.mark?.([['X-Foreman-Relief', seat.relief.join(', ')]])
      emit({ event: 'job_relieved', ...fieldsOf(seat.job), step: step.words })
    }
    const outcome = await attempt(deps, seat, { caller, draft: step ?? caller, alive })
    if (step !== null && outcome.kind === 'done') relief.fitted(caller, step)
    const isFull = outcome.kind === 'broken' && outcome.failure.code === 'out_of_memory'
    if (!isFull || caller.committed || caller.left.aborted || seat.stopper.why !== null) return outcome
    step = relief.next(caller, taken)
    if (step === null) return taken.length === 0 ? outcome : { ...outcome, isLast: true }
  }
}

/** Cloud models have nothing to load, and how a path that foreman does not know loads its model is the target's own business. */
const isLoadedByForeman = ({ call }: Caller): boolean => !call.cloud && !call.route.unlisted

interface Try {
  readonly caller: Caller
  /** What is loaded and sent: the caller's own, or one with less. */
  readonly draft: Draft
  /** Called for every sign of life; says when it was. */
  readonly alive: () => number
}

const attempt = async (deps: RunDeps, seat: Seat, { caller, draft, alive }: Try): Promise<Outcome> => {
  const { clock, emit } = deps
  const { job, stopper } = seat
  const timeout = () => clock.after(deps.jobTimeoutMs, () => stopper.stop({ kind: 'timeout' }))
  const probe = async () => {
    const isThere = await deps.probe()
    if (isThere) alive()
    return isThere
  }
  const liveness = createLiveness({ probe, clock, onLost: () => stopper.stop({ kind: 'lost' }) })
  const watch = caller.call.cloud ? null : deps.hangs.watch(caller.call.canonicalModel, 'job', seat)
  const saw = () => {
    seat.movedAtMs = alive()
    watch?.moves()
    caller.patience?.present()
    liveness.saw()
  }
  let cancelTimeout = timeout()
  try {
    if (caller.left.aborted) return { kind: 'left' }
    if (stopper.why !== null) return stopper.why
    const isRefused = seat.phase === 'loading' && deps.abilities.refusesForSure(caller.call, caller.body)
    // One with less is another load, whatever was there before.
    if ((seat.phase === 'loading' || draft !== caller) && isLoadedByForeman(caller) && !isRefused) {
      emit({ event: 'job_loading', ...fieldsOf(job) })
      const failed = await loadModel(deps, seat, draft.call)
      if (failed !== null) return failed
      alive()
      cancelTimeout()
      cancelTimeout = timeout()
    }
    if (!(await startWork(deps, seat))) return stopper.why ?? { kind: 'left' }
    if (stopper.why !== null) return stopper.why
    const queueMs = Math.max(0, clock.now() - job.createdAt)
    emit({ event: 'job_working', ...fieldsOf(job), queueMs })
    caller.working(queueMs)
    const outcome = await work({ target: deps.target, clock, probe: deps.probe, stopper, saw }, caller, {
      headers: caller.headers,
      body: draft.body,
    })
    if (isRefused && outcome.kind === 'done') deps.abilities.wasWrong(caller.call)
    noteResidency(deps, caller, outcome)
    return outcome
  } finally {
    liveness.stop()
    watch?.over()
    cancelTimeout()
  }
}
