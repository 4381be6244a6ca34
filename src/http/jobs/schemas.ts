/** The shapes of everything on /jobs: what a route takes and gives; the published document and the types both come from here. */
import { type Static, type TSchema, t } from 'elysia'
import { failures } from '../../domain/job/failure.ts'
import { jobStates } from '../../domain/job/job.ts'
import { type ProblemCode, problems } from '../../domain/job/problem.ts'
import { contentType } from '../openapi.ts'
import { PROBLEM_TYPE } from './problem.ts'

const nullable = <T extends TSchema>(schema: T) => t.Union([schema, t.Null()])
const oneOf = <const T extends string>(values: readonly T[], description: string) =>
  t.Unsafe<T>(t.Union(values.map((value) => t.Literal(value)) as never, { description }))
const keys = <K extends string>(table: Readonly<Record<K, unknown>>) => Object.keys(table) as K[]

/** Crockford's base32: what an id looks like. */
export const ULID_PATTERN = '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'

const jobId = t.String({ pattern: ULID_PATTERN, description: 'ULID' })
const state = oneOf(jobStates, 'queued, loading, working, or final: done, failed, cancelled')
const time = (description: string) => t.String({ format: 'date-time', description })
const position = nullable(
  t.Integer({ minimum: 0, description: '1 = next by age, 0 = on the worker, null = final or backing off' }),
)
const eta = nullable(t.Integer({ minimum: 0, description: 'seconds until it is done; null = not known' }))
const count = nullable(t.Integer({ minimum: 0 }))

const error = nullable(
  t.Object({ code: t.String({ description: `one of ${keys(failures).join(', ')}` }), message: t.String() }),
)

const artifact = t.Object({
  name: t.String(),
  content_type: t.String(),
  size: t.Integer({ minimum: 0, description: 'bytes' }),
  inline: t.Unknown({ description: 'JSON value, text, or base64; null above FOREMAN_ARTIFACT_INLINE_MAX' }),
  url: nullable(t.String({ description: 'where the bytes are, when they do not stand inside' })),
})

const webhook = t.Object({
  url: t.String(),
  events: t.Array(state, { description: 'the states that it tells of' }),
  next_sequence: nullable(
    t.Integer({ minimum: 1, description: 'the transition that is told next; null: all are told' }),
  ),
  tries: t.Integer({ minimum: 0, description: 'of that one so far' }),
  next_try_at: nullable(time('when it is tried next, or since when it waits for its receiver')),
  last_problem: nullable(t.String({ description: 'what was wrong with the last try that failed' })),
  given_up: t.Integer({ minimum: 0, description: 'transitions that the receiver was never told of' }),
})

/** One job. It has one name in every answer, `job_id`; `id` stays beside it. */
export const jobSchema = t.Object({
  job_id: jobId,
  id: jobId,
  model: t.String({ description: 'as the caller wrote it' }),
  state,
  attempt: t.Integer({ minimum: 0 }),
  max_attempts: t.Integer({ minimum: 1 }),
  deferrals: t.Integer({ minimum: 0 }),
  served_by: nullable(oneOf(['target', 'fallback'], 'who gave the answer; null until it is done')),
  served_model: nullable(t.String({ description: 'the model that did, by its name there' })),
  relief: nullable(t.Array(t.String())),
  error,
  result: t.Unknown({ description: 'the final native answer; null until done, and above FOREMAN_ARTIFACT_INLINE_MAX' }),
  artifacts: t.Array(artifact),
  state_webhook_url: nullable(t.String()),
  webhook: nullable(webhook),
  position,
  eta_seconds: eta,
  created_at: time('submitted'),
  updated_at: time('last transition'),
  started_at: nullable(time('first time on the worker')),
  completed_at: nullable(time('final')),
  usage: t.Object({ prompt_tokens: count, completion_tokens: count, total_duration_ms: count }),
})

export const acceptedBody = t.Object({ job_id: jobId, id: jobId, state, position, eta_seconds: eta })

export const pageSchema = t.Object({
  jobs: t.Array(jobSchema),
  next: nullable(t.String({ description: 'give it as `after` for the next page; null = this is the last' })),
})

const described = <T extends { properties: Record<string, TSchema> }>(schema: T, description: string): T => ({
  ...schema,
  description,
})

