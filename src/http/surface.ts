/** Puts everything that is served together; nothing listens yet. */
import type { AnyElysia } from 'elysia'
import type { ListenAddress } from '../domain/address.ts'
import type { Clock, Random } from '../domain/clock.ts'
import type { Board } from '../engine/board.ts'
import type { Engine } from '../engine/engine.ts'
import { createBodyReader } from './body.ts'
import { createGuard, type GuardRules, type NamedToken } from './guard.ts'
import { type HealthDeps, healthPaths } from './health.ts'
import { createHopGuard } from './hops.ts'
import type { JobsRoutesDeps } from './jobs/routes.ts'
import type { ForwardTarget } from './ollama/attempt.ts'
import { createForward } from './ollama/forward.ts'
import { createOllamaHandler } from './ollama/handler.ts'
import { createPlaceOf, createPlaces } from './place.ts'
import { createApp } from './server.ts'
import type { StatusDeps } from './status.ts'
import type { Visitors } from './visitors.ts'

export interface SurfaceDeps {
  readonly config: {
    readonly addr: ListenAddress
    readonly token: string | null
    readonly tokens: readonly NamedToken[]
    readonly tokenInPath: boolean
    readonly origins: readonly string[]
    readonly hosts: readonly string[]
    readonly maxBodyBytes: number
    readonly maxBodiesBytes: number
    readonly readOnly: boolean
    readonly syncDeadlineMs: number
    readonly heartbeatMs: number
    readonly artifactInlineMaxBytes: number
    readonly publicUrl: string | null
    readonly ollamaUrl: string
  }
  readonly engine: Engine
  readonly target: ForwardTarget
  readonly reader: JobsRoutesDeps['reader']
  readonly line: JobsRoutesDeps['line']
  readonly board: Board
  readonly counts: HealthDeps['counts']
  readonly isWritable: () => boolean
  readonly isInPlace: () => boolean
  readonly isDraining: () => boolean
  readonly wallAt: HealthDeps['wallAt']
  readonly instance: string
  readonly visitors: Visitors
  readonly partRoutes: readonly unknown[]
  /** What the parts have to say, by part. */
  readonly partStatus: () => Readonly<Record<string, unknown>>
  readonly alarms: HealthDeps['alarms']
  readonly status: StatusDeps
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
  readonly clock: Clock
  readonly random: Random
  readonly newId: () => string
  readonly version: string
  readonly onBug: (error: unknown, path: string) => void
}

const rulesOf = ({
  token,
  tokens,
  tokenInPath,
  addr,
  hosts,
  origins,
  publicUrl,
}: SurfaceDeps['config']): GuardRules => ({
  tokens: token === null ? tokens : [{ name: null, token }, ...tokens],
  tokenInPath,
  listenHost: addr.hostname,
  hosts,
  origins,
  publicUrl,
  openPaths: healthPaths,
})

/** The app of one foreman. */
export const createSurface = (deps: SurfaceDeps) => {
  const { config, engine, clock, random, isDraining, onBug, version, metrics, newId, target } = deps
  const lookNow = () => void engine.poller.poll()
  const { state, patience, awaited } = engine
  const probe = engine.whoAnswers
  const forward = createForward({ target, clock, random, state, probe, lookNow, patience, awaited })
  const { guard, returned } = createHopGuard(createGuard(rulesOf(config)), deps.instance)
  const bodies = createBodyReader(config, clock)
  const { readOnly, syncDeadlineMs, heartbeatMs, artifactInlineMaxBytes, publicUrl } = config
  const app = createApp({
    guard,
    visitors: deps.visitors,
    forward,
    handle: createOllamaHandler({
      engine,
      forward,
      bodies,
      clock,
      newId,
      readOnly,
      isDraining,
      syncDeadlineMs,
      heartbeatMs,
      placeOf: createPlaceOf(deps.reader, createPlaces(deps)),
    }),
    health: {
      clock,
      instance: deps.instance,
      targetUrl: config.ollamaUrl,
      engine,
      isDraining,
      isWritable: deps.isWritable,
      isInPlace: deps.isInPlace,
      wallAt: deps.wallAt,
      counts: deps.counts,
      partStatus: deps.partStatus,
      alarms: deps.alarms,
      isGuarded: config.token !== null || config.tokens.length > 0,
    },
    status: deps.status,
    jobs: {
      jobs: engine.jobs,
      reader: deps.reader,
      line: deps.line,
      board: deps.board,
      engine,
      bodies,
      clock,
      artifactInlineMaxBytes,
      publicUrl,
    },
    // The engine's ports do not know what a route is; whatever a part brings is mounted here.
    routes: deps.partRoutes as readonly AnyElysia[],
    metrics,
    version,
    onBug,
  })
  return { app, returned }
}
