/** GET /jobs/{id}/artifacts/{name}: exact bytes, a strong ETag, one range, and inline exactly up to the limit. */
import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { readRange } from '../../src/http/jobs/artifact.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { chat, type JobsClient, jobsClient } from '../support/jobs-client.ts'
import { transcriptModels } from '../support/transcript-models.ts'

const LIMIT = 262_144
const SIZES = [0, LIMIT - 1, LIMIT, LIMIT + 1, 8 * 1024 ** 2, 64 * 1024 ** 2]

let simulator: Simulator
let foreman: RunningForeman
let jobs: JobsClient
let id: string

beforeAll(async () => {
  simulator = await startSimulator({ models: transcriptModels })
  foreman = await runForeman(simulator.url)
  await polled(foreman)
  jobs = jobsClient(foreman)
  id = await jobs.submit(chat('hi'))
  await jobs.finished(id)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

/** Puts an artifact beside the completion, as a later kind of job would. */
const put = (name: string, contentType: string, body: Uint8Array) => {
  const db = new Database(join(foreman.dataDir, 'foreman.db'))
  db.query(
    'INSERT INTO artifacts (job_seq, name, content_type, body) SELECT seq, ?2, ?3, ?4 FROM jobs WHERE id = ?1',
  ).run(id, name, contentType, body)
  db.close()
}
const sha256 = (body: Uint8Array) => createHash('sha256').update(body).digest('hex')
const fetchBytes = async (name: string, headers: Record<string, string> = {}) => {
  const answer = await fetch(`${foreman.url}/jobs/${id}/artifacts/${name}`, { headers })
  return { status: answer.status, headers: answer.headers, bytes: new Uint8Array(await answer.arrayBuffer()) }
}

describe('sizes', () => {
  test('0 bytes, around the limit, 8 MiB and 64 MiB come back to the byte, inline exactly up to the limit', async () => {
    for (const size of SIZES) {
      const body = new Uint8Array(size)
      for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(body.subarray(at, Math.min(size, at + 65_536)))
      const name = `size-${size}`
      put(name, 'application/octet-stream', body)
      const fetched = await fetchBytes(name)
      expect(sha256(fetched.bytes)).toBe(sha256(body))
      expect(fetched.headers.get('etag')).toBe(`"${sha256(body)}"`)
      expect(fetched.headers.get('content-length')).toBe(String(size))
      const artifact = (await jobs.show(id)).artifacts.find((a) => a.name === name)
      const isInline = size <= LIMIT
      expect(artifact).toMatchObject({ size, url: isInline ? null : `/jobs/${id}/artifacts/${name}` })
      expect(artifact?.inline).toEqual(isInline ? Buffer.from(body).toString('base64') : null)
    }
    figure('W7', `${SIZES.length} sizes from 0 to 64 MiB: sha256 equal, inline exactly up to ${LIMIT}`)
  }, 60_000)

  test('the completion is the result, byte for byte', async () => {
    const { bytes, headers } = await fetchBytes('completion')
    expect(JSON.parse(new TextDecoder().decode(bytes))).toEqual((await jobs.show(id)).result)
    expect(headers.get('content-type')).toBe('application/json')
  })
})

describe('conditions and ranges', () => {
  test('If-None-Match with its ETag is 304 without a body', async () => {
    const etag = (await fetchBytes('completion')).headers.get('etag') ?? ''
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await fetchBytes('completion', { 'if-none-match': known })
      expect({ known, status: again.status, length: again.bytes.length }).toEqual({ known, status: 304, length: 0 })
      expect(again.headers.get('etag')).toBe(etag)
    }
    expect((await fetchBytes('completion', { 'if-none-match': '"other"' })).status).toBe(200)
  })

  test('2,000 random ranges give exactly those bytes, or 416 with the size', async () => {
    const body = crypto.getRandomValues(new Uint8Array(1_000))
    put('ranged', 'application/octet-stream', body)
    const dice = createDice(seedOf('ranges'))
    for (let i = 0; i < 2_000; i++) {
      const [a, b] = [dice.between(0, 1_100), dice.between(0, 1_100)]
      const range = dice.pick([`bytes=${a}-${b}`, `bytes=${a}-`, `bytes=-${b}`, `Bytes = ${a} - ${a + b}`])
      const wanted = readRange(range, body.length)
      const { status, bytes, headers } = await fetchBytes('ranged', { range })
      if (wanted.kind === 'unsatisfiable') {
        expect({ range, status }).toEqual({ range, status: 416 })
        expect(headers.get('content-range')).toBe('bytes */1000')
      } else if (wanted.kind === 'whole') expect({ range, status }).toEqual({ range, status: 200 })
      else {
        expect({ range, status }).toEqual({ range, status: 206 })
        expect(headers.get('content-range')).toBe(`bytes ${wanted.start}-${wanted.end}/1000`)
        expect(sha256(bytes)).toBe(sha256(body.subarray(wanted.start, wanted.end + 1)))
      }
    }
  })

  test('a range is what RFC 9110 says it is', () => {
    const part = (start: number, end: number) => ({ kind: 'part' as const, start, end })
    const cases: readonly (readonly [string | null, number, ReturnType<typeof readRange>])[] = [
      [null, 10, { kind: 'whole' }],
      ['bytes=0-0', 10, part(0, 0)],
      ['bytes=2-', 10, part(2, 9)],
      ['bytes=2-99', 10, part(2, 9)],
      ['bytes=-3', 10, part(7, 9)],
      ['bytes=-99', 10, part(0, 9)],
      ['bytes=-0', 10, { kind: 'unsatisfiable' }],
      ['bytes=10-', 10, { kind: 'unsatisfiable' }],
      ['bytes=0-', 0, { kind: 'unsatisfiable' }],
      ['bytes=5-2', 10, { kind: 'whole' }],
      ['bytes=0-1,3-4', 10, { kind: 'whole' }],
      ['lines=0-1', 10, { kind: 'whole' }],
      ['bytes=-', 10, { kind: 'whole' }],
    ]
    for (const [header, size, wanted] of cases)
      expect({ header, got: readRange(header, size) }).toEqual({ header, got: wanted })
  })

  test('If-Range with another ETag gives the whole', async () => {
    const headers = { range: 'bytes=0-1', 'if-range': '"old"' }
    expect((await fetchBytes('completion', headers)).status).toBe(200)
  })

  test('HEAD says the size and sends nothing', async () => {
    put('sized', 'application/octet-stream', new Uint8Array(1_000))
    const answer = await fetch(`${foreman.url}/jobs/${id}/artifacts/sized`, { method: 'HEAD' })
    expect(answer.headers.get('content-length')).toBe('1000')
    expect((await answer.arrayBuffer()).byteLength).toBe(0)
  })
})

test('what a model wrote never runs as a page', async () => {
  put('page.html', 'text/html', new TextEncoder().encode('<script>alert(1)</script>'))
  const { headers } = await fetchBytes('page.html')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('content-security-policy')).toContain('sandbox')
})
