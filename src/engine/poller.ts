/** Asks the target what it has and what it holds, and notices its return; a failed poll keeps the last knowledge. */
import { isSame } from '../domain/bytes.ts'
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import {
  emptiedWords,
  type Inventory,
  inventoryFrom,
  isEmptied,
  type ResidentModel,
  residentsFrom,
} from '../domain/wire/inventory.ts'
import { createLoop } from '../loop/loop.ts'
import { type Asked, askTarget } from './ask.ts'
import type { SendTarget } from './ports.ts'
import { probeOllama } from './probe.ts'
import type { TargetState, TargetView } from './state.ts'

export interface PollerDeps {
  readonly target: SendTarget
  readonly state: TargetState
  readonly clock: Clock
  readonly emit: Emit
  readonly pollIntervalMs: number
  /** The target, which has answered before, has a job: that one's own watch decides whether it lives, not a poll. */
  readonly isWorking: () => boolean
  /** A client waits: an unreachable target is asked more often. */
  readonly isAwaited: () => boolean
}

/** Hears of every good poll. */
export type PollListener = (view: TargetView) => void

export interface Poller {
  /** Resolves after a poll that began after this call, or with a stop; callers at the same time share one. */
  poll(): Promise<void>
  /** Somebody began to wait for an unreachable target: ask sooner. */
  hurry(): void
  /** One that throws is told of and hinders nobody; the returned function ends it. */
  onPolled(listener: PollListener): () => void
  /** Resolves after the first poll. */
  start(): Promise<void>
  /** Gives a poll that is under way up. */
  stop(): Promise<void>
}

// While a client waits for a sleeping target: 1, 2, 4 … s, so that a restart of Ollama costs it seconds, not a poll interval.
const RETURN_PROBE_FIRST_MS = 1_000

interface Polled {
  kind: 'polled'
  inventory: Inventory
  tagsBody: Uint8Array
  psBody: Uint8Array
  residents: ResidentModel[]
  version: string | null
}

/** `isAnswered`: by something that is not an Ollama. */
type Failed = Extract<Asked, { kind: 'failed' }> & { readonly isAnswered?: boolean }

const failed = (message: string, reached: boolean, isAnswered = false): Failed => ({
  kind: 'failed',
  message,
  reached,
  isAnswered,
})

const versionOf = (body: unknown): string | null =>
  typeof body === 'object' && body !== null && 'version' in body ? String(body.version) : null

/** What answers, if only with an error, is there when it is an Ollama. */
const ifOllama = async (target: SendTarget, answer: Failed, signal: AbortSignal): Promise<Failed> => {
  const probed = answer.reached ? await probeOllama(target, signal) : null
  return probed?.kind === 'away' ? failed(probed.message, false, probed.reached) : answer
}

/** The three questions of a poll; the version changes only when the target was restarted, so a known one is not asked for. */
const askAll = async (target: SendTarget, view: TargetView, signal: AbortSignal): Promise<Polled | Failed> => {
  const known = view.reachable ? view.version : null
  const tags = await askTarget(target, '/api/tags', { signal })
  if (tags.kind === 'failed') return ifOllama(target, tags, signal)
  const inventory = inventoryFrom(tags.json)
  if (inventory === null)
    return ifOllama(target, failed('the answer of /api/tags is not a list of models', true), signal)
  if (isEmptied(view.inventory, inventory)) return failed(emptiedWords(target.origin, view.inventory), false, true)
  const ps = await askTarget(target, '/api/ps', { signal })
  if (ps.kind === 'failed') return ifOllama(target, ps, signal)
  const version = known === null ? await askTarget(target, '/api/version', { signal }) : null
  return {
    kind: 'polled',
    inventory,
    // The same list stays the same object, so that whoever holds on to it sees that nothing has changed.
    tagsBody: view.tagsBody !== null && isSame(view.tagsBody, tags.body) ? view.tagsBody : tags.body,
    psBody: ps.body,
    residents: residentsFrom(ps.json) ?? [],
    version: version?.kind === 'answered' ? versionOf(version.json) : known,
  }
}

