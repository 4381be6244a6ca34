/** Q4 and Q1: a job that can never succeed ends after its attempts, and holds up nobody else on the way. */
import { afterEach, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'

let bench: Bench
afterEach(() => bench.close())

const JOBS = 1_000
const isPoison = (i: number) => i % 10 === 3

test('100 poison jobs among 1,000 fail after exactly three attempts, and no healthy job waits for their backoff', async () => {
  const workMs = 100
  bench = createBench({ workMs })
  bench.target.script = ({ body }) => (body.includes('poison') ? { kind: 'reset', afterMs: workMs } : undefined)
  const jobs = Array.from({ length: JOBS }, (_, i) =>
    bench.submit(`j${i}`, { text: isPoison(i) ? 'poison' : 'healthy' }),
  )
  await Promise.all(jobs)
  const healthy = () => bench.eventsOf('job_done').length
  const healthyMs = await bench.until(() => healthy() === 900, 60 * 60_000)
  await bench.until(() => bench.eventsOf('job_failed').length === 100, 60 * 60_000, 1_000)

  const rows = bench.store.rows()
  for (const [i, { state, attempt, error_code }] of rows.entries()) {
    if (isPoison(i)) expect([state, attempt, error_code]).toEqual(['failed', 3, 'broke_off'])
    else expect([state, attempt]).toEqual(['done', 1])
  }
  const attempts = bench.target.seen.filter(({ body, isLoad }) => body.includes('poison') && !isLoad).length
  expect(attempts).toBe(300)
  // Were one backoff slept through on the worker, this would take at least one second more per poison job.
  const busyMs = (900 + attempts) * workMs
  expect(healthyMs).toBeLessThanOrEqual(busyMs + 2_000)
  expect(bench.target.overlaps).toBe(0)
  figure('Q4', `900 done, 100 failed after 3 attempts each; the healthy took ${healthyMs} ms of ${busyMs} ms of work`)
})

test('10,000 jobs never overlap at the target', async () => {
  const total = 10_000
  bench = createBench()
  for (let from = 0; from < total; from += 1_000)
    await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => bench.submit(`j${from + i}`, { model: i % 3 === 0 ? 'm-b' : 'm-a' })),
    )
  await bench.until(() => bench.eventsOf('job_done').length === total, 3_600_000, 60_000)
  expect(bench.target.overlaps).toBe(0)
  figure('Q1', `${total} jobs: overlap counter ${bench.target.overlaps}`)
}, 60_000)

test('the last error of a poison job is the one that is kept', async () => {
  bench = createBench()
  let tries = 0
  bench.target.script = ({ isWork }) =>
    isWork ? { kind: 'status', status: 500, error: `llm server error ${++tries}` } : undefined
  await bench.submit('p')
  await bench.until(() => bench.eventsOf('job_failed').length === 1)
  expect(bench.store.row('p')).toMatchObject({ error_code: 'runner_failed', attempt: 3 })
  expect(bench.store.row('p')?.error_message).toEndWith('llm server error 3')
})

test('a 400 and a 500 that is the fault of the request fail the job at the first attempt', async () => {
  bench = createBench()
  bench.target.script = ({ body, isWork }) => {
    if (!isWork) return undefined
    if (body.includes('bad')) return { kind: 'status', status: 400, error: '"m-a" does not support chat' }
    return { kind: 'status', status: 500, error: 'option "num_ctx" must be of type integer' }
  }
  await bench.submit('bad', { text: 'bad' })
  await bench.submit('odd', { text: 'odd' })
  await bench.until(() => bench.eventsOf('job_failed').length === 2)
  for (const id of ['bad', 'odd']) expect(bench.store.row(id)).toMatchObject({ error_code: 'refused', attempt: 1 })
})

test('a busy target costs a deferral and no attempt, and its Retry-After is kept within a minute', async () => {
  bench = createBench()
  const answers = ['7', '86400', undefined]
  bench.target.script = ({ isWork }) => {
    if (!isWork || answers.length === 0) return undefined
    const retryAfter = answers.shift()
    return { kind: 'status', status: 503, error: 'server busy', ...(retryAfter !== undefined && { retryAfter }) }
  }
  await bench.submit('j')
  await bench.until(() => bench.eventsOf('job_done').length === 1, 300_000)
  const waits = bench.eventsOf('job_requeued').map(({ retryInMs }) => retryInMs)
  expect(waits).toEqual([7_000, 60_000, 4_000])
  expect(bench.store.row('j')).toMatchObject({ state: 'done', attempt: 1, deferrals: 3 })
})

test('a model that cannot be loaded costs attempts and fails with the words of the target', async () => {
  bench = createBench()
  const words = 'llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory'
  bench.target.script = ({ isLoad }) => (isLoad ? { kind: 'status', status: 500, error: words } : undefined)
  await bench.submit('j')
  await bench.until(() => bench.eventsOf('job_failed').length === 1)
  expect(bench.store.row('j')).toMatchObject({ error_code: 'out_of_memory', attempt: 3 })
  expect(bench.target.seen.filter(({ path }) => path === '/api/chat')).toEqual([])
})