/** What POST /jobs takes; everything else in the payload goes to the target as it is. */
export const submitBody = {
  required: true,
  description:
    'A native chat payload (messages) or generate payload (prompt). Any content type: it is read as JSON. `stream` is ignored.',
  content: {
    '*/*': {
      schema: {
        type: 'object' as const,
        required: ['model'],
        anyOf: [{ required: ['messages'] }, { required: ['prompt'] }],
        properties: {
          model: { type: 'string' as const, minLength: 1 },
          messages: {
            type: 'array' as const,
            items: {
              type: 'object' as const,
              required: ['role', 'content'],
              properties: { role: { type: 'string' as const }, content: { type: 'string' as const } },
            },
          },
          prompt: { type: 'string' as const },
          options: { type: 'object' as const },
          fallback: {
            type: 'string' as const,
            nullable: true,
            enum: ['auto', 'never', null],
            description: 'auto: the fallback may do it while the target cannot',
          },
          state_webhook_url: { type: 'string' as const, nullable: true, description: 'told of every transition' },
          state_webhook_events: {
            description: 'told of these alone: "final", "all" (as without it), or a list of states',
            anyOf: [
              { type: 'string' as const, nullable: true, enum: ['final', 'all', null] },
              { type: 'array' as const, items: { type: 'string' as const, enum: [...jobStates] } },
            ],
          },
        },
      },
    },
  },
}

export const problemSchema = t.Object({
  type: t.String({ format: 'uri-reference', description: '/problems/ and the code' }),
  title: t.String(),
  status: t.Integer(),
  detail: t.String({ description: 'one sentence that helps' }),
  instance: t.String({ description: 'the path that was asked for' }),
  code: oneOf(keys(problems), 'the last part of type'),
})

export type JobJson = Static<typeof jobSchema>
export type AcceptedJson = Static<typeof acceptedBody>
export type PageJson = Static<typeof pageSchema>

/** Response schemas of these problems by status, with the codes in the description. */
export const problemResponses = (...codes: readonly ProblemCode[]): Record<number, TSchema> => {
  const statuses = [...new Set(codes.map((code) => problems[code].status))]
  return Object.fromEntries(
    statuses.map((status) => {
      const of = codes.filter((code) => problems[code].status === status)
      const description = of.map((code) => `${code}: ${problems[code].title}`).join('; ')
      return [status, t.Object(problemSchema.properties, { description, ...contentType(PROBLEM_TYPE) })]
    }),
  )
}

export const shownSchema = described(jobSchema, 'the job as it is now')
export const finishedSchema = described(jobSchema, 'Prefer: wait was given and the job is final')
export const cancelledSchema = described(jobSchema, 'the job, cancelled')
export const acceptedSchema = described(acceptedBody, 'on disk; Location says where to look')
export const listedSchema = described(pageSchema, 'one page; results and artifacts are shown by link only')

export const idParams = t.Object({ id: t.String({ description: 'job id' }) })
export const artifactParams = t.Object({
  id: t.String({ description: 'job id' }),
  name: t.String({ description: 'artifact name, for example completion' }),
})

/** A Go duration or a bare number of seconds; the bound is checked where it is read. */
const DURATION_PATTERN = '^(\\d{1,9}(\\.\\d{1,9})?|(\\d{1,9}(\\.\\d{1,9})?(ns|us|µs|ms|s|m|h))+)$'

export const showQuery = t.Object({
  wait: t.Optional(
    t.String({
      pattern: DURATION_PATTERN,
      description: 'hold the answer until the job is final, at most this long: a duration such as 30s, up to 1h',
    }),
  ),
})

export const LIMIT_DEFAULT = 50

export const listQuery = t.Object({
  state: t.Optional(oneOf(jobStates, `only jobs in this state: ${jobStates.join(', ')}`)),
  model: t.Optional(t.String({ maxLength: 1_024, description: 'only jobs of this model, as the caller wrote it' })),
  kind: t.Optional(oneOf(['sync', 'async'], 'only calls whose client waits (sync), or only submitted jobs (async)')),
  limit: t.Optional(
    t.Integer({ minimum: 1, maximum: 500, default: LIMIT_DEFAULT, description: 'jobs on a page, from 1 to 500' }),
  ),
  after: t.Optional(t.String({ pattern: ULID_PATTERN, description: 'a job id: only jobs older than it' })),
})

export const eventsQuery = t.Object({
  last_event_id: t.Optional(
    t.String({ pattern: '^\\d{1,15}$', description: 'the sequence of the last transition seen: only later ones' }),
  ),
})

export const submitHeaders = t.Object({
  'idempotency-key': t.Optional(
    t.String({
      pattern: '^[\\x21-\\x7e]{1,255}$',
      description: '1 to 255 visible ASCII characters: the same key and body name the same job until it is swept',
    }),
  ),
  prefer: t.Optional(t.String({ description: 'wait=N: answer with the finished job if it is final within N seconds' })),
})

export const eventsHeaders = t.Object({
  'last-event-id': t.Optional(t.String({ description: 'as last_event_id; an EventSource sends it by itself' })),
})

export const artifactHeaders = t.Object({
  'if-none-match': t.Optional(t.String({ description: 'ETags that are known already' })),
  range: t.Optional(t.String({ description: 'one range of bytes; several, or another unit, give the whole' })),
})
