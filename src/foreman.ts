/** The composition root: Config in, a running foreman out; the only place where the parts meet. */
import { monotonicFactory } from 'ulid'
import packageJson from '../package.json' with { type: 'json' }
import { systemClock, systemRandom } from './clock.ts'
import type { Config } from './config/config.ts'
import { dialledUrl } from './domain/address.ts'
import type { Clock } from './domain/clock.ts'
import { withHop } from './domain/wire/hops.ts'
import { askTarget } from './engine/ask.ts'
import { createBoard } from './engine/board.ts'
import { createEngine } from './engine/engine.ts'
import { createGuard } from './http/auth.ts'
import { createBodyReader } from './http/body.ts'
import { createHopGuard } from './http/hops.ts'
import { listenOn } from './http/listen.ts'
import { createForward } from './http/ollama/forward.ts'
import { createOllamaHandler } from './http/ollama/handler.ts'
import { createApp } from './http/server.ts'
import { createEngineLog } from './observe/engine-log.ts'
import type { Log } from './observe/log.ts'
import { createMetrics } from './observe/metrics.ts'
import { createTargetClient } from './ollama/client.ts'
import { openDataDirectory } from './store/data-directory.ts'
import { createLedger } from './store/ledger.ts'
import { createLine } from './store/line.ts'
import { createOutbox } from './store/outbox.ts'
import { createQueue } from './store/queue.ts'
import { createReader } from './store/reader.ts'
import { createSweep } from './store/sweep.ts'
import { createDeliveries } from './webhook/deliveries.ts'

export interface StartOptions {
  readonly log: Log
  /** How long a running job may go on after `stop`; 10 s by default. */
  readonly graceMs?: number
  /** The system's, unless a test brings its own. */
  readonly clock?: Clock
}

export type Started =
  | {
      readonly kind: 'started'
      readonly url: string
      /** Drains and stops; everything that was acknowledged is on disk. */
      stop(): Promise<void>
      /** Stops at once, as kill -9 would, but releases what this process holds. */
      kill(): void
    }
  | { readonly kind: 'refused'; readonly message: string }

const GRACE_MS = 10_000
// A target that is asleep must not delay the start; one that leads back here is on a network that is awake.
const SELF_CHECK_MS = 500
// A settle that the disk refuses must not hold the exit for ever; a webhook cut off in its last moment would be told twice.
const STOP_MARGIN_MS = 500
// A webhook under way may end; one that hangs is still owed, and no reason to stay.
const TRY_GRACE_MS = 2_000

const refused = (message: string): Started => ({ kind: 'refused', message })