test('a stream that ends without a word and without its last chunk is no success', async () => {
  bench = createBench()
  let tries = 0
  bench.target.script = ({ isWork }) => {
    if (!isWork || ++tries > 1) return undefined
    return { kind: 'stream', pieces: ['{"message":{"content":""},"done":false}\n'], ending: 'end' }
  }
  await bench.submit('j')
  await bench.until(() => bench.eventsOf('job_done').length === 1)
  expect(bench.store.row('j')).toMatchObject({ state: 'done', attempt: 2 })
})

test('an answer that Ollama cuts at its repeat limit is the answer: one run, the text kept, no reason made up', async () => {
  bench = createBench()
  const half = '{"model":"m","message":{"role":"assistant","content":"half"},"done":false}\n'
  bench.target.script = ({ isWork }) => (isWork ? { kind: 'stream', pieces: [half, half], ending: 'end' } : undefined)
  await bench.submit('j')
  await bench.until(() => bench.eventsOf('job_done').length === 1)
  expect(bench.store.row('j')).toMatchObject({ state: 'done', attempt: 1, error_code: null })
  const artifact = bench.store.db.query<{ body: Uint8Array }, []>('SELECT body FROM artifacts').get()
  expect(JSON.parse(new TextDecoder().decode(artifact?.body))).toEqual({
    model: 'm',
    message: { role: 'assistant', content: 'halfhalf' },
    done: false,
  })
})

test('an answer whose connection breaks after text is still an error', async () => {
  bench = createBench()
  const half = '{"model":"m","message":{"role":"assistant","content":"half"},"done":false}\n'
  let tries = 0
  bench.target.script = ({ isWork }) =>
    isWork && ++tries === 1 ? { kind: 'stream', pieces: [half], ending: 'reset' } : undefined
  await bench.submit('j')
  await bench.until(() => bench.eventsOf('job_done').length === 1)
  expect(bench.store.row('j')).toMatchObject({ state: 'done', attempt: 2 })
})

test('a job gets the time of FOREMAN_JOB_TIMEOUT per attempt, and its load does not eat it', async () => {
  bench = createBench({ loadMs: 50_000, config: { jobTimeoutMs: 60_000 } })
  bench.target.script = ({ isWork, body }) => {
    if (!isWork) return undefined
    return body.includes('slow') ? { kind: 'hang' } : { kind: 'ok', afterMs: 50_000 }
  }
  await bench.submit('fits', { text: 'fits' })
  await bench.submit('slow', { text: 'slow', maxAttempts: 2 })
  await bench.until(() => bench.eventsOf('job_failed').length === 1, 600_000, 1_000)
  expect(bench.store.row('fits')).toMatchObject({ state: 'done', attempt: 1 })
  expect(bench.store.row('slow')).toMatchObject({ state: 'failed', attempt: 2, error_code: 'job_timeout' })
})

test.each([
  ['a stream that is no JSON', { kind: 'ok', text: 'garbage\n' } as const],
  [
    'a line that is no JSON',
    { kind: 'stream', pieces: ['{"done":false}\n', 'garbage\n', '{"done":true}\n'], ending: 'end' } as const,
  ],
])('%s never holds up the job behind it', async (_, plan) => {
  bench = createBench()
  bench.target.script = ({ isWork, body }) => (isWork && body.includes('odd') ? plan : undefined)
  await bench.submit('odd', { text: 'odd' })
  await bench.submit('next')
  await bench.until(() => bench.eventsOf('job_done').some(({ jobId }) => jobId === 'next'), 300_000, 1_000)
  await bench.until(() => bench.eventsOf('job_failed').length === 1, 300_000, 1_000)
  expect(bench.store.row('odd')).toMatchObject({ state: 'failed', attempt: 3 })
  expect(bench.eventsOf('loop_failed')).toEqual([])
})

test('a page that something in between gives to one job alone defers that job and holds up nobody', async () => {
  bench = createBench()
  bench.target.script = ({ isWork, body }) =>
    isWork && body.includes('odd') ? { kind: 'ok', text: '<html>blocked</html>', type: 'text/html' } : undefined
  await bench.submit('odd', { text: 'odd' })
  for (let i = 0; i < 20; i++) await bench.submit(`next${i}`)
  const tookMs = await bench.until(() => bench.eventsOf('job_done').length === 20, 300_000)
  expect(tookMs).toBeLessThanOrEqual(1_000)
  await bench.clock.advance(600_000)
  const row = bench.store.row('odd')
  expect(row).toMatchObject({ state: 'queued', attempt: 0 })
  // 1, 2, 4 … 60 s apart, and the target was never taken for gone.
  expect(row?.deferrals).toBeGreaterThanOrEqual(10)
  expect(row?.deferrals).toBeLessThanOrEqual(20)
  expect(bench.eventsOf('target_unreachable')).toEqual([])
})