/** One poll: asks, and tells the state what came of it. True when it was a good one; null when it was given up. */
const createPoll = ({ target, state, clock, emit, isWorking }: PollerDeps) => {
  const noteFailure = ({ message, reached, isAnswered }: Failed, tookMs: number) => {
    if (!state.view.degraded) emit({ event: 'poll_failed', message })
    state.update({ degraded: true, reason: message })
    if (reached) state.reached()
    else if (!isWorking()) state.unreached(message, { isAnswered, forMs: state.view.lastPollAt === null ? tookMs : 0 })
  }

  return async (signal: AbortSignal): Promise<boolean | null> => {
    const { residency } = state
    const before = residency.version
    const askedAtMs = clock.monotonicMs()
    const polled = await askAll(target, state.view, signal)
    // What was cut short says nothing about the target.
    if (signal.aborted) return null
    if (polled.kind === 'failed') {
      noteFailure(polled, clock.monotonicMs() - askedAtMs)
      return false
    }
    const { inventory, tagsBody, psBody, residents, version } = polled
    state.update({ inventory, tagsBody, psBody, version, degraded: false, reason: null, lastPollAt: clock.now() })
    state.reached()
    // An answer from before a load is no news.
    if (residency.version === before) residency.seen(residents)
    return true
  }
}

/** Listeners that cannot hinder each other. */
const createListeners = (emit: Emit) => {
  const listeners = new Set<PollListener>()
  return {
    add(listener: PollListener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    tell(view: TargetView) {
      for (const listener of [...listeners]) {
        try {
          listener(view)
        } catch (error) {
          emit({ event: 'loop_failed', loop: 'poll listener', error })
        }
      }
    },
  }
}

/** The poller of one target. */
export const createPoller = (deps: PollerDeps): Poller => {
  const { state, clock, emit, pollIntervalMs, isAwaited } = deps
  const pollOnce = createPoll(deps)
  const listeners = createListeners(emit)
  let waiters: (() => void)[] = []
  let running = false
  let begunAtMs = Number.NEGATIVE_INFINITY
  let failuresInARow = 0

  const release = () => {
    const released = waiters
    waiters = []
    for (const resolve of released) resolve()
  }

  /** From the beginning of a poll to the next: one of a sleeping target takes seconds, and its return is to be seen within one interval. */
  const intervalMs = (): number => {
    if (state.view.reachable || !isAwaited()) return pollIntervalMs
    return Math.min(pollIntervalMs, RETURN_PROBE_FIRST_MS * 2 ** Math.min(Math.max(0, failuresInARow - 1), 10))
  }
  const leftMs = () => Math.max(0, begunAtMs + intervalMs() - clock.monotonicMs())

  const body = async (signal: AbortSignal): Promise<number> => {
    // Nudged for no more than to look again at how long the pause is.
    if (waiters.length === 0 && leftMs() > 0) return leftMs()
    begunAtMs = clock.monotonicMs()
    const served = waiters
    waiters = []
    try {
      const isGood = await pollOnce(signal)
      if (isGood === true) failuresInARow = 0
      else if (isGood === false && isAwaited()) failuresInARow++
      if (isGood === true) listeners.tell(state.view)
    } finally {
      for (const resolve of served) resolve()
    }
    return leftMs()
  }

  const failed = (error: unknown) => emit({ event: 'loop_failed', loop: 'poller', error })
  const loop = createLoop({ name: 'poller', clock, body, failed, pauseMs: pollIntervalMs })

  const poll = () =>
    new Promise<void>((resolve) => {
      if (!running) return resolve()
      waiters.push(resolve)
      loop.nudge()
    })

  return {
    poll,
    hurry() {
      failuresInARow = 0
      loop.nudge()
    },
    onPolled: listeners.add,
    start() {
      running = true
      begunAtMs = Number.NEGATIVE_INFINITY
      const first = poll()
      loop.start()
      return first
    },
    stop() {
      running = false
      release()
      return loop.stop()
    },
  }
}
