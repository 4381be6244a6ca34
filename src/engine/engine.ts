/** The engine: dispatcher, intake, jobs, poller and janitor around one target and one queue, started and stopped as one. */
import type { Clock, Random } from '../domain/clock.ts'
import type { Paces, Running } from '../domain/job/eta.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import type { KeepAlivePolicy } from '../domain/wire/keep-alive.ts'
import { type AdmissionDesk, createAdmission } from './admission.ts'
import { type Awaited, createAwaited } from './awaited.ts'
import type { Board } from './board.ts'
import type { Bus } from './bus.ts'
import { type Caller, type Callers, createCallers } from './caller.ts'
import { createCollector } from './collector.ts'
import { Dispatcher } from './dispatcher.ts'
import { createHangs, type Hangs } from './hangs.ts'
import { CallerIntake, type Intake } from './intake.ts'
import { createJanitor, type JanitorDeps } from './janitor.ts'
import { AsyncJobs, type Jobs, type JobsDeps } from './jobs.ts'
import { createLook, createRefresh } from './look.ts'
import { createPaceWatch } from './pace-watch.ts'
import { createStopwatches, type Patience } from './patience.ts'
import { createPoller, type Poller } from './poller.ts'
import type { SendTarget, StoredQueue } from './ports.ts'
import { type Probed, probeOllama } from './probe.ts'
import { createPulse } from './pulse.ts'
import { createQuiet, type Quiet } from './quiet.ts'
import { createRescue, type Rescuers } from './rescue.ts'
import { createRoster } from './roster.ts'
import { slotsOf } from './slots.ts'
import { createTargetState, type TargetState } from './state.ts'
import { createStop } from './stop.ts'
import { createToil } from './toil.ts'
import { type WorkerView, workerView } from './worker-view.ts'

export interface EngineConfig {
  readonly pollIntervalMs: number
  readonly keepAlive: KeepAlivePolicy
  /** How many jobs of one residency key run side by side. */
  readonly parallel: number
  /** auto: past the queue while the target holds the embedder beside another model. */
  readonly embed: 'auto' | 'bypass' | 'queue'
  readonly maxAttempts: number
  readonly maxWaitMs: number
  readonly unreachableDeadlineMs: number
  readonly jobTimeoutMs: number
  readonly jobTtlMs: number
}

export interface EngineDeps {
  readonly config: EngineConfig
  readonly queue: StoredQueue
  readonly sweep: JanitorDeps['sweep']
  readonly board: Board
  readonly bus: Bus
  readonly newId: () => string
  readonly checkWebhook: JobsDeps['checkWebhook']
  readonly find: JobsDeps['find']
  readonly target: SendTarget
  readonly clock: Clock
  readonly random: Random
}

export interface Engine {
  readonly state: TargetState
  readonly admission: AdmissionDesk
  readonly rescuers: Rescuers
  readonly quiet: Quiet
  readonly intake: Intake
  readonly jobs: Jobs
  readonly paces: Paces
  readonly running: () => readonly Running[]
  readonly slotsOf: (residencyKey: string) => number
  readonly poller: Poller
  readonly callers: Callers
  readonly worker: WorkerView
  /** A stopwatch for one caller. */
  patience(): Patience
  /** True when an Ollama answers on a fresh connection. */
  readonly probe: () => Promise<boolean>
  readonly whoAnswers: (signal?: AbortSignal) => Promise<Probed>
  readonly hangs: Pick<Hangs, 'watch'>
  readonly awaited: Pick<Awaited, 'begin' | 'over'>
  /** Whether embeddings of this model go past the queue now (FOREMAN_EMBED). */
  embedsPast(canonicalModel: string): boolean
  /** Asks again what the target holds, at most once a second. */
  refresh(): Promise<void>
  nudge(): void
  /** How long nothing has come round: neither the engine's own tick nor a turn of the dispatcher that is under way. */
  stuckMs(): number
  recover(): void
  start(): void
  /** Twice is harmless, and both wait. */
  stop(graceMs: number): Promise<void>
}

// A lost nudge must not leave a job waiting for ever: a dispatcher that has not come round for so long is woken.
const QUIET_TURNS_MS = 5_000

