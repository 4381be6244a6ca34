import { afterEach, describe, expect, test } from 'bun:test'
import type { Io } from '../../src/cli/command.ts'
import { runCommandLine } from '../../src/cli/run.ts'
import { systemClock } from '../../src/clock.ts'
import { closedPort, createIo, type TestIo } from '../support/command-io.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
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
/** Pauses between two looks pass at once; the bounds of requests stay. */
const brisk = (io: TestIo): Io => ({
  ...io,
  clock: { ...systemClock, after: (ms, done) => systemClock.after(ms > 400 && ms <= 1000 ? 1 : ms, done) },
})
const run = async (argv: string[], url: string, isTerminal = false) => {
  const io = createIo({ FOREMAN_URL: url, NO_COLOR: '1' }, { isTerminal })
  return { code: await runCommandLine(argv, brisk(io)), out: io.out(), err: io.err() }
}

/** Answers one after the other; the last one for ever. */
const inTurn = (...answers: (() => Response | Promise<Response>)[]) => {
  const left = [...answers]
  return () => (left.length > 1 ? left.shift() : left[0])?.() ?? new Response('')
}
const json = (job: object) => () => Response.json(job)
const waiting = (...answers: (() => Response | Promise<Response>)[]) =>
  stubOf({ [`GET /jobs/${jobId}`]: inTurn(...answers) })

describe('foreman wait', () => {
  test('waits until the job is done', async () => {
    const { url, asked } = waiting(json(jobJson()), json(jobJson()), json(doneJson('x')))
    expect(await run(['wait', jobId], url)).toEqual({ code: 0, out: `${jobId}  done in 12s\n`, err: '' })
    expect(asked.map(({ query }) => query)).toEqual(['', 'wait=30s', 'wait=30s'])
  })

  test('exits 1 when one of several failed, was cancelled or does not exist, after waiting for all', async () => {
    const { url } = stubOf({
      [`GET /jobs/${jobId}`]: inTurn(json(jobJson()), json(doneJson('x'))),
      [`GET /jobs/${otherId}`]: json(failedJson({ id: otherId })),
    })
    const unknown = '01JQZX4T8M9V2K7C5N3B6D1F0J'
    const { code, out, err } = await run(['wait', otherId, unknown, jobId, jobId], url)
    expect(code).toBe(1)
    expect(out).toBe(
      `${otherId}  failed: broke_off: the target broke off before its answer was complete\n${jobId}  done in 12s\n`,
    )
    expect(err).toBe(`foreman: ${unknown}: there is no job with this id: it may have been swept\n`)
    const cancelled = await run(['wait', jobId], waiting(json(jobJson({ state: 'cancelled' }))).url)
    expect([cancelled.code, cancelled.out]).toEqual([1, `${jobId}  cancelled\n`])
  })

  test('--json prints each finished job on its line', async () => {
    const { url } = stubOf({
      [`GET /jobs/${jobId}`]: json(doneJson('x')),
      [`GET /jobs/${otherId}`]: json(failedJson({ id: otherId })),
    })
    const { code, out } = await run(['wait', '--json', jobId, otherId], url)
    expect(code).toBe(1)
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([doneJson('x'), failedJson({ id: otherId })])
  })

  test('waits for a foreman that restarts meanwhile', async () => {
    const { url } = waiting(
      json(jobJson()),
      () => problem(503, 'foreman is stopping'),
      () => new Response('Bad gateway', { status: 502 }),
      json(doneJson('x')),
    )
    const { code, err } = await run(['wait', jobId], url, true)
    expect(code).toBe(0)
    expect(err).toContain(`${jobId} foreman does not answer, asking again`)
  })

  test('gives up with exit code 3 on one that stays away for a minute', async () => {
    const stub = waiting(json(jobJson()))
    const io = createIo({ FOREMAN_URL: stub.url })
    const clock = createHastyClock(600)
    // The first look is answered; then foreman is gone for good.
    const fetching = async (url: string, init: BunFetchRequestInit) => {
      if (stub.asked.length > 0) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
      return fetch(url, init)
    }
    expect(await runCommandLine(['wait', jobId], { ...io, fetch: fetching, clock })).toBe(3)
    expect(io.err()).toContain('nothing listens at')
  })

  test('exits 3 at once when nobody listened to begin with, and 4 when the token is wrong', async () => {
    expect((await run(['wait', jobId], `http://127.0.0.1:${await closedPort()}`)).code).toBe(3)
    expect((await run(['wait', jobId], waiting(() => problem(401, 'a token')).url)).code).toBe(4)
  })

  test('with no time at all it says what is final already', async () => {
    const over = stubOf({ [`GET /jobs/${jobId}`]: json(doneJson('x')) })
    expect(await run(['wait', '--timeout', '0', jobId], over.url)).toMatchObject({
      code: 0,
      out: `${jobId}  done in 12s\n`,
    })
    const open = stubOf({ [`GET /jobs/${jobId}`]: json(jobJson()) })
    expect((await run(['wait', '--timeout', '0', jobId], open.url)).code).toBe(5)
  })

  test('exits 5 when the timeout runs out, and the job goes on', async () => {
    const held = Promise.withResolvers<Response>()
    const { url, asked } = waiting(json(jobJson()), () => held.promise)
    expect(await run(['wait', '--timeout', '50ms', jobId], url)).toEqual({
      code: 5,
      out: '',
      err: 'foreman: one job is not final yet and goes on: the time ran out\n',
    })
    expect(asked.map(({ method }) => method)).toEqual(['GET', 'GET'])
    held.resolve(new Response(''))
  })

  test('Ctrl-C ends it with 130 and takes the progress line away', async () => {
    const held = Promise.withResolvers<Response>()
    const { url } = waiting(json(jobJson()), json(jobJson({ position: 3, eta_seconds: 90 })), () => held.promise)
    const io = createIo({ FOREMAN_URL: url }, { isTerminal: true })
    const code = runCommandLine(['wait', jobId], brisk(io))
    await io.untilErr(`${jobId} queued, position 3, about 1m`)
    io.signal('SIGINT')
    expect(await code).toBe(130)
    expect(io.err()).toEndWith('\r\x1b[2Kforeman: one job is not final yet and goes on\n')
    held.resolve(new Response(''))
  })

  test.each([
    [[], 'which job? Its id is missing'],
    [['01JQ'], '"01JQ" is not a job id'],
    [['--timeout', 'soon', jobId], '--timeout is "soon": expected a duration such as 30s'],
    [['--timeout', '-1s', jobId], '--timeout is "-1s": expected a duration'],
  ])('%j is refused before anybody is asked', async (argv, expected) => {
    const { url, asked } = waiting(json(jobJson()))
    const { code, out, err } = await run(['wait', ...argv], url)
    expect([code, out, err, asked.length]).toEqual([2, '', expect.stringContaining(expected), 0])
  })
})

