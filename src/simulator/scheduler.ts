/** Ollama's scheduler (wire document, section 6), its starvation and its deadlock included; it must never be fairer than the real one. */
import type { Tally } from './counters.ts'
import type { InstalledModel } from './model.ts'
import type { Departure, Pulse } from './pulse.ts'
import { createRunner, type Runner } from './runner.ts'
import { needsReload, type RunnerOptions } from './runner-options.ts'

/** What a request needs before it may use the GPU. */
export interface Wish {
  readonly model: InstalledModel
  readonly options: RunnerOptions
  /** Milliseconds, Infinity for "forever"; undefined when the request says nothing. */
  readonly keepAliveMs: number | undefined
  readonly departure: Departure
  /** Multiplies the load time. */
  readonly slowFactor: number
  /** A commanded load failure. */
  readonly loadError: string | undefined
}

/** How the wait for a runner ended. */
export type Grant =
  | { readonly kind: 'ready'; readonly runner: Runner; release(): void }
  | { readonly kind: 'busy' }
  | { readonly kind: 'failed'; readonly text: string }
  | { readonly kind: 'gone' }

/** A loaded model as /api/ps shows it. */
export interface Resident {
  readonly model: InstalledModel
  readonly contextLength: number
  readonly expiresAtMs: number
  readonly working: number
}

export interface SchedulerDeps {
  readonly pulse: Pulse
  readonly tally: Tally
  readonly loadMs: number
  readonly maxLoadedModels: number
  readonly numParallel: number
  readonly maxQueue: number
}

export interface Scheduler {
  acquire(wish: Wish): Promise<Grant> | Grant
  /** The unload idiom: stops the model now, or when its work ends. */
  expire(model: InstalledModel): void
  /** What a runtime out-of-memory does. */
  expireAll(): void
  residents(): Resident[]
}

const DEFAULT_KEEP_ALIVE_MS = 300_000
const GONE: Grant = { kind: 'gone' }

/** Idle first, then the shortest keep-alive, then the path of the weights. */
const chooseVictim = (runners: Iterable<Runner>): Runner | undefined =>
  [...runners].sort(
    (a, b) =>
      Number(a.refs > 0) - Number(b.refs > 0) ||
      // Infinity - Infinity is NaN, which sorts as equal.
      (a.keepAliveMs === b.keepAliveMs ? 0 : a.keepAliveMs - b.keepAliveMs) ||
      (a.model.weights < b.model.weights ? -1 : 1),
  )[0]

/** An empty GPU. */
export const createScheduler = ({
  pulse,
  tally,
  loadMs,
  maxLoadedModels,
  numParallel,
  maxQueue,
}: SchedulerDeps): Scheduler => {
  const runners = new Map<string, Runner>()
  const pending: { wish: Wish; settle: (grant: Grant) => void }[] = []
  let unloadWaiters: (() => void)[] = []
  let pumping = false

  const unload = (runner: Runner) => {
    runner.cancelExpiry()
    if (runners.get(runner.model.weights) !== runner) return
    runners.delete(runner.model.weights)
    if (runner.evicted) tally.add('swaps')
    const waiters = unloadWaiters
    unloadWaiters = []
    for (const wake of waiters) wake()
  }

  const stop = (runner: Runner) => {
    runner.keepAliveMs = 0
    runner.expiresAtMs = pulse.now()
    runner.cancelExpiry()
    if (runner.refs === 0) unload(runner)
  }

  const release = (runner: Runner) => {
    runner.refs--
    if (runner.refs > 0) return
    if (runner.keepAliveMs <= 0) return unload(runner)
    runner.expiresAtMs = pulse.now() + runner.keepAliveMs
    runner.cancelExpiry()
    runner.cancelExpiry = pulse.after(runner.keepAliveMs, () => stop(runner))
  }

  const use = (runner: Runner, wish: Wish): Grant => {
    runner.refs++
    runner.cancelExpiry()
    // A request that says nothing leaves what the last one said; this also undoes a pending eviction (6.5).
    if (wish.keepAliveMs !== undefined) runner.keepAliveMs = wish.keepAliveMs
    let released = false
    return {
      kind: 'ready',
      runner,
      release() {
        if (released) return
        released = true
        release(runner)
      },
    }
  }

  const load = async (wish: Wish): Promise<Grant> => {
    tally.add('loads')
    const ms = (wish.model.spec.loadMs ?? loadMs) * wish.slowFactor
    if (ms > 0 && !(await pulse.delay(ms, wish.departure))) return GONE
    const error = wish.loadError ?? wish.model.spec.loadError
    if (error !== undefined) return { kind: 'failed', text: error }
    const slots = wish.model.isEmbedder ? 1 : numParallel
    const runner = createRunner(wish.model, wish.options, wish.keepAliveMs ?? DEFAULT_KEEP_ALIVE_MS, slots)
    runners.set(wish.model.weights, runner)
    return use(runner, wish)
  }

  /** Handles the head of the line to its end; everyone behind waits, as in Ollama. */
  const serve = async (wish: Wish): Promise<Grant> => {
    for (;;) {
      if (wish.departure.gone) return GONE
      const loaded = runners.get(wish.model.weights)
      if (loaded && !loaded.dead && !needsReload(loaded.options, wish.options)) return use(loaded, wish)
      const victim = loaded ?? (runners.size >= maxLoadedModels ? chooseVictim(runners.values()) : undefined)
      if (!victim) return load(wish)
      const unloaded = new Promise<void>((resolve) => unloadWaiters.push(resolve))
      victim.evicted = !victim.dead
      victim.keepAliveMs = 0
      victim.cancelExpiry()
      if (victim.refs === 0) unload(victim)
      await unloaded
    }
  }

  const pump = async () => {
    if (pumping) return
    pumping = true
    for (let head = pending.shift(); head; head = pending.shift()) head.settle(await serve(head.wish))
    pumping = false
  }

  return {
    acquire(wish) {
      const loaded = runners.get(wish.model.weights)
      if (loaded && !loaded.dead && !needsReload(loaded.options, wish.options)) return use(loaded, wish)
      if (pending.length >= maxQueue) return { kind: 'busy' }
      return new Promise((settle) => {
        pending.push({ wish, settle })
        pump()
      })
    },
    expire(model) {
      const runner = runners.get(model.weights)
      if (runner) stop(runner)
    },
    expireAll() {
      for (const runner of [...runners.values()]) stop(runner)
    },
    residents: () =>
      [...runners.values()]
        .map((runner) => ({
          model: runner.model,
          contextLength: runner.options.num_ctx,
          expiresAtMs: runner.expiresAtMs ?? pulse.now() + runner.keepAliveMs,
          working: runner.refs,
        }))
        .sort((a, b) => (a.expiresAtMs === b.expiresAtMs ? 0 : b.expiresAtMs - a.expiresAtMs)),
  }
}