/** Starts one foreman. Everything that a person did wrong comes back as one sentence. */
export const startForeman = async (
  config: Config,
  { log, graceMs = GRACE_MS, clock = systemClock }: StartOptions,
): Promise<Started> => {
  const opened = openDataDirectory(config.dataDir)
  if (opened.kind === 'refused') return opened
  const { db } = opened
  for (const warning of opened.warnings) log.warn('data_directory', { warning })
  const instance = monotonicFactory()()
  const client = createTargetClient({ url: config.ollamaUrl, token: config.ollamaToken ?? undefined, clock })
  const target: typeof client = {
    ...client,
    send: (request, options) => client.send({ ...request, headers: withHop(request.headers, instance) }, options),
  }
  const ledger = createLedger(db, clock, opened.isInPlace)
  const line = createLine(db)
  const board = createBoard()
  const reader = createReader(db)
  const outbox = createOutbox({ db, ledger })
  const oldestAgeMs = () => clock.now() - (queue.counts().oldestCreatedAt ?? clock.now())
  const metrics = createMetrics({
    queued: () => queue.counts().queued,
    oldestAgeSeconds: () => Math.max(0, oldestAgeMs()) / 1_000,
    working: () => Number(worker.view.jobId !== null),
    targetReachable: () => state.view.reachable,
    degraded: () => state.view.degraded,
    webhooksOwed: outbox.owed,
  })
  const emit = createEngineLog(log, metrics)
  let { port } = config.addr
  const deliveries = createDeliveries({
    config,
    outbox,
    artifactsOf: reader.listedArtifacts,
    listener: () => ({ host: config.addr.hostname, port }),
    open: ({ origin, address }) => createTargetClient({ url: origin, address, clock }),
    version: packageJson.version,
    clock,
    random: systemRandom,
    emit,
  })
  const changed = (jobId: string, mayOwe: boolean) => {
    board.post(jobId, { kind: 'changed' })
    if (mayOwe) deliveries.nudge()
  }
  const queue = createQueue({ db, ledger, maxQueue: config.maxQueue, changed, line })
  const newId = monotonicFactory()
  const engine = createEngine({
    config,
    queue,
    sweep: createSweep({ db, ledger, clock }),
    board,
    newId,
    checkWebhook: deliveries.check,
    stateOf: (jobId) => reader.find(jobId)?.state ?? null,
    target,
    clock,
    random: systemRandom,
    emit,
  })
  const { worker, state, intake, poller, probe } = engine
  let draining = false
  const forward = createForward({
    target,
    clock,
    random: systemRandom,
    probe,
    unreachableDeadlineMs: config.unreachableDeadlineMs,
  })
  const { guard, hasReturned } = createHopGuard(createGuard(config.token), instance)
  const bodies = createBodyReader(config.maxBodyBytes)
  const onBug = (error: unknown, path: string) =>
    log.error('bug', { path, error: error instanceof Error ? error.stack : String(error) })
  const app = createApp({
    guard,
    forward,
    handle: createOllamaHandler({
      intake,
      poller,
      state,
      forward,
      bodies,
      clock,
      newId,
      keepAlive: config.keepAlive,
      readOnly: config.readOnly,
      isDraining: () => draining,
      unreachableDeadlineMs: config.unreachableDeadlineMs,
      syncDeadlineMs: config.syncDeadlineMs,
    }),
    health: {
      clock,
      instance,
      targetUrl: config.ollamaUrl,
      lastTickAt: () => engine.lastTickAt(),
      isDraining: () => draining,
      isWritable: ledger.isWritable,
      isInPlace: opened.isInPlace,
      targetView: () => state.view,
      workerView: () => worker.view,
      counts: queue.counts,
    },
    jobs: {
      guard,
      jobs: engine.jobs,
      reader,
      line,
      board,
      paces: engine.paces,
      running: engine.running,
      residentKey: () => state.residentKey,
      isReachable: () => state.view.reachable,
      bodies,
      clock,
      artifactInlineMaxBytes: config.artifactInlineMaxBytes,
      publicUrl: config.publicUrl,
      onBug,
    },
    metrics: metrics.text,
    version: packageJson.version,
    onBug,
  })

  const closeStore = () => {
    target.close()
    opened.close()
  }
  try {
    engine.recover()
  } catch (error) {
    closeStore()
    return refused(`the database in ${config.dataDir} cannot be written: ${messageOf(error)}`)
  }
  const listening = listenOn(app, config.addr)
  if (listening.kind === 'refused') {
    closeStore()
    return listening
  }
  const { server } = listening
  port = server.port ?? port
  const url = dialledUrl({ hostname: config.addr.hostname, port })
  // Whatever the addresses look like, a target that answers with our own instance is ourselves.
  const [self] = await Promise.all([
    askTarget(target, '/livez', { wholeTimeoutMs: SELF_CHECK_MS }),
    askTarget(target, '/api/version', { wholeTimeoutMs: SELF_CHECK_MS }),
  ])
  const isSelf = self.kind === 'answered' && isInstance(self.json, instance)
  if (isSelf || hasReturned()) {
    await server.stop(true)
    closeStore()
    const what = isSelf
      ? 'is this foreman itself'
      : 'is a foreman whose own target is this one, so calls would run in a circle'
    return refused(`FOREMAN_OLLAMA_URL ${config.ollamaUrl} ${what}: give it the address of an Ollama server`)
  }
  engine.start()
  deliveries.start()

  return {
    kind: 'started',
    url,
    async stop() {
      if (draining) return
      draining = true
      log.info('draining', { grace_ms: graceMs })
      // One bound for all: the running job, and what went past the queue and is still on its way.
      const giveUp = new Promise<void>((resolve) => void clock.after(graceMs + STOP_MARGIN_MS, resolve))
      const until = clock.monotonicMs() + graceMs
      await Promise.race([engine.stop(graceMs), giveUp])
      // Nobody is told more; and what the drain itself made happen is owed by now, and told after the next start.
      board.close()
      const leftMs = Math.min(TRY_GRACE_MS, Math.max(STOP_MARGIN_MS / 2, until - clock.monotonicMs()))
      await Promise.race([Promise.all([server.stop(), deliveries.stop(leftMs)]), giveUp])
      await server.stop(true)
      closeStore()
      log.info('stopped')
    },
    kill() {
      void server.stop(true)
      void deliveries.stop(0)
      closeStore()
    },
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const isInstance = (body: unknown, instance: string): boolean =>
  typeof body === 'object' && body !== null && 'instance' in body && body.instance === instance
