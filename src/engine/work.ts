/** Joins the dispatcher with what it runs on: roster, callers, residents, quiet moments and the watch for hangs; nothing runs yet. */
import type { Clock, Random } from '../domain/clock.ts'
import type { ActiveJob } from '../domain/job/job.ts'
import type { KeepAlivePolicy } from '../domain/wire/keep-alive.ts'
import { createAbilities } from './abilities.ts'
import type { AdmissionDesk } from './admission.ts'
import { Aside, type AsideDeps } from './aside.ts'
import type { Board } from './board.ts'
import type { Bus } from './bus.ts'
import { type Caller, type Callers, createCallers } from './caller.ts'
import { createCollector } from './collector.ts'
import { type ConclusionDeps, createConclusions } from './conclusion.ts'
import { Dispatcher } from './dispatcher.ts'
import { createHangs } from './hangs.ts'
import { CallerIntake } from './intake.ts'
import type { JanitorDeps } from './janitor.ts'
import type { JobsDeps } from './jobs.ts'
import { startLeads } from './leads.ts'
import { createLook } from './look.ts'
import { createPaceWatch } from './pace-watch.ts'
import { createStopwatches } from './patience.ts'
import type { SendTarget, StoredQueue } from './ports.ts'
import { probeOllama } from './probe.ts'
import { createQuiet } from './quiet.ts'
import { createRelief } from './relief.ts'
import { createRescue } from './rescue.ts'
import { createRoster, type Order } from './roster.ts'
import { slotsOf } from './slots.ts'
import { createTargetState } from './state.ts'
import { createToil } from './toil.ts'

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

/** Who is answered for a job: the client that waits, or whoever collects what an async one is answered. */
const callerOf = ({ queue, board, clock }: EngineDeps, callers: Callers, shape: AdmissionDesk['shape']) => {
  const collectorOf = async (job: ActiveJob): Promise<Caller | undefined> => {
    const body = await queue.requestBody(job.seq)
    if (body === null) return undefined
    const onChunk = (bytes: Uint8Array) => board.post(job.id, { kind: 'chunk', bytes })
    const fallback = job.fallback ?? 'never'
    const arrivedAtMs = clock.monotonicMs()
    const collector = await createCollector({ endpoint: job.endpoint, body, arrivedAtMs, fallback, onChunk })
    if (collector === undefined || fallback !== 'auto') return collector
    return { ...collector, ...shape(collector), bodyAsSent: body }
  }
  return (job: ActiveJob) => (job.kind === 'sync' ? callers.get(job.id) : collectorOf(job))
}

/** What is served elsewhere ends as everything does; what comes back is the target's again. */
const createAsideOf = (
  ends: Omit<ConclusionDeps, 'aside'> & Pick<AsideDeps, 'rescuers' | 'roster'>,
  nudge: () => void,
) => {
  const waitsAgain = (jobId: string) => {
    ends.waitsAgain(jobId)
    nudge()
  }
  const conclude: AsideDeps['conclude'] = (...end) => conclusions.concludeAside(...end)
  const aside = new Aside({ ...ends, conclude })
  const conclusions = createConclusions({ ...ends, waitsAgain, aside })
  return aside
}

/** Builds the dispatcher and what it runs on. */
export const createWork = (deps: EngineDeps, shape: AdmissionDesk['shape']) => {
  const { config, queue, target, clock, random, bus } = deps
  const { emit } = bus
  const state = createTargetState({ emit, clock, origin: target.origin })
  const callers = createCallers()
  const stopwatches = createStopwatches(clock, config.unreachableDeadlineMs)
  const rescuers = createRescue((error) => emit({ event: 'loop_failed', loop: 'rescue', error }))
  const relief = createRelief((error) => emit({ event: 'loop_failed', loop: 'relief', error }))
  const roster = createRoster({
    clock,
    withdraw: (jobId, reason, durability) => queue.withdraw(jobId, reason, clock.now(), durability),
    stateOf: (jobId) => deps.find(jobId)?.state ?? null,
  })
  const probe = async () => (await probeOllama(target)).kind === 'ollama'
  const isIdle = () => roster.seats.length === 0 && queue.isEmpty()
  const quiet = createQuiet(() => isIdle() && dispatcher.phase === 'running' && state.view.reachable)
  const slots = (key: string) => slotsOf(key, config.parallel, state.view.inventory)
  const look = createLook(target)
  const abilities = createAbilities({ target, state, clock })
  const pace = createPaceWatch(clock)
  bus.onAny('paces', pace.observe)
  const hangs = createHangs({ target, state, look, hold: (until) => dispatcher.hold(until), clock, emit })

  const waitsAgain = (jobId: string) => intake.waitsAgain(jobId)
  const ends = {
    ...{ queue, state, roster, clock, random, emit, waitsAgain },
    release: callers.remove,
    withdrawn: (jobId: string, reason: Order['reason']) => intake.withdrawn(jobId, reason),
    targetWorks: stopwatches.rest,
  }
  const caller = callerOf(deps, callers, shape)
  const aside = createAsideOf({ ...ends, rescuers }, () => dispatcher.nudge())
  const dispatcher = new Dispatcher({
    ...ends,
    target,
    aside,
    toil: createToil(config.jobTimeoutMs),
    hangs,
    abilities,
    relief,
    callerOf: caller,
    probe,
    look,
    maxWaitMs: config.maxWaitMs,
    jobTimeoutMs: config.jobTimeoutMs,
    slotsOf: slots,
    idle: quiet.look,
  })
  const endLeads = startLeads({ queue, aside, rescuers, state, callerOf: caller, bus, clock })
  /** A job comes: whatever uses the quiet gives way before it is claimed. */
  const nudge = () => {
    quiet.disturb()
    dispatcher.nudge()
  }
  const { maxAttempts } = config
  const intake = new CallerIntake({ queue, callers, roster, rescuers, aside, state, clock, emit, nudge, maxAttempts })
  return {
    state,
    abilities,
    callers,
    ...{ relief, rescuers, aside, endLeads },
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
