/** R2: the published OpenAPI document is valid 3.0.3, and 5,000 generated calls find nothing that it does not say. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseDurationMs } from '../../src/domain/duration.ts'
import { ollamaRoutes } from '../../src/domain/wire/routes.ts'
import { jobsMethods } from '../../src/http/jobs/routes.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure, seedOf } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { chat, type JobsAnswer, jobsClient } from '../support/jobs-client.ts'
import { documentFaults, type OpenApi, type Operation, type Parameter } from '../support/openapi-document.ts'
import { schemaFaults, strangers } from '../support/schema-check.ts'
import { transcriptModels } from '../support/transcript-models.ts'

const CALLS = Number(process.env['FOREMAN_TEST_OPENAPI_CALLS'] ?? 5_000)
// The known jobs are final, so no generated DELETE succeeds; a test of its own shows one.
const CANCELLED_BY_NOBODY = 1
const TOKEN = 'canary-token'
const METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS']
// What passes through is the target's to describe.
const ollamaPaths = new Set(ollamaRoutes.map(({ path }) => path.replace(/:(\w+)/g, '{$1}')))

let simulator: Simulator
let foreman: RunningForeman
let document: OpenApi
const authorization = { authorization: `Bearer ${TOKEN}` }
/** A finished, a failed and a cancelled job. */
const known: string[] = []

beforeAll(async () => {
  simulator = await startSimulator({ models: transcriptModels })
  foreman = await runForeman(simulator.url, { FOREMAN_TOKEN: TOKEN, FOREMAN_LOG_LEVEL: 'error' })
  await polled(foreman)
  document = (await (await fetch(`${foreman.url}/swagger/json`, { headers: authorization })).json()) as OpenApi
  const jobs = jobsClient(foreman)
  for (const body of [chat('[[n=2]]'), chat('x', { model: 'embed' })]) {
    const id = await jobs.submit(body, authorization)
    await (await fetch(`${foreman.url}/jobs/${id}?wait=10s`, { headers: authorization })).text()
    known.push(id)
  }
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

interface Call {
  readonly method: string
  readonly path: string
  /** With each path parameter put in. */
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: string | null
  /** Whether every part is what the document allows. */
  readonly isValid: boolean
  readonly hasToken: boolean
}

const anyText = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 10 }),
  fc.integer().map(String),
  fc.constantFrom('null', 'true', '-1', '1e9', '01M7Z4BPW8T93C8K41K5GH5ZQW', '30ms', '5', '0', '500', '501'),
)

/** A value for a parameter, mostly one that its schema allows. */
const valueFor = ({ name, schema }: Parameter): fc.Arbitrary<string> => {
  const {
    enum: values,
    minimum = 0,
    maximum = 10,
    type,
  } = schema as {
    enum?: string[]
    minimum?: number
    maximum?: number
    type?: string
  }
  if (values !== undefined) return fc.oneof(fc.constantFrom(...values), anyText)
  if (type === 'integer') return fc.oneof(fc.integer({ min: minimum, max: maximum }).map(String), anyText)
  if (name === 'id') return fc.oneof(fc.constantFrom(...known), anyText)
  if (name === 'name') return fc.oneof(fc.constant('completion'), anyText)
  if (name === 'wait') return fc.oneof(fc.constantFrom('0', '1ms', '2ms', '0.001s'), anyText)
  if (name === 'after') return fc.oneof(fc.constantFrom(...known), anyText)
  if (name === 'last_event_id') return fc.oneof(fc.nat(6).map(String), anyText)
  if (name === 'range') return fc.oneof(fc.constantFrom('bytes=0-5', 'bytes=-3', 'bytes=99999-', 'x'), anyText)
  if (name === 'prefer') return fc.constantFrom('wait=0', 'respond-async')
  return anyText
}

/** A client takes dots out of a path before it sends it, and an empty segment is another path. */
const segment = (text: string) => (/^\.{0,2}$/.test(text) ? 'x' : text)

/** Header values travel as bytes without line ends; the spaces around them do not. */
const asHeader = (text: string) =>
  [...text]
    .filter((c) => c >= ' ' && c <= '\u00ff' && c !== '\u007f')
    .join('')
    .replace(/[\u0080-\u009f]/g, '')
    .trim()

