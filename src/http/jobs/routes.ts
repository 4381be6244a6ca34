/** The routes of /jobs with their schemas; every refusal is problem+json, and none says anything before the guard has. */
import { Elysia, ValidationError } from 'elysia'
import type { Problem } from '../../domain/job/problem.ts'
import { bytesResponse, emptyResponse } from '../openapi.ts'
import { pathOf } from '../request-path.ts'
import type { Visitors } from '../visitors.ts'
import { createJobAnswers, type JobAnswersDeps } from './answers.ts'
import { problemResponse } from './problem.ts'
import { strangeQuery } from './queries.ts'
import * as schemas from './schemas.ts'

export interface JobsRoutesDeps extends JobAnswersDeps {
  readonly visitors: Visitors
  readonly onBug: (error: unknown, path: string) => void
}

/** Which methods each path takes; the others get 405. */
export const jobsMethods: Readonly<Record<string, string>> = {
  '/jobs': 'GET, HEAD, POST',
  '/jobs/:id': 'GET, HEAD, DELETE',
  '/jobs/:id/events': 'GET, HEAD',
  '/jobs/:id/artifacts/:name': 'GET, HEAD',
}

/** What Elysia found wrong with a query or a header, in the words of the schema. */
const invalid = ({ type, valueError }: ValidationError): Problem => {
  const place = type === 'property' ? 'query' : type
  const name = valueError?.path.replace(/^\/?/, ' ').trimEnd() ?? ''
  const meaning = valueError?.schema.description ?? valueError?.message ?? 'see the reference'
  return { code: 'invalid', detail: `${place}${name} is not understood: ${meaning}` }
}

const patterns = Object.entries(jobsMethods).map(([path, methods]) => ({
  methods,
  pattern: new RegExp(`^${path.replaceAll(/:\w+/g, '[^/]+')}/?$`),
}))

/** What no route of /jobs took: no such method, no such path. */
export const jobsRefusal = (request: Request): Response => {
  const known = patterns.find(
    ({ pattern, methods }) => pattern.test(pathOf(request)) && !methods.includes(request.method),
  )
  if (known === undefined) return problemResponse(request, { code: 'not-found', detail: 'there is no such path' })
  const detail = `this path does not take ${request.method}, only ${known.methods}`
  return problemResponse(request, { code: 'method-not-allowed', detail }, { Allow: known.methods })
}

const { problemResponses } = schemas
const always = ['unauthorized', 'internal'] as const
const tags = ['jobs']

/** The routes of one foreman. */
export const jobsRoutes = (deps: JobsRoutesDeps) => {
  const answers = createJobAnswers(deps)
  const timingOf = (request: Request) => deps.visitors.of(request).timing
  return new Elysia({ name: 'jobs' })
    .onError(({ error, request }) => {
      if (error instanceof ValidationError) return problemResponse(request, invalid(error))
      deps.onBug(error, pathOf(request))
      return problemResponse(request, { code: 'internal', detail: 'a bug of foreman: its log says more' })
    })
    .onTransform(({ query }) => {
      // `?state=&model=` is how a form says nothing.
      for (const [name, value] of Object.entries(query)) if (value === '') delete query[name]
    })
    .onBeforeHandle(({ request }) => {
      const strange = strangeQuery(request)
      return strange === null ? undefined : problemResponse(request, strange)
    })
    .post('/jobs', ({ request }) => answers.submit(request, timingOf(request), deps.visitors.of(request).who.name), {
      parse: 'none',
      headers: schemas.submitHeaders,
      response: {
        200: schemas.finishedSchema,
        202: schemas.acceptedSchema,
        ...problemResponses('malformed', 'invalid', 'model-not-installed', 'webhook-refused', 'idempotency-conflict'),
        ...problemResponses('too-slow', 'too-large', 'queue-full', 'draining', 'disk-full', ...always),
      },
      detail: { summary: 'Submit a job', tags, requestBody: schemas.submitBody },
    })
    .get('/jobs', ({ query }) => answers.list(query), {
      query: schemas.listQuery,
      response: { 200: schemas.listedSchema, ...problemResponses('invalid', ...always) },
      detail: { summary: 'Jobs and calls, newest first', tags },
    })
    .get('/jobs/:id', ({ params, query, request }) => answers.show(request, params.id, query.wait, timingOf(request)), {
      params: schemas.idParams,
      query: schemas.showQuery,
      response: { 200: schemas.shownSchema, ...problemResponses('invalid', 'not-found', ...always) },
      detail: { summary: 'One job; with wait, when it is final', tags },
    })
    .delete('/jobs/:id', ({ params, request }) => answers.cancel(request, params.id), {
      params: schemas.idParams,
      response: {
        200: schemas.cancelledSchema,
        ...problemResponses('invalid', 'not-found', 'already-final', 'sync-call', 'disk-full', ...always),
      },
      detail: { summary: 'Cancel a job', tags },
    })
    .get(
      '/jobs/:id/events',
      ({ params, query, request }) => answers.events(request, params.id, query.last_event_id, timingOf(request)),
      {
        params: schemas.idParams,
        query: schemas.eventsQuery,
        headers: schemas.eventsHeaders,
        response: {
          200: bytesResponse('transitions, and native chunks while it runs', 'text/event-stream'),
          204: emptyResponse('final, and its last transition was seen'),
          ...problemResponses('invalid', 'not-found', 'sync-call', 'too-many-followers', ...always),
        },
        detail: { summary: 'Follow a job (server-sent events)', tags },
      },
    )
    .get('/jobs/:id/artifacts/:name', ({ params, request }) => answers.artifact(request, params.id, params.name), {
      params: schemas.artifactParams,
      headers: schemas.artifactHeaders,
      response: {
        200: bytesResponse('the exact bytes', '*/*'),
        206: bytesResponse('the range that was asked for', '*/*'),
        304: emptyResponse('If-None-Match names what is there'),
        ...problemResponses('invalid', 'not-found', 'range-not-satisfiable', ...always),
      },
      detail: { summary: 'An artifact, to the byte', tags },
    })
}
