/** /jobs as a caller sees it: submit, look, wait, list, cancel, and every refusal as problem+json. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { problems } from '../../src/domain/job/problem.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { healthIs, idle, polled } from '../support/health.ts'
import { chat, type JobsAnswer, type JobsClient, jobsClient } from '../support/jobs-client.ts'
import { post, rawClient } from '../support/raw-client.ts'
import { transcriptModels } from '../support/transcript-models.ts'

let simulator: Simulator
let foreman: RunningForeman
let jobs: JobsClient

beforeAll(async () => {
  simulator = await startSimulator({ models: transcriptModels })
  foreman = await runForeman(simulator.url, {
    FOREMAN_PUBLIC_URL: 'https://foreman.example.org/base/',
    FOREMAN_HOSTS: '*',
  })
  await polled(foreman)
  jobs = jobsClient(foreman)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const expectProblem = ({ status, headers, json }: JobsAnswer, code: keyof typeof problems, detail: RegExp) => {
  expect({ status, type: headers.get('content-type'), code: json['code'] }).toEqual({
    status: problems[code].status,
    type: 'application/problem+json',
    code,
  })
  expect(json).toMatchObject({ type: `/problems/${code}`, title: problems[code].title, status })
  expect(String(json['detail'])).toMatch(detail)
  expect(String(json['instance'])).toStartWith('/jobs')
}

/** Something on the worker that ends only when it is cancelled. */
const occupied = async () => {
  const id = await jobs.submit(chat('[[silent=60000]]'))
  await jobs.reaches(id, 'working')
  return { id, free: () => jobs.call('DELETE', `/jobs/${id}`) }
}