/** Builds the dispatcher and what it runs on. */
const createWork = (deps: EngineDeps) => {
  const { config, queue, target, clock, random, board, bus } = deps
  const { emit } = bus
  const state = createTargetState({ emit, clock, origin: target.origin })
  const callers = createCallers()
  const stopwatches = createStopwatches(clock, config.unreachableDeadlineMs)
  const rescuers = createRescue((error) => emit({ event: 'loop_failed', loop: 'rescue', error }))
  const roster = createRoster({
    withdraw: (jobId, reason, durability) => queue.withdraw(jobId, reason, clock.now(), durability),
    stateOf: (jobId) => deps.find(jobId)?.state ?? null,
  })
  const probe = async () => (await probeOllama(target)).kind === 'ollama'
  const isIdle = () => roster.seats.length === 0 && queue.isEmpty()
  const quiet = createQuiet(() => isIdle() && dispatcher.phase === 'running' && state.view.reachable)
  const slots = (key: string) => slotsOf(key, config.parallel, state.view.inventory)
  const look = createLook(target)
  const pace = createPaceWatch(clock)
  bus.onAny('paces', pace.observe)
  const hangs = createHangs({
    target,
    state,
    look,
    paces: pace.paces,
    hold: (until) => dispatcher.hold(until),
    clock,
    emit,
  })

  const callerOf = (job: ActiveJob): Caller | undefined | Promise<Caller | undefined> => {
    if (job.kind === 'sync') return callers.get(job.id)
    const body = queue.requestBody(job.seq)
    if (body === null) return undefined
    const onChunk = (bytes: Uint8Array) => board.post(job.id, { kind: 'chunk', bytes })
    return createCollector({ endpoint: job.endpoint, body, arrivedAtMs: clock.monotonicMs(), onChunk })
  }

  const dispatcher = new Dispatcher({
    queue,
    target,
    state,
    roster,
    rescuers,
    toil: createToil(config.jobTimeoutMs),
    hangs,
    callerOf,
    release: callers.remove,
    withdrawn: (jobId, reason) => intake.withdrawn(jobId, reason),
    waitsAgain: (jobId) => intake.waitsAgain(jobId),
    targetWorks: stopwatches.rest,
    probe,
    look,
    clock,
    random,
    emit,
    maxWaitMs: config.maxWaitMs,
    jobTimeoutMs: config.jobTimeoutMs,
    slotsOf: slots,
    idle: quiet.look,
  })
  /** A job comes: whatever uses the quiet gives way before it is claimed. */
  const nudge = () => {
    quiet.disturb()
    dispatcher.nudge()
  }
  const { maxAttempts } = config
  const intake = new CallerIntake({ queue, callers, roster, rescuers, state, clock, emit, nudge, maxAttempts })
  return {
    state,
    callers,
    rescuers,
    roster,
    probe,
    quiet,
    slots,
    look,
    pace,
    hangs,
    dispatcher,
    nudge,
    intake,
    stopwatches,
  }
}

/** Puts the loops together; nothing runs before `start`. */
export const createEngine = (deps: EngineDeps): Engine => {
  const { config, queue, target, clock, bus, board } = deps
  const { emit } = bus
  const work = createWork(deps)
  const { state, callers, rescuers, roster, quiet, dispatcher, nudge, intake, pace, hangs } = work
  const isBusy = () => roster.seats.length > 0
  const awaited = createAwaited({ callers, hurry: () => poller.hurry() })
  const poller = createPoller({
    target,
    state,
    clock,
    emit,
    pollIntervalMs: config.pollIntervalMs,
    isBusy,
    isAwaited: awaited.isAwaited,
  })
  const admission = createAdmission({ keepAlive: config.keepAlive, view: () => state.view, poll: poller.poll })
  const jobs = new AsyncJobs({ ...deps, roster, admission, state, board, emit, nudge, maxAttempts: config.maxAttempts })
  const janitor = createJanitor({ sweep: deps.sweep, clock, emit, jobTtlMs: config.jobTtlMs, isBusy })
  const unsubscribe = state.onReachability((reachable) => {
    if (reachable) quiet.look()
    else if (awaited.isAwaited()) poller.hurry()
  })
  const pulse = createPulse(clock, (nowMs) => {
    if (!queue.isEmpty() && nowMs - dispatcher.turnedAtMs > QUIET_TURNS_MS) dispatcher.nudge()
  })
  let stopping: Promise<void> | null = null

  const stop = createStop({ ...work, awaited, jobs, poller, janitor, pulse, unsubscribe })
  return {
    state,
    admission,
    rescuers,
    quiet,
    intake,
    jobs,
    paces: pace.paces,
    running: pace.running,
    slotsOf: work.slots,
    poller,
    callers,
    probe: work.probe,
    whoAnswers: (signal) => probeOllama(target, signal),
    hangs,
    awaited,
    embedsPast: (model) => config.embed === 'bypass' || (config.embed === 'auto' && state.residency.isBeside(model)),
    refresh: createRefresh({ look: work.look, state, clock }),
    nudge,
    get worker() {
      return workerView(roster.seats, dispatcher.phase, state.view.reachable)
    },
    patience: work.stopwatches.create,
    stuckMs: () => Math.max(clock.monotonicMs() - pulse.tickedAtMs(), dispatcher.turningMs),
    recover() {
      const recovered = queue.recover(clock.now(), config.parallel)
      emit({ event: 'recovered', ...recovered })
    },
    start() {
      pulse.start()
      dispatcher.start()
      janitor.start()
      // The first poll says whether the target is there at all.
      void poller.start()
    },
    stop(graceMs) {
      stopping ??= stop(graceMs)
      return stopping
    },
  }
}
