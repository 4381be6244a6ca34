/** The runners in memory: who holds them, when they go and who waits for that; it must never decide what is loaded next. */
import type { Tally } from './counters.ts'
import type { Pulse } from './pulse.ts'
import type { Runner } from './runner.ts'
import type { Settings } from './settings.ts'

/** A hold on a runner; letting go twice is harmless. */
export interface Hold {
  readonly runner: Runner
  release(): void
}

export interface Memory {
  get(weights: string): Runner | undefined
  all(): readonly Runner[]
  add(runner: Runner): void
  /** Holds a runner. A keep-alive that is given stays for those after it. */
  hold(runner: Runner, keepAliveMs: number | undefined): Hold
  /** Unloads a runner now, or when its work ends. */
  stop(runner: Runner): void
  /** Tells a runner to make room and resolves when any has gone. */
  evict(runner: Runner): Promise<void>
}

/** An empty memory. */
export const createMemory = (pulse: Pulse, tally: Tally, settings: Settings): Memory => {
  const runners = new Map<string, Runner>()
  /** Whom the head of the line waits for, as long as it waits. */
  let awaited: { runner: Runner; gone: () => void; wedged: boolean } | null = null

  const unload = (runner: Runner) => {
    runner.cancelExpiry()
    if (runners.get(runner.model.weights) !== runner) return
    runners.delete(runner.model.weights)
    if (runner.evicted) tally.add('swaps')
    const waiter = awaited
    awaited = null
    if (waiter?.wedged) tally.add('wedged', -1)
    waiter?.gone()
  }

  /** The runner has gone idle and nobody will unload it, though the line waits for that: Ollama's deadlock. */
  const noticeWedge = (runner: Runner) => {
    if (awaited?.runner !== runner || awaited.wedged) return
    awaited.wedged = true
    tally.add('wedges')
    tally.add('wedged')
  }

  const stop = (runner: Runner) => {
    runner.keepAliveMs = 0
    runner.expiresAtMs = pulse.now()
    runner.cancelExpiry()
    if (runner.refs === 0) unload(runner)
  }

  const leave = (runner: Runner) => {
    runner.refs--
    if (runner.refs > 0) return
    if (runner.keepAliveMs <= 0) return unload(runner)
    runner.expiresAtMs = pulse.now() + runner.keepAliveMs
    runner.cancelExpiry()
    runner.cancelExpiry = pulse.after(runner.keepAliveMs, () => stop(runner))
    noticeWedge(runner)
  }

  return {
    get: (weights) => runners.get(weights),
    all: () => [...runners.values()],
    add: (runner) => void runners.set(runner.model.weights, runner),
    hold(runner, keepAliveMs) {
      runner.refs++
      runner.cancelExpiry()
      // Without the deadlock an eviction that somebody waits for stands.
      const isFixed = !settings.deadlock && awaited?.runner === runner
      if (keepAliveMs !== undefined && !isFixed) runner.keepAliveMs = keepAliveMs
      let released = false
      return {
        runner,
        release() {
          if (released) return
          released = true
          if (settings.lingerMs > 0) pulse.after(settings.lingerMs, () => leave(runner))
          else leave(runner)
        },
      }
    },
    stop,
    evict(runner) {
      const unloaded = new Promise<void>((gone) => {
        awaited = { runner, gone, wedged: false }
      })
      runner.evicted = !runner.dead
      runner.keepAliveMs = 0
      runner.cancelExpiry()
      if (runner.refs === 0) unload(runner)
      return unloaded
    },
  }
}
