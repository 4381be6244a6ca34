/** Makes the parts of the list, starts and stops them together; one that fails to stop must not keep the others running. */
import type { Clock, Random } from '../domain/clock.ts'
import type { Reading } from '../domain/reading.ts'
import type { Alarms } from './alarms.ts'
import { askTarget } from './ask.ts'
import type { Bus } from './bus.ts'
import { createElsewhere, type OpenTarget } from './elsewhere.ts'
import type { Engine } from './engine.ts'
import type { Asking, Fact, Part, PartPlan, PartPorts, PartTables } from './part.ts'
import type { SendTarget } from './ports.ts'
import type { Post } from './post.ts'
import type { Transfers } from './transfers.ts'

export interface PartsDeps {
  readonly engine: Engine
  readonly bus: Bus
  readonly alarms: Alarms
  readonly target: SendTarget
  readonly tables: PartTables
  readonly waiting: PartPorts<never>['waiting']
  readonly dataDir: string
  readonly environment: PartPorts<never>['environment']
  readonly transfers: Pick<Transfers, 'isTransferring'>
  readonly post: Post
  readonly openTarget: OpenTarget
  /** Bound on one attempt's work, wherever it is done. */
  readonly jobTimeoutMs: number
  readonly whoOf: (request: Request) => Asking
  /** All settings: each part knows the names of its own rows. */
  readonly settings: object
  readonly clock: Clock
  readonly random: Random
}

export interface Parts {
  start(): void
  stop(): Promise<void>
  readonly routes: readonly unknown[]
  /** By part; those that have nothing to say are left out. */
  status(): Readonly<Record<string, unknown>>
  readings(): readonly Reading[]
  facts(): Readonly<Record<string, Fact>>
}

/** What a part says when it is asked; one that throws says nothing, and that is told. */
const harmless = <T>(bus: Bus, name: string, ask: () => T): T | undefined => {
  try {
    return ask()
  } catch (error) {
    bus.emit({ event: 'loop_failed', loop: name, error })
    return undefined
  }
}

/** What one part is given. */
export const portsOf = (name: string, deps: PartsDeps): PartPorts<never> => {
  const { engine, bus, alarms, target, transfers, settings, openTarget, jobTimeoutMs, ...others } = deps
  return {
    ...others,
    bus,
    notice: (level, what, fields) => bus.emit({ event: 'noticed', part: name, name: what, level, fields }),
    alarm: (what, words) => alarms.set(name, what, words),
    happened: (what, words) => alarms.happened(name, what, words),
    stuckMs: engine.stuckMs,
    alarms: alarms.raised,
    admission: {
      use: (policy) => engine.admission.use((draft) => harmless(bus, name, () => policy(draft)) ?? draft),
    },
    rescue: engine.rescuers,
    relief: engine.relief,
    isAwaited: () => engine.awaited.isAwaited() || deps.waiting().queued > 0,
    elsewhere: (place) => createElsewhere({ open: openTarget, place, clock: deps.clock, jobTimeoutMs }),
    target: {
      ...engine.upkeep,
      ask: (path, options) => askTarget(target, path, options),
      send: target.send,
      origin: target.origin ?? '',
      view: () => engine.state.view,
      working: engine.working,
      isTransferring: transfers.isTransferring,
      residency: () => engine.state.residency,
      refresh: engine.refresh,
      onPolled: engine.poller.onPolled,
      onReachability: (listener) =>
        engine.state.onReachability((reachable) => void harmless(bus, name, () => listener(reachable))),
      declareDown: (words) => engine.declareDown(name, words),
    },
    quiet: engine.quiet,
    // The table of settings was composed of these rows: the values are there under the rows' names.
    settings: settings as never,
  }
}

/** Makes them all; nothing happens before `start`. */
export const createParts = async (plans: readonly PartPlan[], deps: PartsDeps): Promise<Parts> => {
  const { bus } = deps
  const parts: (readonly [string, Part])[] = []
  for (const { name, create } of plans) {
    try {
      parts.push([name, await create(portsOf(name, deps))])
    } catch (error) {
      // foreman is whole without it.
      bus.emit({ event: 'loop_failed', loop: name, error })
    }
  }
  const heard = <T>(name: string, ask: () => T) => harmless(bus, name, ask)
  const statuses = () => parts.map(([name, part]) => [name, heard(name, () => part.status?.())] as const)
  return {
    start() {
      for (const [name, part] of parts) heard(name, () => part.start())
    },
    async stop() {
      const stopped = await Promise.allSettled(parts.map(async ([, part]) => part.stop()))
      for (const [i, one] of stopped.entries())
        if (one.status === 'rejected')
          bus.emit({ event: 'loop_failed', loop: parts[i]?.[0] ?? 'part', error: one.reason })
    },
    routes: parts.flatMap(([, { routes }]) => (routes === undefined ? [] : [routes])),
    status: () => Object.fromEntries(statuses().filter(([, said]) => said !== undefined)),
    facts: () => Object.assign({}, ...parts.map(([name, part]) => heard(name, () => part.facts?.()) ?? {})),
    readings: () => parts.flatMap(([name, part]) => heard(name, () => part.metrics?.()) ?? []),
  }
}
