/** Alerts as their receivers get them, over real sockets, and the signs of life beside them. */
import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { definePart, type PartPlan, type PartPorts } from '../../src/engine/part.ts'
import { alerts } from '../../src/parts/alerts/index.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { type Listener, startListener } from '../support/listener.ts'
import { temporaryDirectory } from '../support/store.ts'

let listener: Listener | undefined
let foreman: RunningForeman | undefined
afterEach(async () => {
  await foreman?.stop()
  await listener?.stop()
  foreman = undefined
  listener = undefined
})

/** A part that lets the test raise alarms. */
const troubled = () => {
  let ports: PartPorts<object> | undefined
  const plan: PartPlan = definePart({
    name: 'trouble',
    settings: {},
    create: async (given) => {
      ports = given
      return { start: () => undefined, stop: async () => undefined }
    },
  })
  return { plan, ports: () => ports as PartPorts<object> }
}

const start = async (env: Record<string, string>, factor = 60) => {
  listener ??= startListener()
  const trouble = troubled()
  foreman = await runForeman(
    'http://127.0.0.1:9',
    { FOREMAN_ALERT_URL: listener.url, ...env },
    {
      plans: [trouble.plan, alerts],
      clock: createHastyClock(factor),
    },
  )
  return { ...trouble.ports(), listener, foreman }
}

test('JSON for programs: what is wrong, since when, and that it is over', async () => {
  const { alarm, listener } = await start({ FOREMAN_ALERT_TOKEN: 'tk_secret' })
  alarm('down', 'three inferences in a row failed')
  const [fired] = await listener.until(1)
  expect(fired?.headers.get('authorization')).toBe('Bearer tk_secret')
  const body = JSON.parse(fired?.text ?? '') as Record<string, string>
  expect(body).toMatchObject({ source: 'foreman', part: 'trouble', alert: 'down', state: 'fired' })
  expect(body['message']).toBe('three inferences in a row failed')
  alarm('down', null)
  const [, resolved] = await listener.until(2)
  expect(JSON.parse(resolved?.text ?? '')).toMatchObject({ alert: 'down', state: 'resolved', since: body['since'] })
})

test("Slack's shape, with its markup escaped", async () => {
  const { alarm, listener } = await start({ FOREMAN_ALERT_FORMAT: 'slack' })
  alarm('disk', '3 MiB < 5 % & falling')
  const [one] = await listener.until(1)
  expect(JSON.parse(one?.text ?? '')).toEqual({
    text: expect.stringMatching(/^\*ALERT\* foreman on \S+: 3 MiB &lt; 5 % &amp; falling\.$/),
  })
})

test("ntfy's shape: the words are the body, and its headers are ASCII", async () => {
  const { happened, listener } = await start({ FOREMAN_ALERT_FORMAT: 'ntfy' })
  happened('restarted', 'Ollama wurde neu gestartet: Gerät weg')
  const [one] = await listener.until(1)
  expect(one?.text).toBe('Ollama wurde neu gestartet: Gerät weg.')
  expect(one?.headers.get('title')).toMatch(/^NOTE foreman on \S+: restarted$/)
  expect(one?.headers.get('priority')).toBe('3')
  expect(one?.headers.get('tags')).toBe('information_source')
})

test('a receiver that refuses and then is away is told in the end, once', async () => {
  listener = startListener((count) => (count <= 2 ? 500 : 204))
  const { alarm, foreman } = await start({})
  alarm('down', 'it hangs')
  const heard = await listener.until(3)
  expect(heard.map(({ text }) => JSON.parse(text).state)).toEqual(['fired', 'fired', 'fired'])
  alarm('down', null)
  expect(JSON.parse((await listener.until(4))[3]?.text ?? '').state).toBe('resolved')
  expect(foreman.lines.filter((line) => line.includes('alert_not_taken')).length).toBe(2)
})

test('what was told before a restart is ended after it', async () => {
  const dataDir = temporaryDirectory()
  const { alarm, foreman: first } = await start({ FOREMAN_DATA_DIR: dataDir })
  alarm('down', 'it hangs')
  await listener?.until(1)
  await first.stop()
  const again = await start({ FOREMAN_DATA_DIR: dataDir }, 200)
  const heard = await again.listener.until(2)
  expect(heard.map(({ text }) => JSON.parse(text).state)).toEqual(['fired', 'resolved'])
})

test('a queue that is older than allowed is an alarm, and nothing of it is told without the setting', async () => {
  const { listener, foreman } = await start({ FOREMAN_ALERT_QUEUE_AGE: '1m' }, 600)
  await fetch(`${foreman.url}/jobs`, { method: 'POST', body: JSON.stringify({ model: 'a', prompt: 'hi' }) })
  const [one] = await listener.until(1)
  expect(JSON.parse(one?.text ?? '')).toMatchObject({ part: 'alerts', alert: 'queue_age', state: 'fired' })
  const health = (await (await fetch(`${foreman.url}/healthz`)).json()) as { alarms: { name: string }[] }
  expect(health.alarms.map(({ name }) => name)).toEqual(['queue_age'])
})

test("a heartbeat file is touched and a dead man's switch is called, again and again", async () => {
  const file = join(temporaryDirectory(), 'heartbeat')
  listener = startListener()
  await start({ FOREMAN_ALERT_URL: '', FOREMAN_HEARTBEAT_FILE: file, FOREMAN_HEARTBEAT_URL: `${listener.url}/ping` })
  const beats = await listener.until(3)
  expect(beats.map(({ method, path }) => `${method} ${path}`)).toEqual(Array(3).fill('GET /ping'))
  expect(existsSync(file)).toBe(true)
  expect(readFileSync(file, 'utf8')).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z\n$/)
})

test('with nothing set nothing is posted and nothing watched', async () => {
  const { alarm, foreman } = await start({ FOREMAN_ALERT_URL: '' })
  alarm('down', 'it hangs')
  await foreman.logged('alarm')
  expect(listener?.receipts).toEqual([])
})
