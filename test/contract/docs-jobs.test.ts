/** Keeps docs/reference/jobs.md true: every route, query parameter, field and problem is the one in the code. */
import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { jobStates } from '../../src/domain/job/job.ts'
import { problems } from '../../src/domain/job/problem.ts'
import { webhookEvent } from '../../src/domain/job/webhook-event.ts'
import { jobsMethods } from '../../src/http/jobs/routes.ts'
import {
  acceptedSchema,
  eventsQuery,
  jobSchema,
  listQuery,
  problemSchema,
  showQuery,
} from '../../src/http/jobs/schemas.ts'

const text = readFileSync(join(import.meta.dir, '..', '..', 'docs', 'reference', 'jobs.md'), 'utf8')
const between = (name: string): string =>
  text.slice(text.indexOf(`<!-- ${name}:begin -->`), text.indexOf(`<!-- ${name}:end -->`))
const codes = (part: string): string[] => [...part.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? '')
const rows = (name: string): string[][] =>
  between(name)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')))

describe('docs/reference/jobs.md', () => {
  test('names every route with its methods and nothing else', () => {
    const wanted = Object.entries(jobsMethods).flatMap(([path, methods]) =>
      methods
        .split(', ')
        .filter((method) => method !== 'HEAD')
        .map((method) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
    )
    expect(
      rows('routes')
        .map(([route]) => codes(route ?? '')[0] ?? '')
        .sort(),
    ).toEqual(wanted.sort())
  })

  test('names every query parameter at its route', () => {
    const at = (route: string, schema: { properties: object }) =>
      Object.keys(schema.properties).map((name) => `${route} ${name}`)
    expect(rows('query').map(([route, name]) => `${codes(route ?? '')[0]} ${codes(name ?? '')[0]}`)).toEqual([
      ...at('GET /jobs/{id}', showQuery),
      ...at('GET /jobs', listQuery),
      ...at('GET /jobs/{id}/events', eventsQuery),
    ])
  })

  test('names every field of a job, of the answer to a submit, of an artifact and of a problem', () => {
    expect(
      rows('fields')
        .flatMap(([names]) => codes(names ?? ''))
        .sort(),
    ).toEqual(Object.keys(jobSchema.properties).sort())
    expect(codes(between('accepted'))).toEqual(Object.keys(acceptedSchema.properties))
    expect(codes(between('artifact'))).toEqual(Object.keys(jobSchema.properties.artifacts.items.properties))
    const usage = Object.keys(jobSchema.properties.usage.properties).join(', ')
    expect(between('fields')).toContain(`{${usage}}`)
    for (const name of Object.keys(problemSchema.properties)) expect(text).toContain(`\`${name}\``)
  })

  test('names every state and every problem with its status and title', () => {
    expect(jobStates.filter((state) => !between('fields').includes(`\`${state}\``))).toEqual([])
    const documented = rows('problems').map(([code, status, title]) => [codes(code ?? '')[0], Number(status), title])
    expect(documented).toEqual(Object.entries(problems).map(([code, { status, title }]) => [code, status, title]))
  })

  test('shows a transition as it is sent', () => {
    const shown = /data: (\{"job_id".*\})/.exec(text)?.[1] ?? ''
    const transition = { sequence: 1, previousState: null, state: 'queued', attempt: 0, at: 0 } as const
    const showing = { inlineMaxBytes: 0, publicUrl: null }
    const event = webhookEvent(
      { id: '', model: '' },
      { ...transition, errorCode: null, errorMessage: null, servedBy: null, servedModel: null },
      [],
      showing,
    )
    expect(Object.keys(JSON.parse(shown))).toEqual(Object.keys(event).filter((name) => name !== 'artifacts'))
  })
})