describe('submitting', () => {
  test('plain curl -d without any header of its own is enough', async () => {
    const client = await rawClient(foreman.port)
    client.send(post('/jobs', chat('hi'), ['Content-Type: application/x-www-form-urlencoded', 'Connection: close']))
    await client.closed()
    const [head, body] = client.received().split('\r\n\r\n')
    expect(head).toStartWith('HTTP/1.1 202')
    const accepted = JSON.parse(body ?? '') as Record<string, unknown>
    expect(Object.keys(accepted)).toEqual(['job_id', 'id', 'state', 'position', 'eta_seconds'])
    expect(head).toContain(`Location: https://foreman.example.org/base/jobs/${accepted['job_id']}`)
    expect(accepted).toMatchObject({ state: 'queued', position: 1 })
    expect((await jobs.finished(String(accepted['job_id']))).state).toBe('done')
  })

  test('a finished chat shows every member of the specification, and its answer as result and artifact', async () => {
    const job = await jobs.finished(await jobs.submit(chat('[[n=3]]')))
    expect(Object.keys(job)).toEqual(
      [
        'job_id id model state attempt max_attempts deferrals served_by served_model relief error result artifacts state_webhook_url webhook position eta_seconds',
        'created_at updated_at started_at completed_at usage',
      ]
        .join(' ')
        .split(' '),
    )
    expect(job).toMatchObject({
      model: 'tiny',
      state: 'done',
      attempt: 1,
      max_attempts: 3,
      deferrals: 0,
      served_by: 'target',
      served_model: 'tiny',
      relief: null,
      error: null,
      state_webhook_url: null,
      webhook: null,
      position: null,
      eta_seconds: null,
      result: { done: true, message: { role: 'assistant', content: 'tok0 tok1 tok2 ' } },
      usage: { completion_tokens: 3 },
    })
    const [artifact] = job.artifacts
    expect(artifact).toMatchObject({ name: 'completion', content_type: 'application/json', url: null })
    expect(artifact?.inline).toEqual(job.result)
    expect(artifact?.size).toBe(Buffer.byteLength(JSON.stringify(job.result)))
    for (const time of [job.created_at, job.updated_at, job.started_at, job.completed_at])
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  test('a generate payload runs as a generate, whatever it says about stream', async () => {
    const job = await jobs.finished(await jobs.submit({ model: 'tiny', prompt: '[[n=2]]', stream: false }))
    expect(job).toMatchObject({ state: 'done', result: { response: 'tok0 tok1 ', done: true } })
  })

  test('a failed job has no result and says why', async () => {
    const job = await jobs.finished(await jobs.submit(chat('hi', { model: 'embed' })))
    expect(job).toMatchObject({ state: 'failed', result: null, artifacts: [], error: { code: 'refused' } })
    expect(job.error?.message).toContain('does not support chat')
  })

  test('Prefer: wait gives the finished job at once when it is final in time', async () => {
    const answer = await jobs.call('POST', '/jobs', {
      body: JSON.stringify(chat('[[n=1]]')),
      headers: { prefer: 'wait=20' },
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('preference-applied')).toBe('wait=20')
    expect(answer.json).toMatchObject({ state: 'done', result: { done: true } })
  })

  test('Prefer: wait gives 202 when the job takes longer', async () => {
    const busy = await occupied()
    const answer = await jobs.call('POST', '/jobs', { body: JSON.stringify(chat('x')), headers: { prefer: 'wait=0' } })
    expect(answer.status).toBe(202)
    expect(answer.headers.get('preference-applied')).toBe('wait=0')
    await busy.free()
    await jobs.finished(String(answer.json['job_id']))
  })

  test('what cannot be a job is refused with the reason', async () => {
    const submit = (body: string, headers = {}) => jobs.call('POST', '/jobs', { body, headers })
    expectProblem(await submit(''), 'malformed', /empty/)
    expectProblem(await submit('{"model":'), 'malformed', /not JSON: unexpected EOF/)
    expectProblem(await submit('{"prompt":"x"}'), 'invalid', /model is missing/)
    expectProblem(await submit('{"model":"tiny","prompt":5}'), 'invalid', /prompt is a JSON number: expected a string/)
    expectProblem(await submit('{"model":"tiny","messages":"x"}'), 'invalid', /messages .*string: expected an array/)
    expectProblem(await submit('{"model":"tiny","prompt":"x","options":[]}'), 'invalid', /options .*expected an object/)
    const marked = await submit('\ufeff{"model":"tiny","prompt":"x"}')
    expect(marked.status).toBe(202)
    await jobs.finished(String(marked.json['job_id']))
    expectProblem(await submit('[]'), 'invalid', /JSON array/)
    expectProblem(await submit('{"model":"tiny"}'), 'invalid', /neither messages nor prompt/)
    expectProblem(await submit('{"model":"nope","prompt":"x"}'), 'model-not-installed', /"nope" is not installed/)
    const key = { 'idempotency-key': 'two words' }
    expectProblem(await submit(JSON.stringify(chat('x')), key), 'invalid', /idempotency-key .*visible ASCII/)
    const long = { 'idempotency-key': 'k'.repeat(256) }
    expectProblem(await submit(JSON.stringify(chat('x')), long), 'invalid', /idempotency-key/)
  })
})

describe('idempotency keys', () => {
  test('1,000 twins make one job, and another body with the key is refused', async () => {
    const body = JSON.stringify(chat('twin'))
    const headers = { 'idempotency-key': 'twins-1' }
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => jobs.call('POST', '/jobs', { body, headers })),
    )
    const ids = new Set(answers.map(({ json }) => json['job_id']))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
    expect(ids.size).toBe(1)
    const first = answers.filter(({ headers: h }) => h.get('idempotency-replayed') === null)
    expect(first.length).toBe(1)
    figure('Q8', `1,000 twins over HTTP: ${ids.size} job`)
    const other = await jobs.call('POST', '/jobs', { body: `${body} `, headers })
    expectProblem(other, 'idempotency-conflict', /another body/)
    await jobs.finished(String([...ids][0]))
  })
})

describe('the line', () => {
  test('position counts the older ready jobs from 1, is 0 on the worker and null when final', async () => {
    await idle(foreman)
    const busy = await occupied()
    const waiting: string[] = []
    for (let i = 0; i < 5; i++) waiting.push(await jobs.submit(chat(`${i}`)))
    const positions = async () => Promise.all(waiting.map(async (id) => (await jobs.show(id)).position))
    expect((await jobs.show(busy.id)).position).toBe(0)
    expect(await positions()).toEqual([1, 2, 3, 4, 5])
    expect((await jobs.call('DELETE', `/jobs/${waiting[1]}`)).json).toMatchObject({
      state: 'cancelled',
      position: null,
    })
    expect(await positions()).toEqual([1, null, 2, 3, 4])
    const page = (await jobs.call('GET', '/jobs?state=queued')).json['jobs'] as { id: string; position: number }[]
    expect(page.map(({ position }) => position)).toEqual([4, 3, 2, 1])
    await busy.free()
    await Promise.all(waiting.map((id) => jobs.finished(id)))
  })

  test('64 who submit at once are told 64 different places', async () => {
    await idle(foreman)
    const busy = await occupied()
    const body = JSON.stringify(chat('x'))
    const answers = await Promise.all(Array.from({ length: 64 }, () => jobs.call('POST', '/jobs', { body })))
    const positions = answers.map(({ json }) => Number(json['position'])).sort((a, b) => a - b)
    expect(positions).toEqual(Array.from({ length: 64 }, (_, i) => i + 1))
    await busy.free()
    await idle(foreman)
  })

  test('a job whose model ran lately has an ETA, an unknown one has none', async () => {
    await idle(foreman)
    // Once with a load and once without, so that both paces are known whatever ran before.
    await jobs.finished(await jobs.submit(chat('lately', { options: { num_ctx: 4_321 } })))
    await jobs.finished(await jobs.submit(chat('lately')))
    const busy = await occupied()
    const known = await jobs.show(await jobs.submit(chat('a')))
    expect(known.eta_seconds).toBeGreaterThanOrEqual(0)
    const unknown = await jobs.show(await jobs.submit(chat('a', { options: { num_ctx: 1_234 } })))
    expect(unknown.eta_seconds).toBeNull()
    await busy.free()
    await idle(foreman)
  })
})

describe('looking', () => {
  test('wait holds the answer until the job is final, or the time is over', async () => {
    const busy = await occupied()
    expect((await jobs.call('GET', `/jobs/${busy.id}?wait=20ms`)).json['state']).toBe('working')
    const held = jobs.call('GET', `/jobs/${busy.id}?wait=1m`)
    await busy.free()
    expect((await held).json['state']).toBe('cancelled')
  })

  test('a wait that is not a duration, negative or above an hour is refused', async () => {
    const id = await jobs.submit(chat('x'))
    for (const wait of ['soon', '-1', '1h1ms', '5 s', '3601'])
      expectProblem(await jobs.call('GET', `/jobs/${id}?wait=${encodeURIComponent(wait)}`), 'invalid', /query wait/)
    await jobs.finished(id)
  })

  test('pages go from the newest to the oldest without gaps, with filters, even when the cursor was swept', async () => {
    await idle(foreman)
    const ids: string[] = []
    for (let i = 0; i < 7; i++) ids.push(await jobs.submit({ model: i % 2 ? 'tiny' : 'TINY:latest', prompt: 'x' }))
    await Promise.all(ids.map((id) => jobs.finished(id)))
    const walk = async (query: string) => {
      const seen: string[] = []
      for (let after = ''; ; ) {
        const { json } = await jobs.call('GET', `/jobs?limit=2${query}&after=${after}`)
        const page = json['jobs'] as { id: string; result: unknown; artifacts: { inline: unknown; url: string }[] }[]
        expect(
          page.every(({ result, artifacts }) => result === null && artifacts.every((a) => a.inline === null)),
        ).toBe(true)
        seen.push(...page.map(({ id }) => id))
        if (json['next'] === null) return seen
        after = String(json['next'])
      }
    }
    const all = await walk('')
    expect(all.slice(0, 7)).toEqual(ids.toReversed())
    expect(new Set(all).size).toBe(all.length)
    const mine = (await walk('&model=TINY:latest&state=done&kind=async')).filter((id) => ids.includes(id))
    expect(mine).toEqual(ids.filter((_, i) => i % 2 === 0).toReversed())
    const gone = `${ids[3]?.slice(0, 25)}${ids[3]?.endsWith('0') ? '1' : '0'}`
    const { json } = await jobs.call('GET', `/jobs?after=${gone}&limit=500`)
    const after = (json['jobs'] as { id: string }[]).map(({ id }) => id)
    expect(after).toEqual(all.filter((id) => id < gone))
  })

  test('a query that is not understood is refused', async () => {
    for (const query of ['state=dead', 'kind=all', 'limit=0', 'limit=501', 'limit=ten', 'limit=1.5', 'after=1'])
      expectProblem(await jobs.call('GET', `/jobs?${query}`), 'invalid', /query/)
  })

  test('a sync call can be looked at, but neither followed nor cancelled here', async () => {
    const chatted = await fetch(`${foreman.url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify(chat('hi', { stream: false })),
    })
    await chatted.text()
    const id = chatted.headers.get('x-foreman-job-id') ?? ''
    const shown = await jobs.call('GET', `/jobs/${id}?wait=5s`)
    expect(shown.json).toMatchObject({ state: 'done', artifacts: [], result: null })
    const { json } = await jobs.call('GET', '/jobs?kind=sync&limit=1')
    expect((json['jobs'] as { id: string }[]).map((job) => job.id)).toEqual([id])
    expectProblem(await jobs.call('DELETE', `/jobs/${id}`), 'already-final', /is done/)
    const leaving = new AbortController()
    const body = JSON.stringify(chat('[[silent=60000]]'))
    const held = fetch(`${foreman.url}/api/chat`, { method: 'POST', body, signal: leaving.signal }).catch(() => null)
    await healthIs(foreman, 'the call to run', ({ worker }) => worker.state === 'working')
    const running = (await jobs.call('GET', '/jobs?kind=sync&state=working')).json['jobs'] as { id: string }[]
    expectProblem(await jobs.call('DELETE', `/jobs/${running[0]?.id}`), 'sync-call', /closing/)
    leaving.abort()
    await held
    await idle(foreman)
    expectProblem(await jobs.call('GET', `/jobs/${id}/events`), 'sync-call', /not kept/)
  })
})

describe('cancelling', () => {
  test('a waiting and a running job are cancelled, a final one is not', async () => {
    const busy = await occupied()
    const waiting = await jobs.submit(chat('later'))
    expect((await jobs.call('DELETE', `/jobs/${waiting}`)).json).toMatchObject({ id: waiting, state: 'cancelled' })
    expect((await busy.free()).json).toMatchObject({ id: busy.id, state: 'cancelled', error: null })
    expectProblem(await jobs.call('DELETE', `/jobs/${busy.id}`), 'already-final', /is cancelled/)
    await idle(foreman)
  })
})

describe('refusals', () => {
  test('an unknown job and an unknown path are 404', async () => {
    for (const path of ['/jobs/nope', '/jobs/01M7Z4BPW8T93C8K41K5GH5ZQW', `/jobs/${'x'.repeat(4_000)}`])
      for (const rest of ['', '/events', '/artifacts/completion'])
        expectProblem(await jobs.call('GET', path + rest), 'not-found', /no job/)
    expectProblem(await jobs.call('DELETE', '/jobs/nope'), 'not-found', /no job/)
    for (const path of ['/jobs/%zz', '/jobs/a%2fb', '/jobs/a/b', '/jobs/a/artifacts', '/jobs/a/artifacts/b/c'])
      expectProblem(await jobs.call('GET', path), 'not-found', /no such path/)
  })

  test('another method is 405 and says which are allowed', async () => {
    const takes: Record<string, string> = {
      '/jobs': 'GET, HEAD, POST',
      '/jobs/x': 'GET, HEAD, DELETE',
      '/jobs/x/events': 'GET, HEAD',
      '/jobs/x/artifacts/y': 'GET, HEAD',
    }
    for (const [path, allow] of Object.entries(takes))
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter((m) => !allow.includes(m))) {
        const answer = await jobs.call(method, path)
        expectProblem(answer, 'method-not-allowed', new RegExp(method))
        expect(answer.headers.get('allow')).toBe(allow)
      }
  })

  test('a Host of less than four characters changes no path: the router gets those wrong', async () => {
    const ask = async (method: string, path: string) => {
      const client = await rawClient(foreman.port)
      client.send(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      await client.closed()
      client.destroy()
      const [, status, type] = /^HTTP\/1\.1 (\d+)[\s\S]*?content-type: ([\w/+]+)/i.exec(client.received()) ?? []
      return `${method} ${path} ${status} ${type}`
    }
    for (const answer of [
      'GET /jobs 200 application/json',
      'GET /jobs?limit=1 200 application/json',
      'GET /jobs/ 301 text/html',
      'GET /jobs/x 404 application/problem+json',
      'PUT /jobs/x 405 application/problem+json',
      'GET /jobs/x/y/z/a 404 application/problem+json',
      'GET /api/jobs 404 text/plain',
      'GET /api/jobs/x 404 text/plain',
    ]) {
      const [method = '', path = ''] = answer.split(' ')
      expect(await ask(method, path)).toBe(answer)
    }
  })

  test('HEAD gives the head of GET and no body', async () => {
    const id = await jobs.submit(chat('x'))
    await jobs.finished(id)
    for (const path of ['/jobs', `/jobs/${id}`, `/jobs/${id}/artifacts/completion`, `/jobs/${id}/events`]) {
      const head = await jobs.call('HEAD', path)
      expect({ path, status: head.status, text: head.text }).toEqual({ path, status: 200, text: '' })
    }
  })
})

test('with a token every path and method of /jobs is 401 before anything else is said', async () => {
  const guarded = await runForeman(simulator.url, { FOREMAN_TOKEN: 'secret-token' })
  try {
    const client = jobsClient(guarded)
    for (const path of ['/jobs', '/jobs?limit=x', '/jobs/x', '/jobs/x?wait=x', '/jobs/x/events', '/jobs/x/artifacts/y'])
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
        const answer = await client.call(method, path, { headers: { authorization: 'Bearer wrong' } })
        expectProblem(answer, 'unauthorized', /bearer token/)
        expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="foreman"')
      }
    expectProblem(await client.call('GET', '/jobs/x/y/z'), 'unauthorized', /bearer token/)
    const head = await client.call('HEAD', '/jobs')
    expect(head.status).toBe(401)
    const known = { headers: { authorization: 'Bearer secret-token' } }
    expect((await client.call('GET', '/jobs', known)).status).toBe(200)
  } finally {
    await guarded.stop()
  }
})

test('a body above the limit is 413, and a full queue 503 with Retry-After', async () => {
  const small = await runForeman(simulator.url, { FOREMAN_MAX_BODY: '1KiB', FOREMAN_MAX_QUEUE: '1' })
  try {
    await polled(small)
    const client = jobsClient(small)
    expectProblem(await client.call('POST', '/jobs', { body: 'x'.repeat(1_025) }), 'too-large', /FOREMAN_MAX_BODY/)
    const running = await client.submit(chat('[[silent=60000]]'))
    await client.reaches(running, 'working')
    const twin = { body: JSON.stringify(chat('x')), headers: { 'idempotency-key': 'full' } }
    const waiting = String((await client.call('POST', '/jobs', twin)).json['job_id'])
    const full = await client.call('POST', '/jobs', { body: JSON.stringify(chat('x')) })
    expectProblem(full, 'queue-full', /FOREMAN_MAX_QUEUE/)
    // What was accepted before is answered for, however full it is now.
    const again = await client.call('POST', '/jobs', twin)
    expect([again.status, again.json['job_id']]).toEqual([202, waiting])
    expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0)
    for (const id of [waiting, running]) await client.call('DELETE', `/jobs/${id}`)
  } finally {
    await small.stop()
  }
})
