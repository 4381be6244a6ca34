/** What a page on the internet can do to a default foreman in a real browser: nothing, read nor unread; and an allowed page everything. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type Browser, chromiumPath, startChromium } from '../support/chromium.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { type Receiver, startReceiver } from '../support/receiver.ts'

const isHere = chromiumPath() !== null

let simulator: Simulator
let foreman: RunningForeman
let browser: Browser
let pages: ReturnType<typeof Bun.serve>
let receiver: Receiver

beforeAll(async () => {
  if (!isHere) return
  const page = () => new Response('<!doctype html><title>page</title>', { headers: { 'Content-Type': 'text/html' } })
  pages = Bun.serve({ port: 0, hostname: '127.0.0.1', development: false, fetch: page })
  browser = await startChromium(['evil.example', 'rebound.example'])
}, 60_000)
afterAll(async () => {
  if (!isHere) return
  await browser.stop()
  await pages.stop(true)
})
beforeEach(async () => {
  if (!isHere) return
  simulator = await startSimulator({ models: [{ name: 'tiny' }, { name: 'other' }] })
  foreman = await runForeman(simulator.url)
  await polled(foreman)
  receiver = startReceiver()
})
afterEach(async () => {
  if (!isHere) return
  await receiver.stop()
  await foreman.stop()
  await simulator.stop()
})

/** Everything that a page might try, at `base`; what it could read of each answer. */
const attack = (base: string) => `
  const chat = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: '[[n=1]]' }], stream: false })
  const job = JSON.stringify({ model: 'tiny', prompt: '[[n=1]]', state_webhook_url: ${JSON.stringify(receiver.url)} })
  const text = { 'Content-Type': 'text/plain' }
  const json = { 'Content-Type': 'application/json' }
  const tries = [
    ['/api/tags', {}], ['/healthz', {}], ['/jobs', {}], ['/metrics', {}], ['/swagger/json', {}], ['/', {}],
    ['/jobs', { method: 'POST', body: job, headers: text }],
    ['/jobs', { method: 'POST', body: job, headers: text, mode: 'no-cors' }],
    ['/jobs', { method: 'POST', body: job, headers: json }],
    ['/api/chat', { method: 'POST', body: chat, headers: text }],
    ['/api/chat', { method: 'POST', body: chat, headers: text, mode: 'no-cors' }],
    ['/api/chat', { method: 'POST', body: chat, headers: json }],
    ['/v1/chat/completions', { method: 'POST', body: chat, headers: text, mode: 'no-cors' }],
    ['/api/delete', { method: 'DELETE', body: '{"model":"other"}' }],
    ['/api/pull', { method: 'POST', body: '{"model":"more","stream":false}', headers: text, mode: 'no-cors' }],
    ['/api/unknown', { method: 'POST', body: chat, headers: text, mode: 'no-cors' }],
    ['/api/generate', { method: 'POST', body: '{"model":"tiny","keep_alive":0}', headers: text, mode: 'no-cors' }],
  ]
  const seen = []
  for (const [path, options] of tries) {
    try {
      const response = await fetch(${JSON.stringify(base)} + path, options)
      seen.push({ path, status: response.status, bytes: (await response.text()).length })
    } catch (error) { seen.push({ path, status: 0, bytes: 0 }) }
  }
  const stream = await new Promise((over) => {
    const source = new EventSource(${JSON.stringify(base)} + '/jobs/x/events')
    source.onopen = () => over('open')
    source.onerror = () => over('refused')
  })
  return { seen, stream }
`

interface Seen {
  readonly seen: readonly { readonly path: string; readonly status: number; readonly bytes: number }[]
  readonly stream: string
}

const state = async () => {
  const { jobs } = (await (await fetch(`${foreman.url}/jobs`)).json()) as { jobs: unknown[] }
  const { models } = (await (await fetch(`${foreman.url}/api/tags`)).json()) as { models: { name: string }[] }
  const { loads } = simulator.counters()
  return { jobs: jobs.length, loads, models: models.map(({ name }) => name).sort(), told: receiver.receipts.length }
}

const nothing = { jobs: 0, loads: 0, models: ['other:latest', 'tiny:latest'], told: 0 }

// Without the program the tests count as skipped, and their name says why.
describe(isHere ? 'in a real browser' : 'in a real browser (chromium is not installed)', () => {
  for (const [what, urls] of [
    ['a foreign page', () => [`http://evil.example:${pages.port}/`, foreman.url]],
    ['a page whose name was rebound', () => [`http://rebound.example:${foreman.port}/`, '']],
  ] as const)
    test.if(isHere)(
      `${what} reads 0 bytes, makes 0 jobs and has 0 models loaded`,
      async () => {
        const [page = '', base = ''] = urls()
        const { seen, stream } = (await browser.run(page, attack(base))) as Seen
        const bytes = seen.reduce((sum, one) => sum + one.bytes, 0)
        expect(seen.filter(({ status }) => status !== 0 && status !== 403)).toEqual([])
        expect([bytes, stream, await state()]).toEqual([0, 'refused', nothing])
        figure('S5', `${what} in Chromium: ${seen.length} tries, ${bytes} bytes read, 0 jobs, 0 loads`)
      },
      60_000,
    )

  test.if(isHere)(
    'the same page on an allowed origin does all of it',
    async () => {
      const { seen } = (await browser.run(`http://localhost:${pages.port}/`, attack(foreman.url))) as Seen
      const readable = seen.filter(({ status }) => status !== 0)
      expect(seen.filter(({ path, status }) => path === '/api/tags' && status === 200)).toHaveLength(1)
      expect(readable.every(({ bytes, path }) => bytes > 0 || path === '/api/delete')).toBe(true)
      const { jobs, loads, models } = await state()
      expect(jobs).toBeGreaterThanOrEqual(3)
      expect(loads).toBeGreaterThanOrEqual(1)
      expect(models).not.toContain('other:latest')
    },
    60_000,
  )
})