const bodies = fc.oneof(
  fc.constant(chat('[[n=1]]')),
  fc.record(
    {
      model: fc.oneof(fc.constantFrom('tiny', 'nope'), fc.anything()),
      messages: fc.oneof(fc.constant([{ role: 'user', content: 'x' }]), fc.jsonValue()),
      prompt: fc.oneof(fc.string(), fc.jsonValue()),
      options: fc.oneof(fc.constant({}), fc.jsonValue()),
      state_webhook_url: fc.constantFrom(null, 5, 'http://169.254.169.254/', 'nonsense'),
    },
    { requiredKeys: [] },
  ),
  fc.jsonValue(),
)

const callOf = (method: string, path: string, operation: Operation): fc.Arbitrary<Call> => {
  const parameters = operation.parameters ?? []
  const values = fc.tuple(...parameters.map((p) => fc.option(valueFor(p), { nil: null, freq: p.required ? 1e9 : 3 })))
  const body =
    operation.requestBody === undefined
      ? fc.constant(null)
      : fc.option(
          bodies.map((b) => JSON.stringify(b)),
          { freq: 20 },
        )
  return fc.record({ values, body, hasToken: fc.integer({ min: 0, max: 19 }).map((n) => n > 0) }).map((made) => {
    const query = new URLSearchParams()
    const headers: Record<string, string> = made.hasToken ? { ...authorization } : {}
    let url = path
    let isValid = made.body !== null || operation.requestBody === undefined
    parameters.forEach((parameter, i) => {
      const given = made.values[i]
      if (given === null || given === undefined) {
        if (parameter.in === 'path') url = url.replace(`{${parameter.name}}`, 'x')
        return
      }
      const value = parameter.in === 'header' ? asHeader(given) : given
      if (parameter.in === 'path') url = url.replace(`{${parameter.name}}`, encodeURIComponent(segment(value)))
      if (parameter.in === 'query') query.set(parameter.name, value)
      if (parameter.in === 'header') headers[parameter.name] = value
      // An empty value says nothing, as a form sends it.
      if (value === '' && parameter.in === 'query') return
      const typed = parameter.schema['type'] === 'integer' && /^-?\d+$/.test(value) ? Number(value) : value
      if (schemaFaults(typed, parameter.schema).length > 0) isValid = false
      if (parameter.name === 'wait') {
        const wait = parseDurationMs(value)
        if (wait.kind === 'bad' || wait.value > 3_600_000) isValid = false
      }
    })
    const text = query.size > 0 ? `?${query}` : ''
    return { method, path, url: url + text, headers, body: made.body, isValid, hasToken: made.hasToken }
  })
}

const isJsonType = (type: string) => /^application\/(\w+\+)?json$/.test(type)

/** Everything that one answer does which the document does not say. */
const findings = (call: Call, operation: Operation, { status, headers, text }: JobsAnswer): string[] => {
  if (status >= 500) return [`server error ${status}: ${text}`]
  const isOpen = call.path.endsWith('z')
  if (!call.hasToken && !isOpen) return status === 401 ? [] : [`ignored auth: ${status}`]
  if (status === 401) return ['refused a good token']
  const said = operation.responses[String(status)]
  if (said === undefined) return [`undocumented status ${status}: ${text.slice(0, 200)}`]
  if (call.isValid && status === 422 && call.body === null) return [`valid data refused: ${text}`]
  if (!call.isValid && status < 400) return [`negative data accepted: ${status}`]
  const type = (headers.get('content-type') ?? '').split(';')[0] ?? ''
  if (said.content === undefined) return text === '' ? [] : [`a body where none is documented: ${text.slice(0, 200)}`]
  const media = said.content[type] ?? said.content['*/*']
  if (media === undefined) return [`undocumented content type ${type} with ${status}`]
  if (!isJsonType(type) || said.content[type] === undefined) return []
  const json: unknown = JSON.parse(text)
  return [...schemaFaults(json, media.schema), ...strangers(json, media.schema).map((at) => `${at} is not documented`)]
}

const foremansOwn = () => Object.entries(document.paths).filter(([path]) => !ollamaPaths.has(path))

