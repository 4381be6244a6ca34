/** GET /jobs/{id}/events: transitions first and resumable, chunks as they come, and a slow reader harms nobody. */
import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { type EventClient, followEvents, type SeenEvent } from '../support/event-client.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { chat, type JobsClient, jobsClient } from '../support/jobs-client.ts'
import { chunkOf, type PacedTarget, startPacedTarget } from '../support/paced-target.ts'
import { get } from '../support/raw-client.ts'
import { transcriptModels } from '../support/transcript-models.ts'
import { openClient } from '../support/wire-client.ts'

const CHUNKS = 200

let target: PacedTarget
let foreman: RunningForeman
let jobs: JobsClient
const open: EventClient[] = []

beforeAll(async () => {
  target = startPacedTarget()
  foreman = await runForeman(target.url)
  await polled(foreman)
  jobs = jobsClient(foreman)
})
afterEach(() => {
  for (const client of open.splice(0)) client.close()
})
afterAll(async () => {
  await foreman.stop()
  target.stop()
})

const follow = async (id: string, rest = '', headers = {}) => {
  const client = await followEvents(`${foreman.url}/jobs/${id}/events${rest}`, headers)
  open.push(client)
  return client
}
const statesOf = (events: readonly SeenEvent[]) =>
  events.filter(({ event }) => event === 'transition').map(({ id, data }) => `${id} ${JSON.parse(data).state}`)
const chunksOf = (events: readonly SeenEvent[]) => events.filter(({ event }) => event === 'chunk').map((e) => e.data)
const contentIs = (content: string) => (e: SeenEvent) => e.event === 'chunk' && `${e.data}\n` === chunkOf(content)

test('a follower gets every transition, then each chunk as the target said it, and the stream ends with the final one', async () => {
  const id = await jobs.submit(chat('hi'))
  await target.begun()
  const client = await follow(id)
  await client.until(({ data }) => data.includes('"working"'))
  target.say(chunkOf('Grüße'))
  await client.until(contentIs('Grüße'))
  target.finish()
  await client.ended
  expect(statesOf(client.events)).toEqual(['1 queued', '2 loading', '3 working', '4 done'])
  expect(chunksOf(client.events).length).toBe(2)
  const last = client.events.at(-1)
  expect(JSON.parse(last?.data ?? '')).toEqual({
    job_id: id,
    state: 'done',
    previous_state: 'working',
    sequence: 4,
    timestamp: (await jobs.show(id)).completed_at,
    model: 'tiny',
    attempt: 1,
    served_by: 'target',
    served_model: 'tiny',
    error: null,
    result: (await jobs.show(id)).result,
  })
})

test('a chunk is with the follower within 20 ms after the target sent it', async () => {
  const id = await jobs.submit(chat('hi'))
  await target.begun()
  const client = await follow(id)
  await client.until(({ data }) => data.includes('"working"'))
  const lags: number[] = []
  for (let i = 0; i < CHUNKS; i++) {
    const said = target.say(chunkOf(`word ${i}`))
    lags.push((await client.until(contentIs(`word ${i}`))).at - said)
  }
  target.finish()
  await client.ended
  const [first = Number.NaN] = lags
  const sorted = lags.toSorted((a, b) => a - b)
  const p50 = sorted[CHUNKS / 2] ?? Number.NaN
  const most = sorted.at(-1) ?? Number.NaN
  figure(
    'events',
    `first chunk ${first.toFixed(1)} ms, p50 ${p50.toFixed(1)} ms, max ${most.toFixed(1)} ms of ${CHUNKS}`,
  )
  expect(first).toBeLessThanOrEqual(20)
  expect(p50).toBeLessThanOrEqual(20)
})

test('who comes in the middle of a line is given whole lines only, however the target cuts them', async () => {
  const id = await jobs.submit(chat('hi'))
  await target.begun()
  const early = await follow(id)
  await early.until(({ data }) => data.includes('"working"'))
  const cut = chunkOf('{"cut": "in two"}')
  target.say(`${chunkOf('one')}${cut.slice(0, 60)}`)
  await early.until(contentIs('one'))
  const late = await follow(id)
  await late.until(({ data }) => data.includes('"working"'))
  target.say(`${cut.slice(60)}${chunkOf('three')}`)
  await late.until(contentIs('three'))
  target.finish()
  await Promise.all([early.ended, late.ended])
  expect(chunksOf(early.events).slice(0, 3)).toEqual([chunkOf('one'), cut, chunkOf('three')].map((line) => line.trim()))
  // The running attempt's chunks so far are given to who comes late, so nothing of the answer is missing.
  expect(chunksOf(late.events).slice(0, 3)).toEqual(chunksOf(early.events).slice(0, 3))
})

