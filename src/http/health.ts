/** What foreman says about itself: livez (restart me?), readyz (send me work?), healthz (what is going on?). */
import { Elysia, t } from 'elysia'
import type { Clock } from '../domain/clock.ts'
import { absenceReason } from '../domain/job/absence.ts'
import type { Alarm } from '../engine/alarms.ts'
import type { Engine } from '../engine/engine.ts'
import { STUCK_MS } from '../engine/pulse.ts'

export interface HealthDeps {
  readonly clock: Clock
  /** Says which foreman this is, so that one can recognise itself. */
  readonly instance: string
  readonly targetUrl: string
  readonly engine: Pick<Engine, 'state' | 'worker' | 'stuckMs' | 'refresh'>
  readonly isDraining: () => boolean
  /** Whether the database takes writes. */
  readonly isWritable: () => boolean
  /** Whether the database is still the file that was opened: what is written into a deleted one ends with the process. */
  readonly isInPlace: () => boolean
  /** What the wall clock showed at a time of `clock`. */
  readonly wallAt: (ms: number) => number
  /** A token is asked for elsewhere: what the parts have to say is not for everybody. */
  readonly isGuarded: boolean
  /** What the parts have to say, by part. */
  readonly partStatus: () => Readonly<Record<string, unknown>>
  /** What a person should know of. */
  readonly alarms: () => readonly Alarm[]
  readonly counts: () => { readonly queued: number; readonly oldestCreatedAt: number | null }
}

/** None needs a token: machines watch them. */
export const healthPaths: readonly string[] = ['/livez', '/readyz', '/healthz']

const GONE = 'the database file was deleted, moved or replaced while foreman ran: put it back or restart'

// The target answers from memory within a millisecond.
const REFRESH_MS = 40

const statusSchema = t.Object(
  { status: t.String(), instance: t.String(), reason: t.Optional(t.String()) },
  { description: 'status ok, or what else and why' },
)
const nullable = <T extends Parameters<typeof t.Union>[0][number]>(schema: T) => t.Union([schema, t.Null()])

export const healthSchema = t.Object(
  {
    status: t.String(),
    degraded: t.Boolean(),
    reason: nullable(t.String()),
    last_poll: nullable(t.String()),
    target: t.Object({
      url: t.String(),
      reachable: t.Boolean(),
      away_since: nullable(t.String()),
      version: nullable(t.String()),
      resident: t.Array(t.String()),
    }),
    queue: t.Object({ queued: t.Number(), working: t.Number(), oldest_age_seconds: nullable(t.Number()) }),
    worker: t.Object({
      state: t.String(),
      job_id: nullable(t.String()),
      model: nullable(t.String()),
      slots: t.Array(t.Object({ slot: t.Number(), state: t.String(), job_id: t.String(), model: t.String() })),
    }),
    parts: t.Optional(t.Record(t.String(), t.Unknown())),
    alarms: t.Optional(t.Array(t.Object({ part: t.String(), name: t.String(), words: t.String(), since: t.String() }))),
  },
  { description: 'target, queue and worker as they are now' },
)

export const iso = (ms: number) => new Date(ms).toISOString()

/** Why work should go elsewhere; null when it may come. */
const unreadiness = (deps: HealthDeps): string | null => {
  if (deps.isDraining()) return 'draining'
  if (!deps.isInPlace()) return GONE
  return deps.isWritable() ? null : 'the database does not take writes'
}

/** All of /healthz. */
const healthOf = (deps: HealthDeps) => {
  const { clock } = deps
  const { state, worker } = deps.engine
  const { reachable, absence, hang, reason, lastPollAt, version } = state.view
  const degraded = state.view.degraded || hang !== null
  const { queued, oldestCreatedAt } = deps.counts()
  const oldestAgeMs = oldestCreatedAt === null ? null : Math.max(0, clock.now() - oldestCreatedAt)
  const parts = deps.partStatus()
  const alarms = deps.alarms().map(({ since, ...alarm }) => ({ ...alarm, since: iso(deps.wallAt(since)) }))
  const why = absence === null ? (hang ?? reason) : absenceReason(absence)
  return {
    status: unreadiness(deps) === null ? 'ok' : 'not ready',
    degraded,
    reason: reachable && !degraded ? null : why,
    last_poll: lastPollAt === null ? null : iso(deps.wallAt(lastPollAt)),
    target: {
      url: deps.targetUrl,
      reachable,
      away_since: absence === null ? null : iso(deps.wallAt(absence.since)),
      version,
      resident: state.residency.residents.map(({ name }) => name),
    },
    queue: {
      queued,
      working: worker.slots.length,
      oldest_age_seconds: oldestAgeMs === null ? null : Math.round(oldestAgeMs / 100) / 10,
    },
    worker: {
      state: worker.state,
      job_id: worker.jobId,
      model: worker.model,
      slots: worker.slots.map(({ slot, state, jobId, model }) => ({ slot, state, job_id: jobId, model })),
    },
    ...(Object.keys(parts).length > 0 && { parts }),
    ...(alarms.length > 0 && { alarms }),
  }
}

/** What is loaded is what is loaded now, not at the last poll; a target that does not say holds nobody up. */
export const healthNow = async (deps: HealthDeps) => {
  const { clock, engine } = deps
  await Promise.race([engine.refresh(), new Promise<void>((resolve) => void clock.after(REFRESH_MS, resolve))])
  return healthOf(deps)
}

/** For those who have shown no token: evidence, names and addresses of the parts stand in /status. */
const withoutParts = ({ parts: _, alarms: __, ...health }: Awaited<ReturnType<typeof healthNow>>) => health

/** The three health routes; none needs a token. */
export const healthRoutes = (deps: HealthDeps) => {
  const { instance, engine } = deps
  return new Elysia({ name: 'health' })
    .get(
      '/livez',
      ({ set }) => {
        // A settle that a full disk refuses is said by readyz: restarting would not help.
        const stuck = engine.stuckMs() > STUCK_MS && deps.isWritable()
        if (!stuck && deps.isInPlace()) return { status: 'ok', instance }
        set.status = 503
        if (!stuck) return { status: 'no database', instance, reason: GONE }
        return { status: 'stuck', instance, reason: `no loop came round for ${STUCK_MS / 1000} s` }
      },
      {
        response: { 200: statusSchema, 503: statusSchema },
        detail: { summary: 'Should I be restarted?', tags: ['health'] },
      },
    )
    .get(
      '/readyz',
      ({ set }) => {
        const reason = unreadiness(deps)
        if (reason === null) return { status: 'ok', instance }
        set.status = 503
        set.headers['retry-after'] = '5'
        return { status: 'not ready', instance, reason }
      },
      {
        response: { 200: statusSchema, 503: statusSchema },
        detail: { summary: 'Should I get work?', tags: ['health'] },
      },
    )
    .get('/healthz', async () => (deps.isGuarded ? withoutParts(await healthNow(deps)) : healthNow(deps)), {
      response: { 200: healthSchema },
      detail: { summary: 'What is going on?', tags: ['health'] },
    })
}
