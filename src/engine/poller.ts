/** Asks the target what it has and what it holds, and notices its return; a failed poll keeps the last knowledge. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'
import { type Inventory, inventoryFrom, type ResidentModel, residentsFrom } from '../domain/wire/inventory.ts'
import { modelOfKey } from '../domain/wire/residency.ts'
import { createNudge } from '../loop/nudge.ts'
import { type Asked, askTarget } from './ask.ts'
import type { SendTarget } from './ports.ts'
import type { TargetState } from './state.ts'

export interface PollerDeps {
  readonly target: SendTarget
  readonly state: TargetState
  readonly clock: Clock
  readonly emit: Emit
  readonly pollIntervalMs: number
  /** A job is on the worker: its own watch decides whether the target lives, not a poll. */
  readonly isBusy: () => boolean
  /** A client waits: an unreachable target is asked more often. */
  readonly isAwaited: () => boolean
  /** Called after every good poll. */
  readonly onPolled: (residents: readonly ResidentModel[]) => void
}

export interface Poller {
  /** Resolves after a poll that began after this call; callers at the same time share one. */
  poll(): Promise<void>
  /** Somebody began to wait for an unreachable target: ask sooner. */
  hurry(): void
  /** Resolves after the first poll. */
  start(): Promise<void>
  stop(): Promise<void>
}

// While a client waits for a sleeping target: 1, 2, 4 … s, so that a restart of Ollama costs it seconds, not a poll interval.
const RETURN_PROBE_FIRST_MS = 1_000

interface Polled {
  kind: 'polled'
  inventory: Inventory
  tagsBody: Uint8Array
  residents: ResidentModel[]
  version: string | null
}

type Failed = Extract<Asked, { kind: 'failed' }>

const versionOf = (body: unknown): string | null =>
  typeof body === 'object' && body !== null && 'version' in body ? String(body.version) : null

/** The poller of one target. */
export const createPoller = (deps: PollerDeps): Poller => {
  const { target, state, clock, emit } = deps
  const nudge = createNudge(clock.after)
  let waiters: (() => void)[] = []
  let running = false
  let looping: Promise<void> = Promise.resolve()
  let failuresInARow = 0

  const askAll = async (): Promise<Polled | Failed> => {
    const tags = await askTarget(target, '/api/tags')
    if (tags.kind === 'failed') return tags
    const inventory = inventoryFrom(tags.json)
    if (inventory === null)
      return { kind: 'failed', message: 'the answer of /api/tags is not a list of models', reached: true }
    const ps = await askTarget(target, '/api/ps')
    if (ps.kind === 'failed') return ps
    // The version changes only when the target was restarted.
    const known = state.view.reachable ? state.view.version : null
    const version = known === null ? await askTarget(target, '/api/version') : null
    return {
      kind: 'polled',
      inventory,
      tagsBody: tags.body,
      residents: residentsFrom(ps.json) ?? [],
      version: version?.kind === 'answered' ? versionOf(version.json) : known,
    }
  }

  const pollOnce = async () => {
    const idleBefore = !deps.isBusy()
    const keyBefore = state.residentKey
    const polled = await askAll()
    if (polled.kind === 'failed') {
      if (deps.isAwaited()) failuresInARow++
      if (!state.view.degraded) emit({ event: 'poll_failed', message: polled.message })
      state.update({ degraded: true })
      // A target that answers, if only with an error, is there.
      if (!polled.reached && !deps.isBusy()) state.unreached(polled.message)
      else if (polled.reached) state.reached()
      return
    }
    failuresInARow = 0
    const { inventory, tagsBody, residents, version } = polled
    state.update({ inventory, tagsBody, residents, version, degraded: false, lastPollAt: clock.now() })
    state.reached()
    // Only what nothing touched while we asked can be believed to be gone.
    const untouched = idleBefore && !deps.isBusy() && keyBefore !== null && keyBefore === state.residentKey
    if (untouched && !polled.residents.some(({ canonical }) => canonical === modelOfKey(keyBefore)))
      state.setResident(null)
    deps.onPolled(polled.residents)
  }

  const pauseMs = (): number => {
    if (state.view.reachable || !deps.isAwaited()) return deps.pollIntervalMs
    return Math.min(deps.pollIntervalMs, RETURN_PROBE_FIRST_MS * 2 ** Math.min(Math.max(0, failuresInARow - 1), 10))
  }

  /** Sleeps until the next poll is due; a nudge makes it look again at how long that is. */
  const rest = async (since: number) => {
    for (;;) {
      const leftMs = since + pauseMs() - clock.monotonicMs()
      if (!running || waiters.length > 0 || leftMs <= 0) return
      await nudge.wait(leftMs)
    }
  }

  const loop = async () => {
    while (running) {
      const began = clock.monotonicMs()
      const served = waiters
      waiters = []
      try {
        await pollOnce()
      } catch (error) {
        emit({ event: 'loop_failed', loop: 'poller', error })
      }
      for (const resolve of served) resolve()
      // From its beginning: a poll of a sleeping target takes seconds, and the return is to be seen within one interval.
      await rest(began)
    }
    for (const resolve of waiters) resolve()
  }

  return {
    poll: () =>
      new Promise((resolve) => {
        if (!running) return resolve()
        waiters.push(resolve)
        nudge.raise()
      }),
    hurry() {
      failuresInARow = 0
      nudge.raise()
    },
    start() {
      running = true
      const first = new Promise<void>((resolve) => waiters.push(resolve))
      looping = loop()
      return first
    },
    async stop() {
      running = false
      nudge.raise()
      await looping
    },
  }
}
