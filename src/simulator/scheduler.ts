/** Ollama's scheduler (wire document, section 6), its starvation and its deadlock included; it must never be fairer than the real one. */
import type { Tally } from './counters.ts'
import { createMemory, type Hold } from './memory.ts'
import type { InstalledModel } from './model.ts'
import type { Departure, Pulse } from './pulse.ts'
import { createRunner, type Runner } from './runner.ts'
import { needsReload, type RunnerOptions } from './runner-options.ts'
import type { Settings } from './settings.ts'

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
  | ({ readonly kind: 'ready' } & Hold)
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
  readonly settings: Settings
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
const chooseVictim = (runners: readonly Runner[]): Runner | undefined =>
  runners.toSorted(
    (a, b) =>
      Number(a.refs > 0) - Number(b.refs > 0) ||
      // Infinity - Infinity is NaN, which sorts as equal.
      (a.keepAliveMs === b.keepAliveMs ? 0 : a.keepAliveMs - b.keepAliveMs) ||
      (a.model.weights < b.model.weights ? -1 : 1),
  )[0]

/** A loaded runner that can serve the wish without a reload. */
const fitting = (runner: Runner | undefined, { options }: Wish): Runner | undefined =>
  runner && !runner.dead && !needsReload(runner.options, options) ? runner : undefined

/** An empty GPU. */
export const createScheduler = ({ pulse, tally, settings }: SchedulerDeps): Scheduler => {
  const memory = createMemory(pulse, tally, settings)
  const pending: { wish: Wish; settle: (grant: Grant) => void }[] = []
  let pumping = false

  const use = (runner: Runner, { keepAliveMs }: Wish): Grant => ({
    kind: 'ready',
    ...memory.hold(runner, keepAliveMs),
  })

  const load = async (wish: Wish): Promise<Grant> => {
    tally.add('loads')
    const ms = (wish.model.spec.loadMs ?? settings.loadMs) * wish.slowFactor
    if (ms > 0 && !(await pulse.delay(ms, wish.departure))) return GONE
    const error = wish.loadError ?? wish.model.spec.loadError
    if (error !== undefined) return { kind: 'failed', text: error }
    const slots = wish.model.hasOneSlot ? 1 : settings.numParallel
    const runner = createRunner(wish.model, wish.options, wish.keepAliveMs ?? DEFAULT_KEEP_ALIVE_MS, slots)
    memory.add(runner)
    return use(runner, wish)
  }

  /** Handles the head of the line to its end; everyone behind waits, as in Ollama. */
  const serve = async (wish: Wish): Promise<Grant> => {
    for (;;) {
      if (wish.departure.gone) return GONE
      const loaded = memory.get(wish.model.weights)
      const fits = fitting(loaded, wish)
      if (fits) return use(fits, wish)
      const runners = memory.all()
      const victim = loaded ?? (runners.length >= settings.maxLoadedModels ? chooseVictim(runners) : undefined)
      if (!victim) return load(wish)
      await memory.evict(victim)
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
      const fits = fitting(memory.get(wish.model.weights), wish)
      if (fits) return use(fits, wish)
      if (pending.length >= settings.maxQueue) return { kind: 'busy' }
      return new Promise((settle) => {
        pending.push({ wish, settle })
        pump()
      })
    },
    expire(model) {
      const runner = memory.get(model.weights)
      if (runner) memory.stop(runner)
    },
    expireAll() {
      for (const runner of memory.all()) memory.stop(runner)
    },
    residents: () =>
      memory
        .all()
        .map((runner) => ({
          model: runner.model,
          contextLength: runner.options.num_ctx,
          expiresAtMs: runner.expiresAtMs ?? pulse.now() + runner.keepAliveMs,
          working: runner.refs,
        }))
        .sort((a, b) => (a.expiresAtMs === b.expiresAtMs ? 0 : b.expiresAtMs - a.expiresAtMs)),
  }
}
