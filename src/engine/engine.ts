/** The engine: worker, intake, poller, janitor and embedder around one target and one queue, started and stopped as one. */
import type { Clock, Random } from '../domain/clock.ts'
import type { Paces } from '../domain/job/eta.ts'
import type { Emit } from '../domain/job/events.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import type { KeepAlivePolicy } from '../domain/wire/keep-alive.ts'
import { askTarget } from './ask.ts'
import type { Board } from './board.ts'
import { type Caller, type Callers, createCallers } from './caller.ts'
import { createCollector } from './collector.ts'
import { createEmbedder } from './embedder.ts'
import { createIntake, type Intake } from './intake.ts'
import { createJanitor, type JanitorDeps } from './janitor.ts'
import { createJobs, type Jobs, type JobsDeps } from './jobs.ts'
import { createPaceWatch, type PaceWatch } from './pace-watch.ts'
import { createPoller, type Poller } from './poller.ts'
import type { EngineQueue, SendTarget } from './ports.ts'
import { createTargetState, type TargetState } from './state.ts'
import { createWorker, type Worker } from './worker.ts'

export interface EngineConfig {
  readonly pollIntervalMs: number
  readonly keepAlive: KeepAlivePolicy
  readonly embedModel: string | null
  readonly maxAttempts: number
  readonly maxWaitMs: number
  readonly unreachableDeadlineMs: number
  readonly jobTimeoutMs: number
  readonly jobTtlMs: number
}

/** The queue with what only the engine's start and the async jobs need. */
export interface StoredQueue extends EngineQueue {
  recover(now: number, slots: number): { requeued: number; abandoned: number; exhausted: number }
  requestBody(seq: number): Uint8Array | null
}

export interface EngineDeps {
  readonly config: EngineConfig
  readonly queue: StoredQueue
  readonly sweep: JanitorDeps['sweep']
  readonly board: Board
  readonly newId: () => string
  readonly checkWebhook: JobsDeps['checkWebhook']
  readonly stateOf: JobsDeps['stateOf']
  readonly target: SendTarget
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
}

export interface Engine {
  readonly worker: Worker
  readonly state: TargetState
  readonly intake: Intake
  readonly jobs: Jobs
  readonly paces: Paces
  readonly running: PaceWatch['running']
  readonly poller: Poller
  readonly callers: Callers
  /** True when the target answers on a fresh connection. */
  readonly probe: () => Promise<boolean>
  /** Monotonic milliseconds of the last tick of the engine's own timer. */
  lastTickAt(): number
  recover(): void
  start(): void
  stop(graceMs: number): Promise<void>
}

const TICK_MS = 1_000

/** Puts the loops together; nothing runs before `start`. */
export const createEngine = (deps: EngineDeps): Engine => {
  const { config, queue, target, clock, random, board } = deps
  const pace = createPaceWatch(clock)
  const emit: Emit = (event) => {
    pace.observe(event)
    deps.emit(event)
  }
  let tickedAt = clock.monotonicMs()
  let cancelTick = () => {}
  const state = createTargetState(emit)
  const callers = createCallers()
  const probe = async () => (await askTarget(target, '/api/version')).kind === 'answered'

  const callerOf = (job: ActiveJob): Caller | undefined => {
    if (job.kind === 'sync') return callers.get(job.id)
    const body = queue.requestBody(job.seq)
    if (body === null) return undefined
    const onChunk = (bytes: Uint8Array) => board.post(job.id, { kind: 'chunk', bytes })
    return createCollector({ endpoint: job.endpoint, body, arrivedAtMs: clock.monotonicMs(), onChunk })
  }

  const worker = createWorker({
    queue,
    target,
    state,
    callerOf,
    release: callers.remove,
    probe,
    clock,
    random,
    emit,
    keepAlive: config.keepAlive,
    maxWaitMs: config.maxWaitMs,
    jobTimeoutMs: config.jobTimeoutMs,
  })
  const isBusy = () => worker.view.jobId !== null
  const embedder = createEmbedder({ target, emit, embedModel: config.embedModel })
  const poller = createPoller({
    target,
    state,
    clock,
    emit,
    pollIntervalMs: config.pollIntervalMs,
    isBusy,
    isAwaited: () => callers.size > 0,
  })
  poller.onPolled(({ residents }) => embedder.observe(residents))
  const intake = createIntake({
    queue,
    callers,
    worker,
    state,
    clock,
    emit,
    maxAttempts: config.maxAttempts,
    unreachableDeadlineMs: config.unreachableDeadlineMs,
  })
  const jobs = createJobs({
    queue,
    worker,
    state,
    poller,
    board,
    clock,
    emit,
    newId: deps.newId,
    maxAttempts: config.maxAttempts,
    keepAlive: config.keepAlive,
    checkWebhook: deps.checkWebhook,
    stateOf: deps.stateOf,
  })
  const janitor = createJanitor({ sweep: deps.sweep, clock, emit, jobTtlMs: config.jobTtlMs, isBusy })
  const unsubscribe = state.onReachability((reachable) => {
    if (reachable) void embedder.warm()
    else if (callers.size > 0) poller.hurry()
  })
  const tick = () => {
    tickedAt = clock.monotonicMs()
    cancelTick = clock.after(TICK_MS, tick)
  }

  return {
    worker,
    state,
    intake,
    jobs,
    paces: pace.paces,
    running: pace.running,
    poller,
    callers,
    probe,
    lastTickAt: () => tickedAt,
    recover() {
      const recovered = queue.recover(clock.now(), 1)
      emit({ event: 'recovered', ...recovered })
    },
    start() {
      tick()
      worker.start()
      janitor.start()
      // The first poll says whether the target is there at all.
      void poller.start().then(() => (state.view.reachable ? embedder.warm() : undefined))
    },
    async stop(graceMs) {
      unsubscribe()
      jobs.close()
      await intake.close()
      await Promise.all([worker.stop(graceMs), poller.stop(), janitor.stop()])
      // The last job may have gone back to wait for another attempt.
      await intake.close()
      intake.stop()
      cancelTick()
    },
  }
}
