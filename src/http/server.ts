/** The server: one guard, one router behind it, every route mounted once; it must never answer anything before the guard has. */
import { type AnyElysia, Elysia } from 'elysia'
import { docsRoutes } from './docs.ts'
import { createEntrance } from './entrance.ts'
import type { Guard } from './guard.ts'
import { type HealthDeps, healthRoutes } from './health.ts'
import { type JobsRoutesDeps, jobsRefusal, jobsRoutes } from './jobs/routes.ts'
import { type MetricsText, metricsRoutes } from './metrics.ts'
import { createOllamaPaths, type OllamaPaths, type OllamaPathsDeps } from './ollama-paths.ts'
import { createSlashRedirect } from './redirect.ts'
import { refusal } from './refuse.ts'
import { isJobsPath, notFound } from './refuse-by-path.ts'
import { pathOf } from './request-path.ts'
import { type StatusDeps, statusRoutes } from './status.ts'
import { IDLE_TIMEOUT_S } from './timing.ts'
import type { Visitors } from './visitors.ts'

export interface AppDeps extends OllamaPathsDeps {
  readonly guard: Guard
  readonly visitors: Visitors
  readonly health: HealthDeps
  readonly status: StatusDeps
  readonly jobs: Omit<JobsRoutesDeps, 'visitors' | 'onBug'>
  readonly metrics: MetricsText
  /** What the parts bring: behind the same guard as everything else. */
  readonly routes?: readonly AnyElysia[]
  readonly version: string
  readonly onBug: (error: unknown, path: string) => void
}

// Bodies are bounded where they are read, because blob uploads stream through whatever their size.
const NO_BODY_LIMIT = Number.MAX_SAFE_INTEGER

/** The router; whoever uses it without the guard gets no further than its first handler. */
const createRouter = (deps: AppDeps, ollama: OllamaPaths) => {
  const { visitors, onBug } = deps
  // A slash at the end is another path, as on Ollama's: it is redirected below.
  const router = new Elysia({ strictPath: true })
    .use(jobsRoutes({ ...deps.jobs, visitors, onBug }))
    .onError(({ code, error, request }) => {
      if (code === 'NOT_FOUND') return notFound()
      onBug(error, pathOf(request))
      return refusal('native', 500, 'internal error')
    })
    .use(docsRoutes(deps.version))
    .use(healthRoutes(deps.health))
    .use(statusRoutes(deps.health, deps.status))
    .use(metricsRoutes(deps.metrics))
  for (const routes of deps.routes ?? []) router.use(routes)
  const slashRedirect = createSlashRedirect(router.routes)
  router.all(
    '/*',
    ({ request }) => {
      const { asked, timing, who } = visitors.of(request)
      const elsewhere = slashRedirect(asked)
      if (elsewhere !== null) return elsewhere
      return isJobsPath(pathOf(asked)) ? jobsRefusal(asked) : ollama.find(asked, timing, who)
    },
    { parse: 'none', detail: { hide: true } },
  )
  return router
}

/** Builds the app; nothing listens yet. */
export const createApp = (deps: AppDeps) => {
  const { guard, visitors } = deps
  const ollama = createOllamaPaths(deps)
  const router = createRouter(deps, ollama)
  const entrance = createEntrance({ guard, visitors, direct: ollama.exact, route: router.fetch })
  return {
    listen: ({ hostname, port }: { readonly hostname: string; readonly port: number }) =>
      Bun.serve({
        hostname,
        port,
        // A second foreman on a shared port would start, and the kernel deal the calls out to both.
        reusePort: false,
        idleTimeout: IDLE_TIMEOUT_S,
        development: false,
        maxRequestBodySize: NO_BODY_LIMIT,
        fetch: entrance,
      }),
  }
}