describe('foreman cancel', () => {
  const cancelled = jobJson({ state: 'cancelled' })

  test('cancels each job and prints it', async () => {
    const { url, asked } = stubOf({
      [`DELETE /jobs/${jobId}`]: json(cancelled),
      [`DELETE /jobs/${otherId}`]: json({ ...cancelled, id: otherId }),
    })
    expect(await run(['cancel', jobId, otherId], url)).toEqual({
      code: 0,
      out: `${jobId}  cancelled\n${otherId}  cancelled\n`,
      err: '',
    })
    expect(asked.length).toBe(2)
    expect(JSON.parse((await run(['cancel', '--json', jobId], url)).out)).toEqual(cancelled)
  })

  test('says that a job is final already, goes on with the others and exits 1', async () => {
    const { url } = stubOf({
      [`DELETE /jobs/${jobId}`]: () => problem(409, 'the job is done already'),
      [`DELETE /jobs/${otherId}`]: json({ ...cancelled, id: otherId }),
    })
    expect(await run(['cancel', jobId, otherId], url)).toEqual({
      code: 1,
      out: `${otherId}  cancelled\n`,
      err: `foreman: ${jobId}: the job is done already\n`,
    })
    const unknown = '01JQZX4T8M9V2K7C5N3B6D1F0J'
    expect((await run(['cancel', unknown], url)).code).toBe(1)
  })

  test('stops at the first sign that nobody answers', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`
    const { code, err } = await run(['cancel', jobId, otherId], url)
    expect([code, err.trim().split('\n').length]).toEqual([3, 1])
    expect((await run(['cancel'], url)).code).toBe(2)
  })
})
