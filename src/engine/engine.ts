/** The engine: dispatcher, intake, jobs, poller and janitor around one target and one queue, started and stopped as one. */
import type { Paces, Running } from '../domain/job/eta.ts'
import type { Abilities } from './abilities.ts'
import { type AdmissionDesk, createAdmission } from './admission.ts'
import type { Aside } from './aside.ts'
import { type Awaited, createAwaited } from './awaited.ts'
import type { Callers } from './caller.ts'
import type { Hangs } from './hangs.ts'
import type { Intake } from './intake.ts'
import { createJanitor } from './janitor.ts'
import { AsyncJobs, type Jobs } from './jobs.ts'
import { createRefresh } from './look.ts'
import type { Patience } from './patience.ts'
import { createPoller, type Poller } from './poller.ts'
import { type Probed, probeOllama } from './probe.ts'
import { createPulse } from './pulse.ts'
import type { Quiet } from './quiet.ts'
import type { ReliefPort } from './relief.ts'
import type { Rescuers } from './rescue.ts'
import type { Working } from './roster.ts'
import type { TargetState } from './state.ts'
import { createStop } from './stop.ts'
import { createUpkeep, type Upkeep } from './upkeep.ts'
import { createWork, type EngineDeps } from './work.ts'
import { type WorkerView, workerView } from './worker-view.ts'

export type { EngineConfig, EngineDeps } from './work.ts'

export interface Engine {
  readonly state: TargetState
  readonly abilities: Abilities
  readonly admission: AdmissionDesk
  readonly rescuers: Rescuers
  readonly relief: ReliefPort
  readonly aside: Pick<Aside, 'serve' | 'wants'>
  readonly quiet: Quiet
  readonly intake: Intake
  readonly jobs: Jobs
  readonly paces: Paces
  readonly running: () => readonly Running[]
  readonly slotsOf: (residencyKey: string) => number
  readonly poller: Poller
  readonly callers: Callers
  readonly worker: WorkerView
  /** A stopwatch for one caller, who may say what it bears. */
  patience(atMostMs?: number): Patience
  /** True when an Ollama answers on a fresh connection. */
  readonly probe: () => Promise<boolean>
  readonly whoAnswers: (signal?: AbortSignal) => Promise<Probed>
  readonly hangs: Pick<Hangs, 'watch'>
  readonly awaited: Pick<Awaited, 'begin' | 'isAwaited' | 'over'>
  /** Whether embeddings of this model go past the queue now (FOREMAN_EMBED). */
  embedsPast(canonicalModel: string): boolean
  /** Asks again what the target holds, at most once a second. */
  refresh(): Promise<void>
  readonly upkeep: Upkeep
  /** What the target works on for the queue just now. */
  readonly working: () => readonly Working[]
  /** See PartTarget: jobs that run come back with their attempt; null asks the target at once whether it is there. */
  declareDown(part: string, words: string | null): void
  nudge(): void
  /** How long nothing has come round: neither the engine's own tick nor a turn of the dispatcher that is under way. */
  stuckMs(): number
  /** How late the engine's latest tick was since this was last asked. */
  takeLatestMs(): number
  recover(): void
  start(): void
  /** Twice is harmless, and both wait. */
  stop(graceMs: number): Promise<void>
}

// A lost nudge must not leave a job waiting for ever: a dispatcher that has not come round for so long is woken.
const QUIET_TURNS_MS = 5_000

/** The pulse of an engine: it wakes a dispatcher that has slept too long beside waiting work. */
const heartOf = (
  { clock, queue }: EngineDeps,
  dispatcher: { readonly turnedAtMs: number; nudge(): void },
  isBusy: () => boolean,
) =>
  createPulse({
    clock,
    isIdle: () => queue.isEmpty() && !isBusy(),
    beat(nowMs) {
      if (!queue.isEmpty() && nowMs - dispatcher.turnedAtMs > QUIET_TURNS_MS) dispatcher.nudge()
    },
  })

/** Puts the loops together; nothing runs before `start`. */
export const createEngine = (deps: EngineDeps): Engine => {
  const { config, queue, target, clock, bus, board } = deps
  const { emit } = bus
  const work = createWork(deps, (draft) => admission.shape(draft))
  const { state, callers, rescuers, roster, quiet, dispatcher, nudge, intake, pace, hangs } = work
  const isBusy = () => roster.seats.length > 0
  // What never answered at all is not busy, and a job that waits for it hinders nobody from being told.
  const isWorking = () => roster.seats.some(({ isHeard }) => isHeard || state.view.lastPollAt !== null)
  const awaited = createAwaited({ callers, hurry: () => poller.hurry() })
  const poller = createPoller({
    target,
    state,
    clock,
    emit,
    pollIntervalMs: config.pollIntervalMs,
    isWorking,
    isAwaited: awaited.isAwaited,
  })
  const admission = createAdmission({ keepAlive: config.keepAlive, view: () => state.view, poll: poller.poll })
  const { maxAttempts } = config
  const jobs = new AsyncJobs({ ...deps, roster, admission, rescuers, state, board, emit, nudge, maxAttempts })
  const janitor = createJanitor({ sweep: deps.sweep, clock, emit, jobTtlMs: config.jobTtlMs, isBusy })
  const unsubscribe = state.onReachability((reachable) => {
    if (reachable) quiet.look()
    else if (awaited.isAwaited()) poller.hurry()
  })
  const pulse = heartOf(deps, dispatcher, isBusy)
  let stopping: Promise<void> | null = null
  const stop = createStop({ ...work, awaited, jobs, poller, janitor, pulse, unsubscribe })
  return {
    ...{ state, admission, rescuers, quiet, relief: work.relief },
    aside: work.aside,
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
    abilities: work.abilities,
    awaited,
    embedsPast: (model) =>
      !hangs.mustYield(model) &&
      (config.embed === 'bypass' || (config.embed === 'auto' && state.residency.isBeside(model))),
    refresh: createRefresh({ look: work.look, state, clock }),
    upkeep: createUpkeep({ ...work, target }),
    working: roster.working,
    declareDown(part, words) {
      state.declareDown(part, words)
      if (words === null) void poller.poll()
      else roster.stopAll({ kind: 'lost' })
    },
    nudge,
    get worker() {
      return workerView(roster.seats, dispatcher.phase, state.view.reachable)
    },
    patience: work.stopwatches.create,
    stuckMs: () => Math.max(clock.monotonicMs() - pulse.tickedAtMs(), dispatcher.turningMs),
    takeLatestMs: pulse.takeLatestMs,
    recover: () => emit({ event: 'recovered', ...queue.recover(clock.now(), config.parallel) }),
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
