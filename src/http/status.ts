/** GET /status: everything that health says, what the parts judge and why, and what happened lately, in one document behind the token. */
import { Elysia, t } from 'elysia'
import type { Alarms } from '../engine/alarms.ts'
import type { Fact } from '../engine/part.ts'
import type { Recollection } from '../engine/recollection.ts'
import { type HealthDeps, healthNow, healthSchema, iso } from './health.ts'

export interface StatusDeps {
  readonly facts: () => Readonly<Record<string, Fact>>
  readonly lately: Alarms['lately']
  readonly recollection: Recollection
}

const nullable = <T extends Parameters<typeof t.Union>[0][number]>(schema: T) => t.Union([schema, t.Null()])

const statusSchema = t.Composite(
  [
    healthSchema,
    t.Object({
      ollama_running: t.Boolean(),
      model_loaded: t.Array(t.String()),
      /** What only a part knows is null without it. */
      health: nullable(t.String()),
      latency_ms: nullable(t.Number()),
      uptime_seconds: nullable(t.Number()),
      inference_count: t.Number(),
      memory_usage_mb: nullable(t.Number()),
      cpu_usage_percent: nullable(t.Number()),
      gpu: nullable(t.Array(t.Unknown())),
      restarts: nullable(t.Number()),
      pins: nullable(t.Array(t.Unknown())),
      fallback_rate: nullable(t.Number()),
      last_error: nullable(
        t.Object({ code: t.String(), message: t.String(), job_id: t.String(), model: t.String(), at: t.String() }),
      ),
      reasons: t.Record(t.String(), t.String()),
      lately: t.Array(
        t.Object({ at: t.String(), part: t.String(), name: t.String(), state: t.String(), words: t.String() }),
      ),
    }),
  ],
  {
    description: 'health, what the parts judge with their reasons, and what happened lately',
    additionalProperties: true,
  },
)

/** Of these a document says null where no part knows them. */
const unknown = {
  health: null,
  latency_ms: null,
  uptime_seconds: null,
  memory_usage_mb: null,
  cpu_usage_percent: null,
  gpu: null,
  restarts: null,
  pins: null,
  fallback_rate: null,
}

const valuesOf = (facts: Readonly<Record<string, Fact>>) =>
  Object.fromEntries(Object.entries(facts).map(([name, { value }]) => [name, value]))

const reasonsOf = (facts: Readonly<Record<string, Fact>>): Record<string, string> =>
  Object.fromEntries(Object.entries(facts).flatMap(([name, { reason }]) => (reason ? [[name, reason]] : [])))

/** The route; the guard asks for the token before it. */
export const statusRoutes = (health: HealthDeps, { facts, lately, recollection }: StatusDeps) =>
  new Elysia({ name: 'status' }).get(
    '/status',
    async () => {
      const now = await healthNow(health)
      const told = facts()
      const { completions, lastFailure } = recollection
      const shown = (at: number) => iso(health.wallAt(at))
      const absent = now.target.reachable || now.reason === null ? {} : { ollama_running: now.reason }
      return {
        ...now,
        ollama_running: now.target.reachable,
        model_loaded: now.target.resident,
        inference_count: completions,
        last_error: lastFailure && {
          code: lastFailure.code,
          message: lastFailure.message,
          job_id: lastFailure.jobId,
          model: lastFailure.model,
          at: shown(lastFailure.at),
        },
        ...unknown,
        ...valuesOf(told),
        reasons: { ...absent, ...reasonsOf(told) },
        lately: lately().map(({ at, ...news }) => ({ ...news, at: shown(at) })),
      }
    },
    { response: { 200: statusSchema }, detail: { summary: 'Everything, with its reasons', tags: ['health'] } },
  )
