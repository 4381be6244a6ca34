/** The longest time that one request of the largest size keeps everybody else waiting. A job's body is written and read in pieces. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import { figure } from '../support/figures.ts'
import { type SpawnedForeman, spawnForeman } from '../support/spawned-foreman.ts'

const MB = 1024 ** 2
const STALL_MAX_MS = 50

const answers: Record<string, unknown> = {
  '/api/tags': { models: [{ name: 'tiny:latest', model: 'tiny:latest', digest: 'x', size: 1, details: {} }] },
  '/api/ps': { models: [] },
  '/api/version': { version: '0.33.0' },
  '/api/show': { capabilities: ['completion'], details: {}, model_info: {} },
}
const done = { model: 'tiny', message: { role: 'assistant', content: '' }, response: '', embeddings: [], done: true }

let target: ReturnType<typeof Bun.serve>
let foreman: SpawnedForeman
let pinger: Worker

const tell = (message: unknown): Promise<number> =>
  new Promise((resolve) => {
    pinger.onmessage = ({ data }) => resolve(Number(data))
    pinger.postMessage(message)
  })

beforeAll(async () => {
  target = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    development: false,
    maxRequestBodySize: 1024 * MB,
    async fetch(request) {
      for await (const _ of request.body ?? []);
      return Response.json(answers[new URL(request.url).pathname] ?? done)
    },
  })
  foreman = await spawnForeman(`http://127.0.0.1:${target.port}`)
  pinger = new Worker(join(import.meta.dir, '../support/pinger.ts'))
  await tell({ port: foreman.port })
}, 60_000)
afterAll(async () => {
  pinger.terminate()
  await foreman.kill()
  await target.stop(true)
})

const members = (count: number) => Array.from({ length: count }, (_, i) => `"k${i}":1`).join(',')
const string = 'x'.repeat(120 * MB)
const bodies: Record<string, readonly [path: string, body: () => string, type?: string]> = {
  'four million members': ['/api/chat', () => `{"model":"tiny","messages":[],${members(4_000_000)}}`],
  'four million members in options': [
    '/api/chat',
    () => `{"model":"tiny","messages":[],"options":{${members(4_000_000)}}}`,
  ],
  'thirty million numbers': [
    '/api/chat',
    () => `{"model":"tiny","stream":false,"messages":[],"x":[${'1,'.repeat(30_000_000)}1]}`,
  ],
  'one string': ['/api/generate', () => `{"model":"tiny","stream":false,"prompt":"${string}"}`],
  'nothing but escapes': ['/api/generate', () => `{"model":"tiny","stream":false,"prompt":"${'\\n'.repeat(60 * MB)}"}`],
  'nothing but blanks': ['/api/generate', () => `{"model":"tiny","stream":false,"prompt":"x"${' '.repeat(120 * MB)}}`],
  'a long model': ['/api/chat', () => `{"model":"${string}","messages":[]}`],
  'an embedding': ['/api/embed', () => `{"model":"tiny","input":"${string}"}`],
  'a show': ['/api/show', () => `{"model":"tiny","x":"${string}"}`],
  'a job': ['/jobs', () => `{"model":"tiny","prompt":"${string}"}`],
  'a form': [
    '/v1/audio/transcriptions',
    () =>
      `--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n${string}\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n--b--\r\n`,
    'multipart/form-data; boundary=b',
  ],
}

for (const [what, [path, body, type = 'application/json']] of Object.entries(bodies))
  test(`${what}, as large as may be, keeps nobody waiting for more than ${STALL_MAX_MS} ms`, async () => {
    const bytes = Buffer.from(body(), 'latin1')
    await tell('begin')
    // A job is answered when it is done: its body is read again, and sent.
    const headers = { 'Content-Type': type, ...(path === '/jobs' && { Prefer: 'wait=60' }) }
    const response = await fetch(foreman.url + path, { method: 'POST', body: bytes, headers })
    await response.arrayBuffer()
    const stallMs = await tell('end')
    figure(
      'R6',
      `${what}, ${Math.round(bytes.length / MB)} MB: others waited ${stallMs.toFixed(0)} ms at most (${response.status})`,
    )
    expect([200, 400]).toContain(response.status)
    expect(stallMs).toBeLessThanOrEqual(STALL_MAX_MS)
  }, 120_000)