describe('the document', () => {
  test('is valid OpenAPI 3.0.3', () => {
    expect(document.openapi).toBe('3.0.3')
    expect(documentFaults(document)).toEqual([])
  })

  test('has every route of the table and of /jobs', () => {
    const wanted = [...ollamaPaths, ...Object.keys(jobsMethods).map((path) => path.replace(/:(\w+)/g, '{$1}'))]
    expect(wanted.filter((path) => document.paths[path] === undefined)).toEqual([])
  })
})

test('the checks can fail: a wrong type, a missing and an unknown member, an undocumented status and a bug are found', () => {
  const operation = document.paths['/jobs/{id}']?.['get']
  const schema = operation?.responses['200']?.content?.['application/json']?.schema ?? {}
  expect(schemaFaults({ id: 5 }, schema).length).toBeGreaterThan(10)
  expect(strangers({ id: 'x', secret: 1, usage: { more: 1 } }, schema)).toEqual(['$.secret', '$.usage.more'])
  const call = { method: 'GET', path: '/jobs/{id}', url: '', headers: {}, body: null, isValid: false, hasToken: true }
  const headers = new Headers({ 'content-type': 'text/html' })
  for (const status of [200, 201, 401, 404, 500])
    expect(findings(call, operation!, { status, headers, text: '{}', json: {} }).length).toBeGreaterThan(0)
})

describe('generated calls', () => {
  test(`of ${CALLS} none finds anything`, async () => {
    const operations = foremansOwn().flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
    )
    const calls = fc.oneof(...operations.map(({ method, path, operation }) => callOf(method, path, operation)))
    const client = jobsClient(foreman)
    const statuses = new Map<string, number>()
    const seed = seedOf('openapi')
    await fc.assert(
      fc.asyncProperty(calls, async (call) => {
        const { method, path, url, headers, body } = call
        const operation = document.paths[path]?.[method.toLowerCase()]
        if (operation === undefined) throw new Error(`${method} ${path} is not in the document`)
        const answer = await client.call(method, url, { headers, ...(body !== null && { body }) })
        const key = `${method} ${path} ${answer.status}`
        statuses.set(key, (statuses.get(key) ?? 0) + 1)
        expect(findings(call, operation, answer)).toEqual([])
      }),
      { numRuns: CALLS, seed, endOnFailure: true },
    )
    const reached = operations.filter(({ method, path }) =>
      [...statuses.keys()].some((key) => key.startsWith(`${method} ${path} 2`)),
    )
    expect(reached.length).toBe(operations.length - CANCELLED_BY_NOBODY)
    figure(
      'R2',
      `${CALLS} generated calls on ${operations.length} operations, ${statuses.size} kinds of answer: 0 findings`,
    )
  }, 120_000)

  test('a valid job is accepted, and cannot be cancelled once it is cancelled', async () => {
    const jobs = jobsClient(foreman)
    const busy = await jobs.submit(chat('[[silent=60000]]'), authorization)
    const headers = authorization
    expect((await jobs.call('DELETE', `/jobs/${busy}`, { headers })).status).toBe(200)
    expect((await jobs.call('DELETE', `/jobs/${busy}`, { headers })).status).toBe(409)
    expect((await jobs.call('GET', `/jobs/${busy}`, { headers })).json['state']).toBe('cancelled')
    expect((await jobs.call('GET', `/jobs/${busy}/artifacts/completion`, { headers })).status).toBe(404)
  })

  test('a method that the document does not name is 405 with Allow on every path of foreman’s own', async () => {
    for (const [path, item] of foremansOwn().filter(([p]) => p.startsWith('/jobs')))
      for (const method of METHODS.filter((m) => item[m.toLowerCase()] === undefined)) {
        const response = await fetch(foreman.url + path.replaceAll(/\{\w+\}/g, 'x'), { method, headers: authorization })
        expect({ path, method, status: response.status }).toEqual({ path, method, status: 405 })
        const allowed = (response.headers.get('allow') ?? '').split(', ').filter((m) => m !== 'HEAD')
        expect(allowed.sort()).toEqual(
          Object.keys(item)
            .map((m) => m.toUpperCase())
            .sort(),
        )
      }
  })
})
