/** The composition root: everything of one foreman made and joined, and the parts in one list; nothing runs yet. */
import { monotonicFactory } from 'ulid'
import packageJson from '../package.json' with { type: 'json' }
import { createUnguessable, systemClock, systemRandom } from './clock.ts'
import type { Config } from './config/config.ts'
import type { Clock } from './domain/clock.ts'
import type { Environment } from './domain/setting.ts'
import { withHop } from './domain/wire/hops.ts'
import { type Alarms, createAlarms } from './engine/alarms.ts'
import { createBoard } from './engine/board.ts'
import { type Bus, createBus } from './engine/bus.ts'
import { createEngine, type Engine } from './engine/engine.ts'
import type { PartPlan } from './engine/part.ts'
import { createParts, type Parts, type PartsDeps } from './engine/parts.ts'
import { createPost } from './engine/post.ts'
import { createRecollection, type Recollection } from './engine/recollection.ts'
import { createTransfers, type Transfers } from './engine/transfers.ts'
import { createSurface } from './http/surface.ts'
import { createVisitors, type Visitors } from './http/visitors.ts'
import { createEngineLog, handlerFailed } from './observe/engine-log.ts'
import type { Log } from './observe/log.ts'
import { createMetrics, type MetricsSources } from './observe/metrics.ts'
import { createTargetClient, type TargetClient } from './ollama/client.ts'
import * as parts from './parts/list.ts'
import type { Queue } from './store/queue.ts'
import { openStore, type Store } from './store/store.ts'
import { createDeliveries } from './webhook/deliveries.ts'

export interface ComposeOptions {
  readonly log: Log
  /** The system's, unless a test brings its own. */
  readonly clock?: Clock
  /** Of this process; programs that are started get it. */
  readonly environment?: Environment
  /** The list's, unless a test brings its own. */
  readonly plans?: readonly PartPlan[]
}

/** Each request says that it came through this foreman, so that a circle is seen. */
const withHops = (client: TargetClient, instance: string): TargetClient => ({
  ...client,
  send: (request, options) => client.send({ ...request, headers: withHop(request.headers, instance) }, options),
})

/** The target's client. */
const createTarget = (
  { ollamaUrl, ollamaToken }: Config,
  instance: string,
  { clock, transfers }: { clock: Clock; transfers: Transfers },
): TargetClient => {
  const client = createTargetClient({ url: ollamaUrl, token: ollamaToken ?? undefined, clock })
  return withHops(transfers.counted(client), instance)
}

/** What the courier is given of the machine and the settings. */
const deliveriesFrom = (config: Config, clock: Clock) => ({
  config,
  open: ({ origin, address }: { origin: string; address: string }) =>
    createTargetClient({ url: origin, address, clock }),
  version: packageJson.version,
  clock,
  random: systemRandom,
})

type Joined = Pick<PartsDeps, 'engine' | 'bus' | 'alarms' | 'target' | 'transfers' | 'environment' | 'clock'> & {
  config: Config
  visitors: Visitors
  instance: string
}

/** What the parts are given. */
const seamOf = (
  { config, visitors, instance, clock, ...joined }: Joined,
  { tables, queue }: Pick<Store, 'tables' | 'queue'>,
): PartsDeps => ({
  ...joined,
  clock,
  random: systemRandom,
  tables,
  waiting: queue.counts,
  dataDir: config.dataDir,
  jobTimeoutMs: config.jobTimeoutMs,
  post: createPost((url) => createTargetClient({ url, clock })),
  openTarget: ({ url, token }) => withHops(createTargetClient({ url, token: token ?? undefined, clock }), instance),
  whoOf: (request) => visitors.of(request).who,
  settings: config,
})

interface MetricsDeps extends Pick<MetricsSources, 'webhooksOwed' | 'readings'> {
  readonly engine: Engine
  readonly queue: Pick<Queue, 'counts'>
  readonly clock: Pick<Clock, 'now'>
  readonly bus: Bus
}