test('Last-Event-ID and last_event_id go on after that transition; with nothing left the answer is 204', async () => {
  const id = await jobs.submit(chat('hi'))
  await target.begun()
  const client = await follow(id, '', { 'last-event-id': '2' })
  await client.until(({ id: sequence }) => sequence === '3')
  target.finish()
  await client.ended
  expect(statesOf(client.events)).toEqual(['3 working', '4 done'])
  const again = await follow(id, '?last_event_id=3')
  await again.ended
  expect(statesOf(again.events)).toEqual(['4 done'])
  const whole = await follow(id)
  await whole.ended
  expect(statesOf(whole.events)).toEqual(['1 queued', '2 loading', '3 working', '4 done'])
  expect((await jobs.call('GET', `/jobs/${id}/events`, { headers: { 'last-event-id': '4' } })).status).toBe(204)
  expect((await jobs.call('GET', `/jobs/${id}/events?last_event_id=x`)).status).toBe(422)
  // What an EventSource does that began with a query: the header is how far it has come.
  const resumed = await jobs.call('GET', `/jobs/${id}/events?last_event_id=2`, { headers: { 'last-event-id': '4' } })
  expect(resumed.status).toBe(204)
})

test('a number that the job has not come to yet belongs elsewhere: it begins anew and does not miss its end', async () => {
  const id = await jobs.submit(chat('hi'))
  await target.begun()
  const client = await follow(id, '', { 'last-event-id': '99' })
  target.say(chunkOf('one'))
  await client.until(({ data }) => data.includes('one'))
  target.finish()
  await client.ended
  expect(statesOf(client.events)).toEqual(['1 queued', '2 loading', '3 working', '4 done'])
})

test('a cancelled job ends its stream, and one that waits is followed from there', async () => {
  const running = await jobs.submit(chat('hi'))
  await target.begun()
  const waiting = await jobs.submit(chat('next'))
  const client = await follow(waiting)
  await client.until(({ data }) => data.includes('"queued"'))
  await jobs.call('DELETE', `/jobs/${waiting}`)
  await client.ended
  expect(statesOf(client.events)).toEqual(['1 queued', '2 cancelled'])
  target.finish()
  await jobs.finished(running)
})

test('a reader that stops reading loses chunks but no transition, is told so, and holds nobody up', async () => {
  const simulator = await startSimulator({ models: transcriptModels })
  const busy = await runForeman(simulator.url)
  try {
    await polled(busy)
    const client = jobsClient(busy)
    // Opened before the work begins, behind a job that waits for it.
    const first = await client.submit(chat('[[silent=60000]]'))
    const id = await client.submit(chat('[[chunk=65536]] [[n=600]]'))
    const slow = await openClient(busy.port)
    const { answer } = slow.send(get(`/jobs/${id}/events`))
    slow.pause()
    await client.reaches(first, 'working')
    await client.call('DELETE', `/jobs/${first}`)
    expect((await client.finished(id)).state).toBe('done')
    slow.resume()
    const { body, ending } = await answer
    slow.close()
    expect(ending).toBe('complete')
    const text = body.toString()
    const chunks = text.split('event: chunk').length - 1
    const [, dropped = '0'] = /(\d+) chunks were dropped/.exec(text) ?? []
    figure('events', `a stalled reader of 600 chunks of 64 KiB: ${chunks} sent, the rest dropped, 0 transitions lost`)
    expect(chunks).toBeLessThan(600)
    expect(Number(dropped) + chunks).toBeGreaterThanOrEqual(600)
    for (const sequence of [1, 2, 3, 4]) expect(text).toContain(`\nid: ${sequence}\n`)
  } finally {
    await busy.stop()
    await simulator.stop()
  }
})
