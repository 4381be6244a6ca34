/** Jobs that nobody waits for: they stay with the target unless they say otherwise, and then pass the same states and tell who did them. */
import { afterEach, expect, test } from 'bun:test'
import { startEchoServer } from '../../support/echo-server.ts'
import { type RunningForeman, runForeman } from '../../support/foreman.ts'
import { freePort } from '../../support/stand-in.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const start = async (env: Record<string, string> = {}, target = `http://127.0.0.1:${freePort()}`) => {
  const laptop = startEchoServer(['small'])
  stops.push(laptop.stop)
  const foreman = await runForeman(target, {
    FOREMAN_FALLBACK_URL: laptop.url,
    FOREMAN_FALLBACK_MODELS: 'big=small',
    FOREMAN_FALLBACK_AFTER: '50ms',
    ...env,
  })
  stops.push(foreman.stop)
  return { laptop, foreman }
}

const submit = async ({ url }: RunningForeman, more: object, headers: Record<string, string> = {}) => {
  const body = JSON.stringify({ model: 'big', messages: [{ role: 'user', content: 'hi' }], ...more })
  const response = await fetch(`${url}/jobs`, { method: 'POST', body, headers })
  return { status: response.status, json: (await response.json()) as Record<string, unknown> }
}

const show = async ({ url }: RunningForeman, id: unknown, wait = '') =>
  (await (await fetch(`${url}/jobs/${id}${wait}`)).json()) as Record<string, unknown>

test('a job that may is done by the fallback, state by state, and its webhook says who did it', async () => {
  const told: Record<string, unknown>[] = []
  const done = Promise.withResolvers<void>()
  const receiver = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      told.push((await request.json()) as Record<string, unknown>)
      if (told.at(-1)?.['state'] === 'done') done.resolve()
      return new Response()
    },
  })
  stops.push(() => receiver.stop(true))
  const { laptop, foreman } = await start()
  const url = `http://127.0.0.1:${receiver.port}/hook`
  const waits = await submit(foreman, {})
  const never = await submit(foreman, { fallback: 'never' })
  const { status, json } = await submit(foreman, { fallback: 'auto', state_webhook_url: url })
  expect(status).toBe(202)
  const job = await show(foreman, json['job_id'], '?wait=20s')
  expect(job).toMatchObject({ state: 'done', attempt: 1, served_by: 'fallback', served_model: 'small', model: 'big' })
  expect((job['result'] as { done: boolean; model: string }).model).toBe('small')
  await done.promise
  expect(told.map(({ state, served_by, served_model }) => [state, served_by, served_model])).toEqual([
    ['queued', null, null],
    ['loading', null, null],
    ['working', null, null],
    ['done', 'fallback', 'small'],
  ])
  expect(laptop.asked.map(({ body }) => JSON.parse(body).model)).toEqual(['small'])
  expect(laptop.asked[0]?.body).not.toContain('fallback')
  // What is put on a job for the target's sake stays there.
  expect(laptop.asked[0]?.body).not.toContain('keep_alive')
  for (const other of [waits, never])
    expect(await show(foreman, other.json['job_id'])).toMatchObject({ state: 'queued', served_by: null })
  expect(foreman.lines.find((line) => line.includes('"job_done"'))).toContain('"served_by":"fallback"')
})

test('many of them one after the other, and one that nobody there can do waits on', async () => {
  const { laptop, foreman } = await start()
  const jobs = await Promise.all(
    Array.from({ length: 12 }, (_, i) => submit(foreman, { fallback: 'auto', prompt: `${i}`, messages: undefined })),
  )
  const other = await submit(foreman, { fallback: 'auto', model: 'other' })
  for (const { json } of jobs)
    expect(await show(foreman, json['job_id'], '?wait=20s')).toMatchObject({ state: 'done', served_by: 'fallback' })
  expect(await show(foreman, other.json['job_id'])).toMatchObject({ state: 'queued' })
  expect(laptop.asked.length).toBe(12)
})

test('jobs that nobody there can do keep none behind them from it', async () => {
  const { laptop, foreman } = await start()
  for (let i = 0; i < 3; i++) await submit(foreman, { fallback: 'auto', model: 'other' })
  const { json } = await submit(foreman, { fallback: 'auto' })
  expect(await show(foreman, json['job_id'], '?wait=20s')).toMatchObject({ state: 'done', served_by: 'fallback' })
  expect(laptop.asked.length).toBe(1)
})

test('one that is cancelled while the fallback works on it is cancelled there', async () => {
  const { laptop, foreman } = await start()
  const begun = Promise.withResolvers<void>()
  laptop.says = () => {
    begun.resolve()
    return new Promise<Response>(() => undefined)
  }
  const { json } = await submit(foreman, { fallback: 'auto' })
  await begun.promise
  expect(await show(foreman, json['job_id'])).toMatchObject({ state: 'working', attempt: 1 })
  const cancelled = await fetch(`${foreman.url}/jobs/${json['job_id']}`, { method: 'DELETE' })
  expect([cancelled.status, (await cancelled.json()) as unknown]).toMatchObject([200, { state: 'cancelled' }])
})

test('what the target does says so too; a token’s never is the last word', async () => {
  const target = startEchoServer(['big'])
  stops.push(target.stop)
  const { foreman } = await start(
    { FOREMAN_TOKENS: 'alice=token-of-alice,ci=token-of-ci', FOREMAN_FALLBACK_CLIENTS: 'alice=never' },
    target.url,
  )
  const as = (name: string) => ({ Authorization: `Bearer token-of-${name}` })
  const asked = async (name: string, path: string) =>
    (await (await fetch(`${foreman.url}${path}`, { headers: as(name) })).json()) as Record<string, unknown>
  const first = await submit(foreman, { fallback: 'auto' }, as('ci'))
  expect(await asked('ci', `/jobs/${first.json['job_id']}?wait=20s`)).toMatchObject({
    state: 'done',
    served_by: 'target',
    served_model: 'big',
  })
  await target.stop()
  const hers = await submit(foreman, { fallback: 'auto' }, as('alice'))
  const his = await submit(foreman, { fallback: 'auto' }, as('ci'))
  expect(await asked('ci', `/jobs/${his.json['job_id']}?wait=20s`)).toMatchObject({ served_by: 'fallback' })
  expect(await asked('alice', `/jobs/${hers.json['job_id']}`)).toMatchObject({ state: 'queued' })
  const call = (name: string) =>
    fetch(`${foreman.url}/api/chat`, {
      method: 'POST',
      headers: { ...as(name), 'X-Foreman-Fallback': 'auto', Prefer: 'wait=2' },
      body: '{"model":"big","messages":[{"role":"user","content":"hi"}]}',
    })
  const [alice, ci] = await Promise.all([call('alice'), call('ci')])
  expect([alice.status, ci.status, ci.headers.get('x-foreman-served-by')]).toEqual([503, 200, 'fallback'])
  expect((await fetch(`${foreman.url}/jobs`, { headers: as('nobody') })).status).toBe(401)
  expect(foreman.lines.join('')).not.toContain('token-of')
})

test.each([
  ['only', '"only"'],
  [true, 'true'],
  [{}, '{}'],
])('a job whose fallback is %p is refused with what is allowed', async (value, shown) => {
  const { foreman } = await start()
  const { status, json } = await submit(foreman, { fallback: value })
  expect([status, json['detail']]).toEqual([422, `fallback is ${shown}: expected "auto" or "never"`])
})