/** What a scrape reads, where it stands. */
const metricsOf = ({ engine, queue, clock, bus, ...sources }: MetricsDeps) => {
  const oldestAgeMs = () => clock.now() - (queue.counts().oldestCreatedAt ?? clock.now())
  return createMetrics({
    ...sources,
    queued: () => queue.counts().queued,
    oldestAgeSeconds: () => Math.max(0, oldestAgeMs()) / 1_000,
    working: () => engine.worker.slots.length,
    latestSeconds: () => engine.takeLatestMs() / 1_000,
    targetReachable: () => engine.state.view.reachable,
    degraded: () => engine.state.view.degraded,
    handlerFailures: () => bus.failures,
  })
}

const schemasOf = (plans: readonly PartPlan[]) =>
  plans.flatMap(({ name, tables }) => (tables === undefined ? [] : [{ name, migrations: tables }]))

interface Shown {
  readonly store: Pick<Store, 'reader' | 'line' | 'queue' | 'clock' | 'isWritable' | 'isInPlace'>
  readonly running: Parts
  readonly alarms: Alarms
  readonly recollection: Recollection
}

/** What the routes show of the store, the parts and what happened. */
const shownOf = ({ store, running, alarms, recollection }: Shown) => ({
  reader: store.reader,
  line: store.line,
  counts: store.queue.counts,
  isWritable: store.isWritable,
  isInPlace: store.isInPlace,
  wallAt: store.clock.wallAt,
  partRoutes: running.routes,
  partStatus: running.status,
  alarms: alarms.raised,
  status: { facts: running.facts, lately: alarms.lately, recollection },
})

/** A foreman that does nothing yet; what is wrong with its data directory comes back as one sentence. */
export const compose = async (
  config: Config,
  { log, clock: machine = systemClock, environment = {}, plans = Object.values(parts) }: ComposeOptions,
) => {
  const life = { draining: false, port: config.addr.port }
  const board = createBoard()
  const store = openStore({
    dataDir: config.dataDir,
    maxQueue: config.maxQueue,
    clock: machine,
    parts: schemasOf(plans),
    changed(jobId, mayOwe) {
      board.post(jobId, { kind: 'changed' })
      if (mayOwe) deliveries.nudge()
    },
  })
  if (store.kind === 'refused') return store
  for (const warning of store.warnings) log.warn('data_directory', { warning })
  // From here on time is steady; the machine's wall clock is for people and signatures alone.
  const { queue, reader, outbox, clock } = store
  const ulid = monotonicFactory(createUnguessable())
  const newId = () => ulid(clock.now())
  const instance = newId()
  const transfers = createTransfers(clock)
  const target = createTarget(config, instance, { clock, transfers })
  const bus = createBus({ failed: handlerFailed(log) })
  const alarms = createAlarms(bus.emit, clock)
  const recollection = createRecollection(bus, clock)
  const deliveries = createDeliveries({
    ...deliveriesFrom(config, clock),
    outbox,
    artifactsOf: reader.listedArtifacts,
    listener: () => ({ host: config.addr.hostname, port: life.port }),
    wallNow: machine.now,
    emit: bus.emit,
  })
  const shared = { config, queue, board, bus, newId, target, clock, random: systemRandom }
  const engine = createEngine({ ...shared, sweep: store.sweep, checkWebhook: deliveries.check, find: reader.find })
  const visitors = createVisitors()
  const running = await createParts(
    plans,
    seamOf({ engine, bus, alarms, target, transfers, environment, config, clock, visitors, instance }, store),
  )
  const { owed: webhooksOwed } = outbox
  const metrics = metricsOf({ engine, queue, clock, bus, webhooksOwed, readings: running.readings })
  bus.onAny('log', createEngineLog(log, metrics))
  const { app, returned } = createSurface({
    ...shared,
    ...shownOf({ store, running, alarms, recollection }),
    engine,
    isDraining: () => life.draining,
    instance,
    visitors,
    metrics: metrics.text,
    version: packageJson.version,
    onBug: (error, path) => log.error('bug', { path, error: error instanceof Error ? error.stack : String(error) }),
  })
  const close = () => {
    target.close()
    store.close()
  }
  return {
    kind: 'composed' as const,
    life,
    board,
    target,
    deliveries,
    engine,
    running,
    app,
    returned,
    instance,
    clock,
    close,
  }
}

export type Composed = Extract<Awaited<ReturnType<typeof compose>>, { kind: 'composed' }>
