import { afterEach, describe, expect, test } from 'bun:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { systemClock } from '../../src/clock.ts'
import { closedPort, createIo } from '../support/command-io.ts'
import { createJobStub, doneJson, failedJson, jobId, jobJson, otherId, problem } from '../support/job-stub.ts'

const stubs: { stop(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(stubs.splice(0).map((stub) => stub.stop()))
})
const stubOf = (answers: Parameters<typeof createJobStub>[0]) => {
  const stub = createJobStub(answers)
  stubs.push(stub)
  return stub
}
const noon = Date.parse('2026-01-31T12:00:00Z')
const run = async (argv: string[], url: string, isTerminal = false) => {
  const io = createIo({ FOREMAN_URL: url, NO_COLOR: '1' }, { isTerminal })
  const clock = { ...systemClock, now: () => noon + 60_000 }
  return { code: await runCommandLine(argv, { ...io, clock }), out: io.out(), err: io.err() }
}

/** Jobs as one page after the other. */
const paged = (...pages: object[][]) =>
  stubOf({
    'GET /jobs': ({ query }) => {
      const page = Number(new URLSearchParams(query).get('after')?.slice(-1) ?? 0)
      const next = page + 1 < pages.length ? `01JQZX4T8M9V2K7C5N3B6D1F0${page + 1}` : null
      return Response.json({ jobs: pages[page], next })
    },
  })

describe('foreman list', () => {
  const running = jobJson({ state: 'working', attempt: 2, position: 0, started_at: '2026-01-31T12:00:48Z' })
  const jobs = [
    jobJson({ position: 3, eta_seconds: 90 }),
    running,
    failedJson({ id: otherId, model: 'a\x1b[31mb' }),
    doneJson('x'),
  ]

  test('prints what matters of each job in aligned columns', async () => {
    const { url, asked } = paged(jobs)
    expect(await run(['list'], url)).toEqual({
      code: 0,
      err: '',
      out: `ID                          STATE    MODEL      AGE  TOOK  NOTE
${jobId}  queued   qwen3:14b   1m     -  position 3, about 1m
${jobId}  working  qwen3:14b   1m   12s  attempt 2 of 3
${otherId}  failed   a[31mb      1m     -  attempt 3 of 3, broke_off: the target broke off before its answer was complete
${jobId}  done     qwen3:14b   1m   12s
`,
    })
    expect(asked[0]?.query).toBe('')
  })

  test.each([80, 100, 200])('fits a terminal of %i columns, and no id is cut', async (columns) => {
    const long = jobs.map((job) => ({ ...job, model: 'hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M' }))
    const io = createIo({ FOREMAN_URL: paged(long).url, NO_COLOR: '1' }, { isTerminal: true, columns })
    expect(await runCommandLine(['list'], io)).toBe(0)
    const lines = io.out().trimEnd().split('\n')
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
    for (const line of lines.slice(1)) expect(line).toMatch(/^[0-9A-Z]{26} /)
  })

  test('says that there are none', async () => {
    expect((await run(['list'], paged([]).url)).out).toBe('No jobs.\n')
  })

  test('hands its filters to foreman', async () => {
    const { url, asked } = paged(jobs)
    await run(['list', '--state', 'failed', '--model', 'qwen3:14b', '--kind', 'async', '--limit', '7'], url)
    expect(asked[0]?.query).toBe('state=failed&model=qwen3%3A14b&kind=async&limit=7')
  })

  test('tells people how to go on, and keeps scripts clean', async () => {
    const pages = [[jobJson()], [jobJson()]]
    expect((await run(['list'], paged(...pages).url, true)).err).toBe(
      'There are older ones: --after 01JQZX4T8M9V2K7C5N3B6D1F01, or --all\n',
    )
    expect((await run(['list'], paged(...pages).url)).err).toBe('')
  })

  test('--all follows the pages, with one heading', async () => {
    const { url, asked } = paged([jobJson()], [jobJson({ id: otherId })], [failedJson()])
    const { out } = await run(['list', '--all'], url)
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => line.slice(0, 26).trim()),
    ).toEqual(['ID', jobId, otherId, jobId])
    expect(asked.map(({ query }) => query)).toEqual([
      'limit=200',
      'limit=200&after=01JQZX4T8M9V2K7C5N3B6D1F01',
      'limit=200&after=01JQZX4T8M9V2K7C5N3B6D1F02',
    ])
  })

  test('--all ends when foreman repeats its cursor', async () => {
    const { url, asked } = stubOf({ 'GET /jobs': () => Response.json({ jobs: [jobJson()], next: otherId }) })
    expect((await run(['list', '--all'], url)).code).toBe(0)
    expect(asked.length).toBe(2)
  })

  test('--json prints one page with its cursor, or with --all one list of everything', async () => {
    const pages = [[jobJson()], [], [failedJson()]]
    const one = await run(['list', '--json'], paged(...pages).url)
    expect(JSON.parse(one.out)).toEqual({ jobs: [jobJson()], next: '01JQZX4T8M9V2K7C5N3B6D1F01' })
    const all = await run(['list', '--json', '--all'], paged(...pages).url)
    expect(JSON.parse(all.out)).toEqual({ jobs: [jobJson(), failedJson()], next: null })
    expect(JSON.parse((await run(['list', '--json', '--all'], paged([]).url)).out)).toEqual({ jobs: [], next: null })
  })

  test('--ids prints ids alone', async () => {
    const { url } = paged([jobJson()], [jobJson({ id: otherId })])
    expect((await run(['list', '--all', '--ids'], url)).out).toBe(`${jobId}\n${otherId}\n`)
  })

  test('stops following pages when nobody reads any more', async () => {
    const { url, asked } = paged([jobJson()], [jobJson()], [jobJson()])
    const io = createIo({ FOREMAN_URL: url })
    io.closeOut()
    expect(await runCommandLine(['list', '--all'], io)).toBe(0)
    expect(asked.length).toBe(1)
  })

  test.each([
    [['--state', 'faild'], '--state is "faild", did you mean failed?'],
    [['--state', 'x'], '--state is "x": expected queued, loading'],
    [['--kind', 'both'], '--kind is "both": expected sync or async'],
    [['--limit', '0'], '--limit is "0": expected a whole number from 1'],
    [['--all', '--limit', '5'], '--all has no --limit'],
    [['--ids', '--json'], '--ids and --json are two ways to print'],
  ])('%j is refused before anybody is asked', async (argv, expected) => {
    const { url, asked } = paged([])
    const { code, out, err } = await run(['list', ...argv], url)
    expect([code, out, err, asked.length]).toEqual([2, '', expect.stringContaining(expected), 0])
  })

  test("passes foreman's own refusal on, and says when nobody or somebody else answers", async () => {
    const { url } = stubOf({ 'GET /jobs': () => problem(422, 'limit is 501: expected 1 to 500') })
    expect(await run(['list'], url)).toEqual({ code: 1, out: '', err: 'foreman: limit is 501: expected 1 to 500\n' })
    expect((await run(['list'], `http://127.0.0.1:${await closedPort()}`)).code).toBe(3)
    const other = await run(['list'], stubOf({ 'GET /jobs': () => new Response('<html>') }).url)
    expect([other.code, other.err]).toEqual([3, expect.stringContaining('is another server listening there?')])
  })
})

