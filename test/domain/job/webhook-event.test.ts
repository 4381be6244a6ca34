/** What a transition tells the world: every member always, results on final states, inline exactly up to the limit. */
import { describe, expect, test } from 'bun:test'
import type { ListedArtifact } from '../../../src/domain/job/reading.ts'
import { artifactView, linkTo, webhookEvent } from '../../../src/domain/job/webhook-event.ts'

const showing = { inlineMaxBytes: 20, publicUrl: null }
const bytes = (text: string) => new TextEncoder().encode(text)
const artifact = (over: Partial<ListedArtifact> & { body: Uint8Array | null }): ListedArtifact => ({
  name: 'completion',
  contentType: 'application/json',
  size: over.body?.length ?? 0,
  ...over,
})
const at = Date.UTC(2026, 0, 2, 3, 4, 5, 6)
const job = { id: '01J', model: 'qwen3:14b' }
const step = { sequence: 3, attempt: 1, at, errorCode: null, errorMessage: null, servedBy: null, servedModel: null }

describe('the event', () => {
  test('of a transition on the way has every member and neither result nor artifacts', () => {
    const event = webhookEvent(job, { ...step, previousState: 'loading', state: 'working' }, [], showing)
    expect(event).toEqual({
      job_id: '01J',
      state: 'working',
      previous_state: 'loading',
      sequence: 3,
      timestamp: '2026-01-02T03:04:05.006Z',
      model: 'qwen3:14b',
      attempt: 1,
      served_by: null,
      served_model: null,
      error: null,
      result: null,
      artifacts: null,
    })
  })

  test('of a done job carries the result and the artifacts', () => {
    const facts = artifact({ body: bytes('{"done":true}') })
    const event = webhookEvent(job, { ...step, previousState: 'working', state: 'done' }, [facts], showing)
    const view = { name: 'completion', content_type: 'application/json', size: 13, inline: { done: true }, url: null }
    expect(event).toMatchObject({ result: { done: true }, artifacts: [view] })
  })

  test('of a failed job says why and has no result', () => {
    const failed = {
      ...step,
      previousState: 'working',
      state: 'failed',
      errorCode: 'refused',
      errorMessage: 'no',
    } as const
    expect(webhookEvent(job, failed, [], showing)).toMatchObject({
      error: { code: 'refused', message: 'no' },
      result: null,
      artifacts: [],
    })
  })
})

describe('an artifact', () => {
  const view = (over: Partial<ListedArtifact> & { body: Uint8Array | null }) =>
    artifactView('01J', artifact(over), showing)

  test('stands inside up to the limit and is a link above it', () => {
    expect(view({ contentType: 'text/plain', body: bytes('x'.repeat(20)) })).toMatchObject({
      inline: 'x'.repeat(20),
      url: null,
    })
    expect(view({ contentType: 'text/plain', body: bytes('x'.repeat(21)) })).toMatchObject({
      size: 21,
      inline: null,
      url: '/jobs/01J/artifacts/completion',
    })
    expect(view({ size: 21, body: null })).toMatchObject({ size: 21, inline: null })
  })

  test('is a JSON value, text, or base64 of anything else', () => {
    expect(view({ body: bytes('[1]') }).inline).toEqual([1])
    expect(view({ contentType: 'application/problem+json; charset=utf-8', body: bytes('{}') }).inline).toEqual({})
    expect(view({ contentType: 'text/csv', body: bytes('a,ü') }).inline).toBe('a,ü')
    expect(view({ contentType: 'image/png', body: Uint8Array.of(0, 255, 128) }).inline).toBe('AP+A')
    expect(view({ body: bytes('') }).inline).toBe('')
    expect(view({ body: bytes('not json') }).inline).toBe('not json')
  })

  test('has a link that survives any name', () => {
    expect(view({ name: 'a/b ü?#', body: null, size: 99 }).url).toBe('/jobs/01J/artifacts/a%2Fb%20%C3%BC%3F%23')
  })
})

test('links are absolute when the public URL is known', () => {
  expect(linkTo('/jobs/1', null)).toBe('/jobs/1')
  for (const base of ['https://f.example/base', 'https://f.example/base/'])
    expect(linkTo('/jobs/1', base)).toBe('https://f.example/base/jobs/1')
})
