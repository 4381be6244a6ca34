/** The composition root: Config in, a running foreman out; the only place where the parts meet. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { monotonicFactory } from 'ulid'
import packageJson from '../package.json' with { type: 'json' }
import { systemClock, systemRandom } from './clock.ts'
import type { Config } from './config.ts'
import type { Clock } from './domain/clock.ts'
import { askTarget } from './engine/ask.ts'
import { createBoard } from './engine/board.ts'
import type { Engine } from './engine/engine.ts'
import { createEngine } from './engine/engine.ts'
import { createApp } from './http/app.ts'
import { createGuard } from './http/auth.ts'
import { createBodyReader } from './http/body.ts'
import { createForward } from './http/forward.ts'
import { createOllamaHandler } from './http/ollama.ts'
import { createEngineLog } from './observe/engine-log.ts'
import type { Log } from './observe/log.ts'
import { createMetrics } from './observe/metrics.ts'
import { openDatabase } from './store/database.ts'
import { createLedger } from './store/ledger.ts'
import { createLine } from './store/line.ts'
import { acquireLock } from './store/lock.ts'
import { createQueue } from './store/queue.ts'
import { createReader } from './store/reader.ts'
import { createSweep } from './store/sweep.ts'
import { createTargetClient } from './target/client.ts'

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
// A settle that the disk refuses must not hold the exit for ever.
const STOP_MARGIN_MS = 500

const urlOf = (hostname: string, port: number) =>
  `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}`

const refused = (message: string): Started => ({ kind: 'refused', message })

/** Starts one foreman. Everything that a person did wrong comes back as one sentence. */
export const startForeman = async (
  config: Config,
  { log, graceMs = GRACE_MS, clock = systemClock }: StartOptions,
): Promise<Started> => {
  try {
    mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  } catch (error) {
    return refused(
      `FOREMAN_DATA_DIR ${config.dataDir} cannot be used: ${error instanceof Error ? error.message : error}`,
    )
  }
  const lock = acquireLock(join(config.dataDir, 'foreman.lock'))
  if (lock.kind === 'held')
    return refused(`another foreman (pid ${lock.pid}) already runs on ${config.dataDir}: one per data directory`)
  const opened = openDatabase(join(config.dataDir, 'foreman.db'))
  if (opened.kind === 'refused') {
    lock.release()
    return opened
  }
  const { db } = opened
  const target = createTargetClient({ url: config.ollamaUrl, token: config.ollamaToken ?? undefined, clock })
  const ledger = createLedger(db)
  const line = createLine(db)
  const board = createBoard()
  const reader = createReader(db)
  const changed = (jobId: string) => board.post(jobId, { kind: 'changed' })
  const queue = createQueue({ db, ledger, maxQueue: config.maxQueue, changed, line })
  const newId = monotonicFactory()
  let engine: Engine | null = null
  const oldestAgeMs = () => clock.now() - (queue.counts().oldestCreatedAt ?? clock.now())
  const metrics = createMetrics({
    queued: () => queue.counts().queued,
    oldestAgeSeconds: () => Math.max(0, oldestAgeMs()) / 1_000,
    working: () => Number(engine?.worker.view.jobId !== null),
    targetReachable: () => engine?.state.view.reachable ?? false,
    degraded: () => engine?.state.view.degraded ?? false,
  })
  const emit = createEngineLog(log, metrics)
  engine = createEngine({
    config,
    queue,
    sweep: createSweep(db),
    board,
    newId,
    webhookFault: () => null,
    stateOf: (jobId) => reader.find(jobId)?.state ?? null,
    target,
    clock,
    random: systemRandom,
    emit,
  })
  const { worker, state, intake, poller, probe } = engine
  const started = engine
  const instance = monotonicFactory()()
  let draining = false

  const forward = createForward({
    target,
    clock,
    random: systemRandom,
    probe,
    unreachableDeadlineMs: config.unreachableDeadlineMs,
  })
  const guard = createGuard(config.token)
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
      unreachableDeadlineMs: config.unreachableDeadlineMs,
      syncDeadlineMs: config.syncDeadlineMs,
    }),
    health: {
      clock,
      instance,
      targetUrl: config.ollamaUrl,
      lastTickAt: () => started.lastTickAt(),
      isDraining: () => draining,
      isWritable: ledger.isWritable,
      targetView: () => state.view,
      workerView: () => worker.view,
      counts: queue.counts,
    },
    jobs: {
      guard,
      jobs: started.jobs,
      reader,
      line,
      board,
      paces: started.paces,
      running: started.running,
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
    db.close()
    lock.release()
  }
  started.recover()
  try {
    app.listen({ hostname: config.addr.hostname, port: config.addr.port })
  } catch (error) {
    closeStore()
    return refused(
      `FOREMAN_ADDR ${config.addr.hostname}:${config.addr.port} cannot be listened on: ${error instanceof Error ? error.message : error}`,
    )
  }
  const { server } = app
  if (!server) throw new Error('the server did not start')
  const url = urlOf(config.addr.hostname, server.port ?? config.addr.port)
  // Whatever the addresses look like, a target that answers with our own instance is ourselves.
  const self = await askTarget(target, '/livez', undefined, 500)
  if (self.kind === 'answered' && isInstance(self.json, instance)) {
    await server.stop(true)
    closeStore()
    return refused(
      `FOREMAN_OLLAMA_URL ${config.ollamaUrl} is this foreman itself: give it the address of an Ollama server`,
    )
  }
  started.start()

  return {
    kind: 'started',
    url,
    async stop() {
      if (draining) return
      draining = true
      log.info('draining', { grace_ms: graceMs })
      const giveUp = new Promise<void>((resolve) => void clock.after(graceMs + STOP_MARGIN_MS, resolve))
      await Promise.race([started.stop(graceMs), giveUp])
      await Promise.race([server.stop(), new Promise<void>((resolve) => void clock.after(STOP_MARGIN_MS, resolve))])
      await server.stop(true)
      closeStore()
      log.info('stopped')
    },
    kill() {
      void server.stop(true)
      closeStore()
    },
  }
}

const isInstance = (body: unknown, instance: string): boolean =>
  typeof body === 'object' && body !== null && 'instance' in body && body.instance === instance