describe('foreman show', () => {
  const showing = (job: object) => stubOf({ [`GET /jobs/${jobId}`]: () => Response.json(job) })

  test('prints a finished job', async () => {
    const { url } = showing(doneJson('Because\nof   light.', { deferrals: 2, state_webhook_url: 'http://nas/hook' }))
    expect(await run(['show', jobId], url)).toEqual({
      code: 0,
      err: '',
      out: `job        ${jobId}
state      done
model      qwen3:14b
attempt    1 of 3; put off 2 times, which costs none
created    2026-01-31T12:00:00.000Z (1m ago)
started    2026-01-31T12:00:05.000Z (55s ago)
completed  2026-01-31T12:00:17.000Z (43s ago)
took       12s after waiting 5s
tokens     9 read, 40 written
webhook    http://nas/hook
artifacts  completion (1 KB)
answer     Because of light.
`,
    })
  })

  test('prints what is known of one that waits, and why one failed', async () => {
    const waits = await run(['show', jobId], showing(jobJson({ position: 3, eta_seconds: 90 })).url)
    expect(waits.out).toContain('state    queued, position 3, about 1m\n')
    expect(waits.out).not.toContain('answer')
    const failed = await run(['show', jobId], showing(failedJson()).url)
    expect(failed.out).toContain('error    broke_off: the target broke off before its answer was complete\n')
  })

  test('says how the webhook stands, and what went wrong', async () => {
    const webhook = {
      url: 'http://nas/hook',
      events: ['done', 'failed', 'cancelled'],
      next_sequence: 4,
      tries: 2,
      next_try_at: '2026-01-31T12:01:08.000Z',
      last_problem: 'it could not be reached (refused): connection refused',
      given_up: 1,
    }
    const shown = async (changes: object) => {
      const json = doneJson('x', { state_webhook_url: 'http://nas/hook', webhook: { ...webhook, ...changes } })
      const { out } = await run(['show', jobId], showing(json).url)
      return out.split('\n').filter((line) => /^(webhook|untold|problem) /.test(line))
    }
    expect(await shown({})).toEqual([
      'webhook    http://nas/hook (done, failed, cancelled)',
      'untold     event 4 tried 2 times, next try in 8s',
      'problem    1 given up; it could not be reached (refused): connection refused',
    ])
    expect(await shown({ tries: 0, given_up: 0, last_problem: null, next_try_at: '2026-01-31T12:00:17.000Z' })).toEqual(
      ['webhook    http://nas/hook (done, failed, cancelled)', 'untold     event 4 to be told, due now'],
    )
    const all = ['queued', 'loading', 'working', 'done', 'failed', 'cancelled']
    expect(await shown({ events: all, next_sequence: null, given_up: 0, last_problem: null })).toEqual([
      'webhook    http://nas/hook',
    ])
  })

  test('takes an id in small letters', async () => {
    expect((await run(['show', jobId.toLowerCase()], showing(doneJson('x')).url)).code).toBe(0)
  })

  test('--json prints the job as it came', async () => {
    expect(JSON.parse((await run(['show', '--json', jobId], showing(doneJson('x')).url)).out)).toEqual(doneJson('x'))
  })

  test('--result prints the answer alone, also one that must be fetched', async () => {
    expect(await run(['show', '--result', jobId], showing(doneJson('Because.\n\n')).url)).toEqual({
      code: 0,
      out: 'Because.\n\n',
      err: '',
    })
    const { url } = stubOf({
      [`GET /jobs/${jobId}`]: () => Response.json(doneJson('', { result: null, artifacts: [{ name: 'completion' }] })),
      [`GET /jobs/${jobId}/artifacts/completion`]: () => Response.json({ response: 'large' }),
    })
    expect((await run(['show', '--result', jobId], url)).out).toBe('large\n')
    expect((await run(['show', '--result', '--json', jobId], url)).out).toBe('"large"\n')
    expect((await run(['show', jobId], url)).out).toContain('answer     too large to stand here: --result prints it\n')
  })

  test('of a call whose client waited nothing is kept, and both forms say so', async () => {
    const { url } = showing(doneJson('', { result: null, artifacts: [] }))
    expect((await run(['show', jobId], url)).out).toContain('not kept: it went to the client that waited for it\n')
    expect(await run(['show', '--result', jobId], url)).toEqual({
      code: 1,
      out: '',
      err: `foreman: the answer of job ${jobId} was not kept: it went to the client that waited for it\n`,
    })
  })

  test('--result of a job without an answer says how it stands and exits 1', async () => {
    expect(await run(['show', '--result', jobId], showing(jobJson({ position: 2 })).url)).toEqual({
      code: 1,
      out: '',
      err: `foreman: job ${jobId} has no answer, it is queued, position 2: \`foreman wait ${jobId}\` waits for it\n`,
    })
    const failed = await run(['show', '--result', jobId], showing(failedJson()).url)
    expect(failed.err).toStartWith(`foreman: job ${jobId} has no answer, it is failed: broke_off`)
    expect(failed.err).not.toContain('wait')
  })

  test('says that there is no such job, or no job at all', async () => {
    const { url } = stubOf({})
    expect(await run(['show', jobId], url)).toEqual({
      code: 1,
      out: '',
      err: 'foreman: there is no job with this id: it may have been swept\n',
    })
    expect((await run(['show'], url)).err).toContain('which job? Its id is missing')
    expect((await run(['show', '../healthz'], url)).err).toContain('"../healthz" is not a job id')
  })

  test('bears an answer with nothing in it', async () => {
    const { code, out } = await run(['show', jobId], showing({ id: jobId, state: 'resting' }).url)
    expect([code, out]).toEqual([0, `job    ${jobId}\nstate  resting\nmodel  ?\n`])
  })
})
